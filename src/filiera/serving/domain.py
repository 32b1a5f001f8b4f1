"""What each field of a signature takes, as one set of rules: the contract states them, the decoder enforces them."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from filiera.core.patterns import portable
from filiera.core.signature import Field, Output, Signature
from filiera.core.value import dataclass
from filiera.errors import UsageError

INTEGER_RANGES: Mapping[str, tuple[int, int]] = {
    f"{sign}int{bits}": ((0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
_FLOAT32_MAX = 3.4028234663852886e38
_TEMPORAL: Mapping[str, type] = {"date": dt.date, "timestamp": dt.datetime}
_TEMPORAL_RULES = {
    "date": "must be a date such as 2026-01-31",
    "timestamp": "must be a time with an offset (RFC 3339), such as 2026-01-31T12:00:00Z",
}
_NO_RANGE = frozenset({"bool", "string", "date", "timestamp"})
_SHOWN_VALUES = 20


class _Unspeakable:
    """Stands for a number that JSON text can spell and a float64 cannot hold, or NaN, which JSON does not have."""


NOT_FINITE = _Unspeakable()


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """What one field takes, the limits of its type and of the signature together."""

    field: Field
    lower: int | float | None  #: least value taken; an int for integer types
    upper: int | float | None  #: greatest value taken
    values: tuple[str | int | bool, ...] | None  #: closed set, already cut to the limits
    pattern: str = ""  #: found in each text, as every dialect reads it

    def broken_rule(self, value: object) -> str | None:
        """Return which rule a decoded JSON *value* breaks, in words that do not repeat the value, or None."""
        if value is None:
            return None if self.field.nullable else "must not be null"
        rule = self.broken_type(value)
        if rule is not None:
            return f"{rule} or null" if self.field.nullable else rule
        if self.values is not None and value not in self.values:
            return f"must be one of: {_listed(self.values)}"
        if self.lower is not None and value < self.lower:  # type: ignore[operator]
            return f"must be at least {self.lower}"
        if self.upper is not None and value > self.upper:  # type: ignore[operator]
            return f"must be at most {self.upper}"
        return self._broken_text(value) if type(value) is str else None

    def _broken_text(self, text: str) -> str | None:
        longest = self.field.max_length
        if longest is not None and len(text) > longest:
            return f"must have at most {longest} characters"
        if self.pattern and re.search(self.pattern, text) is None:
            return f"must match {self.field.pattern}"
        return None

    def broken_type(self, value: object) -> str | None:
        """Return which rule of the type alone a JSON *value* breaks, or None."""
        kind = self.field.type
        if kind == "bool":
            return None if type(value) is bool else "must be true or false"
        if kind in INTEGER_RANGES:
            return None if type(held(kind, value)) is int else "must be an integer"
        if kind in ("float32", "float64"):
            return _broken_float(value)
        if type(value) is not str:
            return "must be a string"
        if kind == "string":
            return None if _is_unicode(value) else "must be valid Unicode"
        return None if try_temporal(kind, value) is not None else _TEMPORAL_RULES[kind]


def domain_of(field: Field) -> Domain:
    """Return what *field* takes.

    Raises:
        UsageError: Limits on a type without order, limits that are not finite, values of another type, limits of texts
            on another type, a default that is not taken, or a domain that takes nothing.

    >>> domain_of(Field(name="age", type="int8", minimum=0.5)).lower
    1
    """
    limits = [limit for limit in (field.minimum, field.maximum) if limit is not None]
    if limits and field.type in _NO_RANGE:
        raise _refused(field, f"a {field.type} has no minimum or maximum")
    if not all(math.isfinite(limit) for limit in limits):
        raise _refused(field, "its minimum or maximum is not a finite number")
    if field.type != "string" and (field.max_length is not None or field.pattern):
        raise _refused(field, f"a {field.type} has no length or pattern")
    if field.max_length is not None and field.max_length < 0:
        raise _refused(field, "its greatest length is negative")
    domain = _cut(field)
    if field.optional and (rule := domain.broken_rule(field.default)) is not None:
        raise _refused(field, f"its default {rule}")
    if not field.optional and field.default is not None:
        raise _refused(field, "it has a default and is not optional")
    return domain


def held(kind: str, value: Any) -> Any:
    """Return a decoded JSON *value* as a column of a type holds it: 1.0 is an integer, as JSON Schema has it.

    >>> held("int8", 1.0), held("int8", 1.5), held("float64", 1.0)
    (1, 1.5, 1.0)
    """
    return int(value) if type(value) is float and kind in INTEGER_RANGES and value.is_integer() else value


def output_domain(output: Output) -> Domain:
    """Return what *output* gives, the limits of its type and of the signature together; a probability from 0 to 1.

    Raises:
        UsageError: As ``domain_of``.
    """
    is_probability = output.semantics == "probability"
    return domain_of(
        Field(
            name=output.name,
            type=output.type,
            minimum=0 if is_probability else output.minimum,
            maximum=1 if is_probability else output.maximum,
            values=None if is_probability or output.extensible or not output.labels else output.labels,
        )
    )


def _cut(field: Field) -> Domain:
    lower, upper = _limits(field)
    pattern = portable(field.pattern) if field.pattern else ""
    plain = Domain(field=field, lower=lower, upper=upper, values=None, pattern=pattern)
    if field.values is None:
        if lower is not None and upper is not None and lower > upper:
            raise _refused(field, "no value lies between its minimum and maximum")
        return plain
    if any(value is None or plain.broken_type(value) is not None for value in field.values):
        raise _refused(field, f"its values are not all of type {field.type}")
    values = tuple(held(field.type, value) for value in field.values if plain.broken_rule(value) is None)
    if not values:
        raise _refused(field, "none of its values is within its limits")
    return replace(plain, values=values)


def domains_of(signature: Signature) -> tuple[Domain, ...]:
    """Return the domain of every input, in order. Raises UsageError also for names that occur twice or not at all."""
    names = [field.name for field in signature.inputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        why = f"field names occur more than once: {_listed(twice)}" if twice else "it has no inputs"
        raise UsageError(
            "This signature cannot be served.", why=why, do="publish the model again with another signature"
        )
    return tuple(domain_of(field) for field in signature.inputs)


def try_temporal(kind: str, text: str) -> dt.date | dt.datetime | None:
    """Return the date, or the time in UTC without its offset, that *text* says; None when it says none."""
    try:
        value: Any = msgspec.convert(text, _TEMPORAL[kind])
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else None
        return value if isinstance(value, dt.date) else None
    except (msgspec.ValidationError, UnicodeError, OverflowError):
        return None


def json_value(value: object) -> object:
    """Return *value* as JSON spells it: times in UTC with an offset, NaN and infinities as null, NumPy's as Python's.

    >>> json_value(dt.datetime(2026, 1, 31, 12))
    '2026-01-31T12:00:00Z'
    """
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"{utc.isoformat()}Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if type(value).__module__ == "numpy":
        return json_value(value.item())  # type: ignore[attr-defined]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _limits(field: Field) -> tuple[int | float | None, int | float | None]:
    if field.type in INTEGER_RANGES:
        least, most = INTEGER_RANGES[field.type]
        lower = least if field.minimum is None else max(least, math.ceil(field.minimum))
        return lower, most if field.maximum is None else min(most, math.floor(field.maximum))
    if field.type == "float32":
        lower32 = -_FLOAT32_MAX if field.minimum is None else max(-_FLOAT32_MAX, field.minimum)
        return lower32, _FLOAT32_MAX if field.maximum is None else min(_FLOAT32_MAX, field.maximum)
    return field.minimum, field.maximum


def _broken_float(value: object) -> str | None:
    if value is NOT_FINITE:
        return "must be a finite number"
    if type(value) is int:
        try:
            float(value)
        except OverflowError:
            return "must be a finite number"
        return None
    return None if type(value) is float else "must be a number"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    return shown if len(values) <= _SHOWN_VALUES else f"{shown}, … ({len(values)} in all)"


def _refused(field: Field, why: str) -> UsageError:
    return UsageError(f"Field {field.name!r} of the signature cannot be served.", why=why)
