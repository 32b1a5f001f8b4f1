from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.reference import MAX_PROBABILITY, ReferenceProfile
from filiera.errors import UsageError
from filiera.monitoring.drift import compare
from filiera.monitoring.findings import Aspect, DriftReport, DriftSettings, Finding
from filiera.monitoring.statistics import benjamini_hochberg
from tests.monitoring.freezing import freeze


def flows(rows: int, *, seed: int = 0, udp: float = 0.2, scale: float = 1.0) -> pl.DataFrame:
    """Return made-up connections: a smooth number, one with an atom at 0, a category, a flag and a constant."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "duration": rng.lognormal(size=rows) * scale,
            "bytes": np.where(rng.random(rows) < 0.6, 0, rng.integers(1, 5000, rows)),
            "protocol": rng.choice(["tcp", "udp", "icmp"], rows, p=[0.95 - udp, udp, 0.05]),
            "logged_in": rng.random(rows) < 0.4,
            "version": np.full(rows, 4),
        }
    )


REFERENCE = freeze(flows(20_000))


def find(report: DriftReport, column: str, aspect: Aspect = "values") -> Finding:
    """Return the one finding about an aspect of a column."""
    (found,) = [one for one in report.findings if (one.column, one.aspect) == (column, aspect)]
    return found


def alarms(report: DriftReport) -> set[tuple[str, str]]:
    """Return which aspects of which columns alarm."""
    return {(one.column, one.aspect) for one in report.findings if one.is_alarm}


def test_same_distribution_is_quiet() -> None:
    """Rows like the training rows give no alarm, and the summary says what changed most."""
    report = compare(REFERENCE, flows(2000, seed=1))
    assert report.verdict == "quiet"
    assert alarms(report) == set()
    assert report.summary.startswith("quiet: 5 columns over 2,000 rows, the largest change is ")


def test_another_mix_alarms_where_it_changed_and_only_there() -> None:
    """More UDP and longer connections: those two columns alarm, the others do not."""
    report = compare(REFERENCE, flows(1000, seed=1, udp=0.5, scale=2.0))
    assert report.verdict == "drift"
    assert alarms(report) == {("protocol", "values"), ("duration", "values")}
    assert report.summary.startswith("drift in 2 of 5 columns over 1,000 rows: protocol (total variation 0.3")
    assert find(report, "protocol").effect == pytest.approx(0.3, abs=0.05)


def test_which_test_for_which_column() -> None:
    """Numbers by KS, more than two categories by chi-square, two values by proportions; a constant needs no test."""
    report = compare(REFERENCE, flows(1000, seed=1))
    tests = {one.column: one.test for one in report.findings if one.aspect == "values"}
    assert tests == {
        "duration": "Kolmogorov-Smirnov",
        "bytes": "Kolmogorov-Smirnov",
        "protocol": "chi-square",
        "logged_in": "two proportions",
        "version": "",
    }
    assert find(report, "version").state == "ok"
    assert find(report, "version").note == "one value on both sides"


def test_p_values_are_adjusted_over_all_tests_of_the_report() -> None:
    """Inputs, outputs and missing values share one Benjamini-Hochberg correction."""
    frame = flows(1000, seed=1).with_columns(bytes=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("bytes"))
    reference = freeze(flows(20_000), outputs=flows(20_000).select("protocol"))
    tested = [one for one in compare(reference, frame, outputs=frame.select("protocol")).findings if one.test]
    assert len(tested) == 6
    expected = benjamini_hochberg([one.p_value for one in tested])
    assert [one.adjusted_p for one in tested] == pytest.approx(expected.tolist())


def test_a_tiny_but_certain_change_is_no_alarm() -> None:
    """With many rows a trifle has a tiny p-value; without a large effect nobody is woken."""
    found = find(compare(REFERENCE, flows(200_000, seed=1, udp=0.24)), "protocol")
    assert found.adjusted_p is not None
    assert found.adjusted_p < 1e-6
    assert found.state == "ok"


def test_a_large_but_doubtful_change_is_no_alarm() -> None:
    """Sixty rows may differ much by chance."""
    found = find(compare(REFERENCE, flows(60, seed=2, udp=0.28)), "protocol")
    assert found.effect is not None
    assert found.effect > 0.1
    assert found.state == "ok"


def test_a_constant_that_changes_alarms() -> None:
    """A column of one value that gets another one drifts in its values and by unseen values."""
    report = compare(REFERENCE, flows(500, seed=1).with_columns(version=pl.lit(6)))
    assert alarms(report) == {("version", "values"), ("version", "unseen")}
    assert find(report, "version", "unseen").note == "500 rows, such as 6"


def test_an_unseen_value_alarms_before_the_mix_does() -> None:
    """Three rows in a hundred with a value never seen in training do not move the mix, but are told."""
    frame = flows(1000, seed=1).with_columns(
        protocol=pl.when(pl.int_range(pl.len()) % 33 == 0).then(pl.lit("sctp")).otherwise("protocol")
    )
    report = compare(REFERENCE, frame)
    assert alarms(report) == {("protocol", "unseen")}
    assert find(report, "protocol", "unseen").interval == pytest.approx((0.021, 0.043), abs=0.002)


def test_identifiers_are_quiet() -> None:
    """A column whose every value occurs once had nothing but unseen values before: that is not drift."""
    trained = pl.DataFrame({"id": [f"a{i}" for i in range(3000)]})
    live = pl.DataFrame({"id": [f"b{i}" for i in range(500)]})
    assert compare(freeze(trained), live).verdict == "quiet"
    assert compare(freeze(trained.head(90)), live).verdict == "quiet"


def test_missing_values_are_a_finding_of_their_own() -> None:
    """Nulls, NaN and infinities alarm as missing; the values that are there are compared without them."""
    holes = pl.int_range(pl.len())
    frame = flows(1000, seed=1).with_columns(
        duration=pl.when(holes % 20 == 0).then(math.nan).when(holes % 20 == 1).then(math.inf).otherwise("duration"),
        protocol=pl.when(holes % 10 == 0).then(None).otherwise("protocol"),
    )
    report = compare(REFERENCE, frame)
    assert alarms(report) == {("duration", "missing"), ("protocol", "missing")}
    assert find(report, "duration", "missing").note == "0.0% before, 10.0% now"
    assert find(report, "duration").current_rows == 900


def test_missing_values_that_were_missing_before_are_quiet() -> None:
    """The same share of nulls as in training is no change; fewer is one, too."""
    holes = pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise("duration").alias("duration")
    reference = freeze(flows(20_000).with_columns(holes))
    assert compare(reference, flows(1000, seed=1).with_columns(holes)).verdict == "quiet"
    assert alarms(compare(reference, flows(1000, seed=1))) == {("duration", "missing")}


def test_an_empty_column_has_no_values_to_compare_and_alarms_as_missing() -> None:
    """All null: "not enough data" for the values, and drift of the missing share."""
    report = compare(REFERENCE, flows(500, seed=1).with_columns(duration=pl.lit(None, pl.Float64)))
    assert find(report, "duration").state == "not enough data"
    assert find(report, "duration", "missing").state == "drift"


def test_a_missing_column_alarms_and_an_unexpected_one_is_listed() -> None:
    """A column that vanished cannot be called quiet; one that is new is named."""
    report = compare(REFERENCE, flows(500, seed=1).rename({"bytes": "octets"}))
    assert find(report, "bytes").state == "missing column"
    assert report.verdict == "drift"
    assert report.unexpected == ("octets",)
    assert report.summary == "drift in 1 of 5 columns over 500 rows: bytes (missing column)"


def test_ignored_columns_are_not_looked_at() -> None:
    """A sensitive column that is never logged can be left out, and is neither missing nor unexpected."""
    settings = DriftSettings(ignore=("bytes", "extra"))
    report = compare(REFERENCE, flows(500, seed=1).drop("bytes").with_columns(extra=pl.lit(1)), settings=settings)
    assert report.verdict == "quiet"
    assert report.unexpected == ()
    assert "bytes" not in {one.column for one in report.findings}


def test_a_column_of_another_kind_is_missing() -> None:
    """Lists in place of numbers cannot be compared, and the note says what is there."""
    found = find(compare(REFERENCE, flows(500, seed=1).with_columns(duration=pl.lit([1.0]))), "duration")
    assert found.state == "missing column"
    assert "List" in found.note


@pytest.mark.parametrize("rows", [0, 1, 49])
def test_few_rows_are_not_enough_data(rows: int) -> None:
    """Below the minimum nothing is said about any column, least of all that there is no drift."""
    report = compare(REFERENCE, flows(rows, seed=1, udp=0.9))
    assert report.verdict == "not enough data"
    assert {one.state for one in report.findings} == {"not enough data"}
    assert report.summary == f"not enough data: {rows} rows in the window; a column needs 50 values on both sides"


def test_a_small_reference_is_not_enough_data() -> None:
    """A model trained on a handful of rows has nothing to compare with."""
    assert compare(freeze(flows(30)), flows(1000)).verdict == "not enough data"
    assert compare(ReferenceProfile(rows=0, columns=()), pl.DataFrame()).verdict == "not enough data"


def test_outputs_are_compared_too() -> None:
    """Predicted labels and scores drift as inputs do, and are told apart from them."""
    rng = np.random.default_rng(0)

    def answers(rows: int, *, attack: float, sure: float) -> pl.DataFrame:
        labels = np.where(rng.random(rows) < attack, "attack", "normal")
        return pl.DataFrame({"label": labels, MAX_PROBABILITY: rng.beta(sure, 1, rows)})

    reference = freeze(flows(20_000), outputs=answers(5000, attack=0.3, sure=20))
    same = compare(reference, flows(1000, seed=1), outputs=answers(1000, attack=0.3, sure=20))
    assert same.verdict == "quiet"
    report = compare(reference, flows(1000, seed=1), outputs=answers(1000, attack=0.7, sure=5))
    assert {(one.column, one.role) for one in report.findings if one.is_alarm} == {
        ("label", "output"),
        (MAX_PROBABILITY, "output"),
    }
    measures = find(report, MAX_PROBABILITY).measures
    assert measures["PSI"] > 0.5
    assert measures["PSI p-value"] < 1e-9
    assert compare(reference, flows(1000, seed=1)).verdict == "quiet"


def test_moments_are_not_tested_but_missing_ones_are() -> None:
    """Time always moves on, so dates always "drift"; that some are missing does count."""
    start = dt.datetime(2026, 1, 1)
    trained = pl.DataFrame({"at": [start + dt.timedelta(hours=i) for i in range(1000)]})
    later = pl.DataFrame({"at": [start + dt.timedelta(days=400 + i) for i in range(1000)]})
    report = compare(freeze(trained), later)
    assert find(report, "at").state == "not tested"
    holes = later.with_columns(at=pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise("at"))
    assert alarms(compare(freeze(trained), holes)) == {("at", "missing")}


def test_bars_are_shares_of_both_sides() -> None:
    """What is drawn adds up to everything on either side, the rare values in one bar."""
    rng = np.random.default_rng(0)
    many = pl.DataFrame({"x": rng.integers(0, 40, 5000).astype(str), "y": rng.normal(size=5000)})
    for finding in compare(freeze(many), many.head(1000)).findings:
        if finding.aspect == "values":
            assert 9 <= len(finding.bars) <= 11
            assert sum(bar.reference for bar in finding.bars) == pytest.approx(1)
            assert sum(bar.current for bar in finding.bars) == pytest.approx(1)
    assert find(compare(freeze(many), many.head(1000)), "x").bars[-1].label == "all others"


def test_values_outside_the_training_range_are_told() -> None:
    """How many live values lie beyond what training saw is in the note and among the measures."""
    found = find(compare(REFERENCE, flows(500, seed=1, scale=100.0)), "duration")
    assert found.measures["outside range"] > 0.3
    assert "outside the training range" in found.note
    assert found.measures["mean shift in sd"] > 10


def test_rows_order_and_repetition_change_nothing() -> None:
    """The report is a function of the set of rows, and the same every time."""
    frame = flows(1000, seed=1, udp=0.5)
    report = compare(REFERENCE, frame)
    shuffled = compare(REFERENCE, frame.sample(fraction=1, shuffle=True, seed=3))
    for one, other in zip(report.findings, shuffled.findings, strict=True):
        assert {**one.to_row()} == {**other.to_row()}
        assert one.bars == other.bars
    assert compare(REFERENCE, frame) == report


def test_report_is_a_plain_value() -> None:
    """A report is stored and read back as any small result of a step."""
    report = compare(REFERENCE, flows(1000, seed=1, udp=0.5))
    assert plain.decode(plain.encode(report)) == report


@pytest.mark.parametrize(
    "wrong", [{"q": 0.0}, {"q": 1.0}, {"least_shift": -0.1}, {"least_gap": 1.5}, {"minimum_rows": 0}]
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """Thresholds outside their ranges give one clear message."""
    with pytest.raises(UsageError, match="q lies between 0 and 1"):
        DriftSettings(**wrong)


def cells(dtype: pl.DataType) -> st.SearchStrategy[Any]:
    """Return values of a column, the awkward ones more often than real data has them."""
    values: dict[pl.DataType, st.SearchStrategy[Any]] = {
        pl.Float64(): st.floats(width=64) | st.sampled_from([0.0, math.nan, math.inf, -math.inf, 5e-324, -0.0, 1e308]),
        pl.Float32(): st.floats(width=32),
        pl.Int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2),
        pl.Boolean(): st.booleans(),
        pl.String(): st.text(max_size=3) | st.sampled_from(["a", "1", "nan"]),
    }
    return st.none() | values[dtype]


@st.composite
def columns(draw: st.DrawFn) -> pl.Series:
    dtype = draw(st.sampled_from([pl.Float64(), pl.Float32(), pl.Int64(), pl.Boolean(), pl.String()]))
    values = draw(st.lists(cells(dtype), max_size=12))
    repeat = draw(st.sampled_from([1, 7, 50]))
    return pl.Series("x", values * repeat, dtype=dtype)


@given(trained=columns(), live=columns())
def test_no_data_is_too_awkward(trained: pl.Series, live: pl.Series) -> None:
    """NaN, infinities, nothing, one value, all null, other types: always a report, never an error or a warning."""
    report = compare(freeze(trained.to_frame()), live.to_frame())
    assert report.summary
    for finding in report.findings:
        if finding.p_value is not None:
            assert finding.adjusted_p is not None
            assert finding.effect is not None
            assert 0 <= finding.p_value <= finding.adjusted_p <= 1
            assert 0 <= finding.effect <= 1
    assert (report.verdict == "drift") == any(finding.is_alarm for finding in report.findings)
    assert len(report.to_rows()) == len(report.findings)
    assert plain.is_plain(report)
