"""Checks and reports as values."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.check import Check, CheckReport, CheckResult, Domain, Example, domains
from filiera.core.verdict import Verdict
from filiera.errors import ProjectError


def adds_up(col):
    return col.a + col.b == col.total


ONE_OF_EACH = [
    Check.not_null("a", "b"),
    Check.in_range("a", 0, 1.5, severity="warn"),
    Check.in_range("day", date(2020, 1, 1)),
    Check.in_range("at", datetime(2020, 1, 1, tzinfo=UTC)),
    Check.in_range("took", None, timedelta(seconds=3)),
    Check.in_range("a", maximum=math.inf),
    Check.in_set("p", ["tcp", "udp"], severity="quarantine"),
    Check.in_set("p", {3, 1, 2}),
    Check.matches("p", r"^[a-z]+$"),
    Check.unique("a", "b"),
    Check.type_is("a", "int64"),
    Check.types({"a": "int64", "b": "string"}),
    Check.rows(at_least=1000),
    Check.finite("a"),
    Check.one_hot("x", "y"),
    Check.rule("adds up", adds_up),
]


@pytest.mark.parametrize("check", ONE_OF_EACH, ids=lambda check: check.name)
def test_check_survives_encoding(check):
    """A check is a plain value: its bytes decode to an equal check, and a function is kept by its name."""
    assert plain.decode(plain.encode(check)) == check


def test_check_is_hashable_and_named():
    """Equal checks are equal keys, and each has a name that says what it asks for."""
    assert len({*ONE_OF_EACH, *ONE_OF_EACH}) == len(ONE_OF_EACH)
    assert [check.name for check in ONE_OF_EACH[:2]] == ["a, b not null", "a in 0..1.5"]
    assert Check.in_set("p", {3, 1, 2}).name == "p in {1, 2, 3}"
    assert Check.types({"a": "int64", "b": "int64"}).name == "a, b are int64"
    assert Check.types({"a": "int64", "b": "bool"}).name == "a is int64, b is bool"
    assert Check.not_null("a", "b", "c", "d", "e").name == "a, b, c and 2 more not null"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Check.not_null(), "no column is named"),
        (lambda: Check.not_null("a", "a"), "named twice"),
        (lambda: Check.not_null(3), "named by text"),
        (lambda: Check.not_null("a", severity="fatal"), "severity must be one of warn, quarantine, block"),
        (lambda: Check.in_range("a"), "neither a least nor a greatest"),
        (lambda: Check.in_range("a", 2, 1), "least value 2 is above the greatest 1"),
        (lambda: Check.in_range("a", math.nan), "bounds are numbers, dates or durations"),
        (lambda: Check.in_range("a", "x"), "bounds are numbers, dates or durations"),
        (lambda: Check.in_range("a", True), "bounds are numbers, dates or durations"),
        (lambda: Check.in_range("a", 1, date(2020, 1, 1)), "bounds of different kinds"),
        (lambda: Check.in_set("a", []), "set of values is empty"),
        (lambda: Check.in_set("a", ["x", 1]), "all texts, all numbers"),
        (lambda: Check.in_set("a", [True, 1]), "all texts, all numbers"),
        (lambda: Check.matches("a", ""), "pattern is empty"),
        (lambda: Check.unique(), "no column is named"),
        (lambda: Check.type_is("a", "integer"), "unknown type 'integer'; known are bool, int8"),
        (lambda: Check.rows(), "neither a least nor a greatest"),
        (lambda: Check.rows(at_least=-1), "integers from 0"),
        (lambda: Check.rows(at_least=0.5), "integers from 0"),
        (lambda: Check.rows(at_least=1, severity="quarantine"), "no rows to quarantine"),
        (lambda: Check.type_is("a", "int8", severity="quarantine"), "no rows to quarantine"),
        (lambda: Check.one_hot("a"), "at least two columns"),
        (lambda: Check.rule("", adds_up), "needs a name"),
        (lambda: Check.rule("r", lambda col: col.a > 0), "top level of a module"),
    ],
)
def test_senseless_check_is_refused_at_birth(make, why):
    """A check that cannot mean anything is a ProjectError that says why and how it is written."""
    with pytest.raises(ProjectError) as caught:
        make()
    assert why in caught.value.why
    assert caught.value.do


def test_domains_are_what_published_rows_keep():
    """Ranges of one column are narrowed, sets intersected; a warning promises nothing."""
    checks = [
        Check.in_range("rate", 0),
        Check.in_range("rate", -1, 1.0, severity="quarantine"),
        Check.in_set("p", ["tcp", "udp", "icmp"]),
        Check.in_set("p", ["icmp", "tcp"]),
        Check.in_range("other", 0, 1, severity="warn"),
        Check.in_set("third", ["x"], severity="quarantine"),
        Check.not_null("fourth"),
    ]
    assert domains(checks) == {
        "rate": Domain(0, 1.0, None),
        "p": Domain(None, None, ("tcp", "icmp")),
        "third": Domain(None, None, ("x",)),
    }


def test_domains_say_only_what_a_signature_can():
    """Infinite bounds, dates and sets of fractions have no place in a signature."""
    checks = [
        Check.in_range("a", 0, math.inf),
        Check.in_range("day", date(2020, 1, 1)),
        Check.in_set("f", [0.5, 1.0]),
        Check.in_set("flag", [True]),
    ]
    assert domains(checks) == {"a": Domain(0, None, None), "flag": Domain(None, None, (True,))}


@given(bounds=st.lists(st.tuples(st.integers(), st.integers()), min_size=1), value=st.integers())
def test_domain_holds_exactly_what_all_ranges_hold(bounds, value):
    """A value is inside the domain if and only if it is inside each range it was made from."""
    ranges = [(min(pair), max(pair)) for pair in bounds]
    domain = domains([Check.in_range("a", low, high) for low, high in ranges])["a"]
    assert (domain.minimum <= value <= domain.maximum) == all(low <= value <= high for low, high in ranges)


def result(severity, *, passed=False, rows_failed=1, name="c"):
    return CheckResult(
        name=name, kind="not_null", columns=("a",), severity=severity, passed=passed,
        rows_checked=10, rows_failed=0 if passed else rows_failed, reason="" if passed else "1 of 10 rows",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "blocks"),
    [
        (result("block"), True),
        (result("block", passed=True), False),
        (result("warn"), False),
        (result("quarantine"), False),
        (result("quarantine", rows_failed=0), True),
        (result("warn", rows_failed=0), False),
    ],
)
def test_report_blocks_only_where_a_failure_was_not_dealt_with(one, blocks):
    """Block blocks; quarantine blocks only if it could not be evaluated; warn never does."""
    report = CheckReport(results=(one,), rows=10)
    assert isinstance(report, Verdict)
    assert report.blocks is blocks


def test_report_names_the_blocking_failure_first():
    """The one-line summary counts failures by severity and quotes the worst."""
    report = CheckReport(
        results=(result("warn", name="w"), result("block", name="b"), result("block", passed=True)), rows=1234
    )
    assert report.headline == "2 of 3 checks failed (1 warn, 1 block)"
    assert report.summary == "2 of 3 checks failed (1 warn, 1 block): b: 1 of 10 rows"
    assert report.failed_by_severity == {"warn": 1, "quarantine": 0, "block": 1}
    assert CheckReport(results=(result("warn", passed=True),), rows=1234).summary == "1 check passed on 1,234 rows"
    assert CheckReport(results=(), rows=0).summary == "0 checks passed on 0 rows"


def test_report_survives_encoding():
    """A report is a plain value, readable where the user's code is not loaded."""
    example = Example(row=3, values=(("a", 1.5), ("b", None)))
    one = CheckResult(
        name="r", kind="rule", columns=(), severity="block", passed=False, rows_checked=9, examples=(example,)
    )
    report = CheckReport(results=(one,), rows=9)
    assert plain.decode(plain.encode(report)) == report
