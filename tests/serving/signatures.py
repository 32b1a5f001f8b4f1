"""Random signatures and rows that follow them, for properties that must hold for every model."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature
from filiera.serving.domain import INTEGER_RANGES, domain_of, json_value

TYPES = (*INTEGER_RANGES, "bool", "float32", "float64", "string", "date", "timestamp")
PATTERNS = ("", "^[a-c]*$", r"^\d{1,3}$", "a|b", "^.$")
LIMIT = st.floats(min_value=-1e6, max_value=1e6, width=32)
OUTPUT = Output(name="value", type="float64", semantics="value")


@st.composite
def fields(draw: st.DrawFn, name: str) -> Field:
    """Return a field that can be served."""
    kind = draw(st.sampled_from(TYPES))
    minimum = maximum = values = None
    if kind in INTEGER_RANGES or kind.startswith("float"):
        least, most = INTEGER_RANGES.get(kind, (-1_000_000, 1_000_000))
        spread = draw(
            st.lists(st.integers(max(least, -(2**53)), min(most, 2**53)), min_size=2, max_size=2, unique=True)
        )
        minimum, maximum = (draw(st.none() | st.just(float(each))) for each in sorted(spread))
        if draw(st.booleans()):
            values = draw(st.lists(st.integers(*sorted(spread)), min_size=1, max_size=4, unique=True))
    elif draw(st.booleans()):
        values = draw(st.lists(plain_values(kind), min_size=1, max_size=4, unique=True))
    limits: dict[str, Any] = {}
    if kind == "string" and values is None:
        limits = {"max_length": draw(st.none() | st.integers(3, 8)), "pattern": draw(st.sampled_from(PATTERNS))}
    field = Field(
        name=name,
        type=kind,
        nullable=draw(st.booleans()),
        minimum=minimum,
        maximum=maximum,
        values=None if values is None else tuple(values),
        **limits,
    )
    return replace(field, optional=True, default=draw(values_of(field))) if draw(st.booleans()) else field


def plain_values(kind: str) -> st.SearchStrategy[Any]:
    """Return JSON values of a type without limits."""
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.text(max_size=8)
    if kind == "date":
        return st.dates().map(json_value)
    return st.datetimes(timezones=st.just(dt.UTC)).map(json_value)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Return JSON values that *field* takes."""
    domain = domain_of(field)
    if domain.values is not None:
        taken: st.SearchStrategy[Any] = st.sampled_from(domain.values)
    elif field.type in INTEGER_RANGES:
        taken = st.integers(domain.lower, domain.upper)  # type: ignore[arg-type]
    elif field.type.startswith("float"):
        taken = st.floats(domain.lower, domain.upper, allow_nan=False, allow_infinity=False)
    elif field.pattern:
        fitting = st.from_regex(domain.pattern).map(lambda text: text[: field.max_length])
        taken = fitting.filter(lambda text: domain.broken_rule(text) is None)
    else:
        taken = plain_values(field.type).map(lambda value: value[: field.max_length] if field.max_length else value)
    return taken | st.none() if field.nullable else taken


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Return a signature whose field names may be any text."""
    names = draw(
        st.lists(st.text(max_size=6) | st.sampled_from(["class", "f0", "a b"]), min_size=1, max_size=5, unique=True)
    )
    inputs = tuple(draw(fields(name)) for name in names)
    return Signature(task="regression", inputs=inputs, outputs=(OUTPUT,), max_rows=4)


def rows_of(signature: Signature) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows that follow *signature*."""
    given = {field.name: values_of(field) for field in signature.inputs if not field.optional}
    perhaps = {field.name: values_of(field) for field in signature.inputs if field.optional}
    return st.fixed_dictionaries(given, optional=perhaps)
