"""In what respects one domain has values that another lacks: requests must not lose any, responses not gain any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from filiera.serving.domain import INTEGER_RANGES, Domain

Respect = Literal["null", "type", "values", "minimum", "maximum", "length", "pattern"]

_FLOATS = ("float32", "float64")
_TEXTS = ("string", "date", "timestamp")
_COUNTED = 1024
_DATE_LENGTH = 10


def beyond(inner: Domain, outer: Domain) -> tuple[Respect, ...]:
    """Return in what respects *inner* has JSON values that *outer* lacks; () when it lies within.

    Exact but for patterns: whether one pattern's texts are among another's, or are short anyhow, is not decided, so
    that two that differ are taken to be different, and a length below that of before is one.
    """
    nulls: tuple[Respect, ...] = ("null",) if inner.field.nullable and not outer.field.nullable else ()
    listed = _listed(inner)
    if listed is not None:
        return nulls + _lacking(listed, outer)
    if not _is_type_within(inner.field.type, outer.field.type):
        return (*nulls, "type")
    if outer.values is not None:
        return (*nulls, "values")
    return nulls + _limits(inner, outer)


def _listed(domain: Domain) -> Sequence[Any] | None:
    """Return all JSON values of a domain that has few, but null; a float's whole numbers in both spellings."""
    kind = domain.field.type
    values: Sequence[Any] | None = domain.values
    if values is None:
        values = _all_between(domain)
    if values is None or kind not in _FLOATS:
        return values
    return [*values, *(float(value) for value in values)]


def _all_between(domain: Domain) -> Sequence[Any] | None:
    if domain.field.type == "bool":
        return (False, True)
    if domain.field.max_length == 0:
        return [text for text in ("",) if domain.broken_rule(text) is None]
    if domain.lower is None or domain.upper is None:
        return None
    if domain.lower == domain.upper:
        return (domain.lower,)
    if domain.field.type in INTEGER_RANGES and domain.upper - domain.lower < _COUNTED:
        return range(int(domain.lower), int(domain.upper) + 1)
    return None


def _lacking(values: Sequence[Any], outer: Domain) -> tuple[Respect, ...]:
    broken = {_broken(value, outer) for value in values}
    order: tuple[Respect, ...] = ("type", "values", "minimum", "maximum", "length", "pattern")
    return tuple(respect for respect in order if respect in broken)


def _broken(value: Any, outer: Domain) -> Respect | None:
    if outer.broken_rule(value) is None:
        return None
    if outer.broken_type(value):
        return "type"
    if outer.values is not None:
        return "values"
    if outer.lower is not None and value < outer.lower:
        return "minimum"
    if outer.upper is not None and value > outer.upper:
        return "maximum"
    longest = outer.field.max_length
    return "length" if longest is not None and len(value) > longest else "pattern"


def _is_type_within(inner: str, outer: str) -> bool:
    if inner in INTEGER_RANGES:
        return outer in INTEGER_RANGES or outer in _FLOATS
    if inner in _FLOATS:
        return outer in _FLOATS
    return inner == outer or (outer == "string" and inner in _TEXTS)


def _limits(inner: Domain, outer: Domain) -> tuple[Respect, ...]:
    found: list[Respect] = []
    if outer.lower is not None and (inner.lower is None or inner.lower < outer.lower):
        found.append("minimum")
    if outer.upper is not None and (inner.upper is None or inner.upper > outer.upper):
        found.append("maximum")
    longest, other = (_longest(domain) for domain in (inner, outer))
    if other is not None and (longest is None or longest > other):
        found.append("length")
    if outer.pattern and outer.pattern != inner.pattern:
        found.append("pattern")
    return tuple(found)


def _longest(domain: Domain) -> int | None:
    return _DATE_LENGTH if domain.field.type == "date" else domain.field.max_length
