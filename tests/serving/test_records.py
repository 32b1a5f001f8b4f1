"""Bodies into columns: what is taken, what is refused, and where."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Signature
from filiera.errors import UsageError
from filiera.serving.batch import polars_type
from filiera.serving.domain import INTEGER_RANGES
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import request_body
from tests.serving.signatures import OUTPUT, TYPES, rows_of, signatures

ANYTHING = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=4)


def signature_of(*inputs: Field, max_rows: int = 4) -> Signature:
    return Signature(task="regression", inputs=inputs, outputs=(OUTPUT,), max_rows=max_rows)


def decode(field: Field, literal: str) -> Any:
    """Return what one field makes of a JSON *literal*."""
    body = f'{{"instances": [{{{json.dumps(field.name)}: {literal}}}]}}'
    return RowDecoder(signature_of(field)).decode(body.encode()).frame()[field.name][0]


def rule(field: Field, literal: str) -> str:
    """Return the rule that a JSON *literal* breaks."""
    with pytest.raises(RequestRefused) as caught:
        decode(field, literal)
    assert caught.value.problem.status == 422
    (error,) = caught.value.problem.errors
    assert error.at.startswith("instances[0]")
    return error.rule


def refusal(signature: Signature, body: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Return status, places and rules of a refused body."""
    with pytest.raises(RequestRefused) as caught:
        RowDecoder(signature).decode(body)
    problem = caught.value.problem
    return problem.status, [(error.at, error.rule) for error in problem.errors]


INTEGER = "must be an integer"


@pytest.mark.parametrize(
    ("kind", "literal", "expected"),
    [
        ("int8", "-128", -128),
        ("int8", "128", "must be at most 127"),
        ("uint8", "-1", "must be at least 0"),
        ("int32", "1.0", 1),
        ("int32", "1e2", 100),
        ("int32", "-0.0", 0),
        ("int32", "1.5", INTEGER),
        ("int8", "128.0", "must be at most 127"),
        ("int64", "9223372036854775808.0", "must be at most 9223372036854775807"),
        ("int64", "1e400", INTEGER),
        ("int32", "true", INTEGER),
        ("int32", '"1"', INTEGER),
        ("int32", "null", "must not be null"),
        ("int64", "9223372036854775807", 2**63 - 1),
        ("int64", "9223372036854775808", "must be at most 9223372036854775807"),
        ("uint64", "18446744073709551615", 2**64 - 1),
        ("uint64", "18446744073709551616", "must be at most 18446744073709551615"),
        ("int64", "1" * 5000, INTEGER),
        ("float64", "5", 5.0),
        ("float64", "1" + "0" * 300, 1e300),
        ("float64", "true", "must be a number"),
        ("float64", "NaN", "must be a finite number"),
        ("float64", "-Infinity", "must be a finite number"),
        ("float64", "1e400", "must be a finite number"),
        ("float64", "1" * 350, "must be a finite number"),
        ("float64", "1e-400", 0.0),
        ("float32", "1e39", "must be at most 3.4028234663852886e+38"),
        ("float32", "0.5", 0.5),
        ("bool", "false", False),
        ("bool", "0", "must be true or false"),
        ("string", '"\\u0000"', "\0"),
        ("string", '"\\ud800"', "must be valid Unicode"),
        ("string", "1", "must be a string"),
        ("date", '"2026-02-28"', dt.date(2026, 2, 28)),
        ("date", '"2026-02-30"', "must be a date such as 2026-01-31"),
        ("date", '"20260228"', "must be a date such as 2026-01-31"),
        ("timestamp", '"2026-01-31T12:00:00+02:00"', dt.datetime(2026, 1, 31, 10)),
        (
            "timestamp",
            '"2026-01-31T12:00:00"',
            "must be a time with an offset (RFC 3339), such as 2026-01-31T12:00:00Z",
        ),
        (
            "timestamp",
            '"0001-01-01T00:00:00+10:00"',
            "must be a time with an offset (RFC 3339), such as 2026-01-31T12:00:00Z",
        ),
    ],
)
def test_each_type_takes_its_values_and_names_the_rule_for_others(kind: Any, literal: str, expected: Any) -> None:
    """No type slides into another: not 1.5 into an integer, not true into 1, not a large number into infinity.

    1.0 is an integer in another spelling, which JSON Schema takes, and so do whoever writes all numbers so.
    """
    field = Field(name="x", type=kind)
    if isinstance(expected, str) and expected.startswith("must"):
        assert rule(field, literal) == expected
    else:
        assert decode(field, literal) == expected


@pytest.mark.parametrize("kind", TYPES)
def test_null_is_taken_where_the_field_is_nullable(kind: Any) -> None:
    """Null means missing and becomes a null of the column's type."""
    decoder = RowDecoder(signature_of(Field(name="x", type=kind, nullable=True)))
    frame = decoder.decode(b'{"instances": [{"x": null}]}').frame()
    assert frame["x"].to_list() == [None]
    assert frame.schema["x"] == polars_type(kind)


def test_a_domain_is_cut_to_what_its_type_can_hold() -> None:
    """Fractions as limits of integers are rounded inwards; closed values outside the limits are not taken."""
    field = Field(name="x", type="int8", minimum=0.5, maximum=1000)
    assert rule(field, "0") == "must be at least 1"
    assert rule(field, "128") == "must be at most 127"
    assert rule(Field(name="x", type="int8", values=(1, 2, 30), maximum=9), "30") == "must be one of: 1, 2"
    assert rule(Field(name="x", type="float64", values=(0, 1)), "0.5") == "must be one of: 0, 1"
    assert decode(Field(name="x", type="float64", values=(0, 1)), "1.0") == 1.0
    assert rule(Field(name="x", type="bool", values=(True,)), "false") == "must be one of: True"


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (Field(name="x", type="int8"), Field(name="x", type="bool")),
        (Field(name="x", type="string", minimum=1),),
        (Field(name="x", type="float64", minimum=float("nan")),),
        (Field(name="x", type="int8", minimum=2, maximum=1),),
        (Field(name="x", type="int8", minimum=200),),
        (Field(name="x", type="int8", values=("a",)),),
        (Field(name="x", type="int8", values=(True,)),),
        (Field(name="x", type="string", values=()),),
        (Field(name="x", type="date", values=("yesterday",)),),
    ],
)
def test_a_signature_that_takes_nothing_is_refused_when_building(inputs: tuple[Field, ...]) -> None:
    """Repeated names, impossible or meaningless domains are found before anybody is served."""
    with pytest.raises(UsageError, match="cannot be served"):
        RowDecoder(signature_of(*inputs))


def test_all_errors_are_named_with_their_places() -> None:
    """Missing, extra and wrong fields of all rows are told at once."""
    signature = signature_of(Field(name="a", type="int8"), Field(name="b c", type="bool"))
    body = b'{"instances": [{"a": 1, "b c": true}, 7, {"a": "x", "d": [1], "": 2}]}'
    assert refusal(signature, body) == (
        422,
        [
            ("instances[1]", "must be an object with one value per field"),
            ("instances[2].a", INTEGER),
            ('instances[2]["b c"]', "is missing"),
            ("instances[2].d", "is not a field of this model"),
            ('instances[2][""]', "is not a field of this model"),
        ],
    )


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b"[]", "body"),
        (b"null", "body"),
        (b"{}", "instances"),
        (b'{"instances": {}}', "instances"),
        (b'{"instances": []}', "instances"),
        (b'{"instances": [{"a": 1}], "extra": 1}', "extra"),
    ],
)
def test_the_envelope_is_checked_too(body: bytes, at: str) -> None:
    """What stands around the rows has a place as well."""
    status, errors = refusal(signature_of(Field(name="a", type="int8")), body)
    assert status == 422
    assert errors[0][0] == at


def test_at_most_twenty_errors_are_named() -> None:
    """A body wrong everywhere gets a short answer."""
    signature = signature_of(Field(name="a", type="int8"), max_rows=1000)
    status, errors = refusal(signature, request_body([{"a": -1000}] * 1000))
    assert (status, len(errors)) == (422, 20)


def test_unknown_names_are_shown_short_and_valid() -> None:
    """The name of an unknown field is the caller's text: cut, and never a half of a Unicode pair."""
    body = b'{"instances": [{"a": 1, "\\ud800": 1, "' + b"x" * 500 + b'": 1}]}'
    _, errors = refusal(signature_of(Field(name="a", type="int8")), body)
    for at, _ in errors:
        assert len(at.encode()) < 100


def test_a_repeated_key_counts_with_its_last_value() -> None:
    """As most readers of JSON do, whichever pass reads it."""
    signature = signature_of(Field(name="a", type="int8"))
    for first in (b"1", b'"x"'):
        frame = RowDecoder(signature).decode(b'{"instances": [{"a": ' + first + b', "a": 2}]}').frame()
        assert frame["a"].to_list() == [2]


@given(data=st.data())
def test_valid_rows_become_exactly_their_columns(data: st.DataObject) -> None:
    """For any signature, rows that follow it come out with the names, order, types and values of the signature."""
    signature = data.draw(signatures())
    rows = data.draw(st.lists(rows_of(signature), min_size=1, max_size=signature.max_rows))
    frame = RowDecoder(signature).decode(request_body(rows)).frame()
    assert frame.schema == pl.Schema({field.name: polars_type(field.type) for field in signature.inputs})
    for field in signature.inputs:
        if field.type not in ("date", "timestamp", "float32"):
            assert frame[field.name].to_list() == [row.get(field.name, field.default) for row in rows]


@given(data=st.data())
def test_both_passes_take_the_same_and_give_the_same(data: st.DataObject) -> None:
    """The pass that names errors is no second opinion: it accepts what the fast one accepts, with the same columns."""
    signature = data.draw(signatures())
    rows = data.draw(st.lists(rows_of(signature), min_size=1, max_size=signature.max_rows))
    name = data.draw(st.sampled_from(signature.inputs)).name
    rows[0][name] = data.draw(ANYTHING | st.just(rows[0].get(name)))
    body = json.dumps({"instances": rows}).encode()
    fast, slow = RowDecoder(signature), RowDecoder(signature)
    slow._fast = None
    assert outcome(fast, body) == outcome(slow, body)


def outcome(decoder: RowDecoder, body: bytes) -> Any:
    try:
        return decoder.decode(body).frame().to_dict(as_series=False)
    except RequestRefused as refused:
        return refused.problem


def test_ranges_are_those_of_arrow() -> None:
    """The limits of the integer types are what polars can hold."""
    for kind, limits in INTEGER_RANGES.items():
        assert pl.Series(limits, dtype=polars_type(kind)).to_list() == list(limits)  # type: ignore[arg-type]


@given(data=st.data())
def test_a_large_body_of_numbers_gets_the_verdict_of_a_small_one(data: st.DataObject) -> None:
    """Read without a look at each number, then looked at together: the same rows, or the same refusal."""
    field = {"type": "float64", "nullable": data.draw(st.booleans()), "minimum": -1.0, "maximum": 10.0}
    inputs = (
        Field(name="a", **field),  # type: ignore[arg-type]
        Field(name=data.draw(st.sampled_from(["b", 'b"'])), type="float64"),
        Field(name="c", type="float64", optional=True, default=1, values=data.draw(st.sampled_from([None, (0, 1)]))),
    )
    numbers = st.sampled_from([None, 0, 1, 0.5, -1, 10, 10.5, "1", True, 2**60, 1e300, [1]])
    names = st.sampled_from([each.name for each in inputs])
    row = {each.name: 1 for each in inputs}
    strange = st.dictionaries(names | st.just("d"), numbers, min_size=1, max_size=2)
    changes = data.draw(st.dictionaries(st.integers(0, 3), strange, max_size=3))
    rows = [row | changes.get(place, {}) for place in range(4)]
    signature = signature_of(*inputs, max_rows=data.draw(st.sampled_from([3, 4])))
    body = json.dumps({"instances": rows}).encode()
    assert outcome(RowDecoder(signature), body + b" " * 2**16) == outcome(RowDecoder(signature), body)


@pytest.mark.parametrize("body", [b'{"instances": []}', b'{"instances": [{"a": 1}]', b'{"instances": [{}]}', b"[1]"])
def test_a_large_body_that_is_wrong_otherwise_is_told_so(body: bytes) -> None:
    """No rows, no JSON, no value, no object."""
    signature = signature_of(Field(name="a", type="float64"))
    assert refusal(signature, body + b" " * 2**16) == refusal(signature, body)


def test_numbers_of_a_large_body_come_as_columns() -> None:
    """Which what is missing does not change; and no model can write into what is logged after it."""
    inputs = [Field(name=name, type="float64", nullable=True) for name in "ab"]
    rows = [{"a": place / 7, "b": None if place % 3 else place} for place in range(5000)]
    batch = RowDecoder(signature_of(*inputs, max_rows=5000)).decode(json.dumps({"instances": rows}).encode())
    assert batch.is_columnar
    assert batch.frame().to_dicts() == rows
    whole = signature_of(Field(name="a", type="float64"), max_rows=5000)
    of_whole = RowDecoder(whole).decode(json.dumps({"instances": [{"a": row["a"]} for row in rows]}).encode())
    assert of_whole.matrix().ravel().tolist() == [row["a"] for row in rows]
    assert not of_whole.matrix().flags.writeable
