"""Rows made up from a signature, the same ones each time: requests that it takes, and requests that it must refuse."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filiera.core.signature import Field, Signature
from filiera.core.value import dataclass
from filiera.serving.contract import shown_examples
from filiera.serving.domain import INTEGER_RANGES, Domain, domains_of

SECRET = "zq-a-value-of-the-caller-7391"  # noqa: S105 - no password
"""What wrong rows have in them, so that it can be told whether an answer repeats it."""
_SECRET_NUMBER = 739_184_652_301
_NULL_SHARE, _LEFT_OUT_SHARE = 0.1, 0.2
_DAYS = 700
_START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_TEXTS = ("a", "b", "0", "a1", "A", "ab", "abc", "abcd", "123", "a-b", "a_b", "")
_ODD_TEXTS = ("", " ", "ü", "日本", "\U0001f600", "\x00", "a" * 1000, "null", "'; --", "<b>")
_HUGE = 1e30  # what float32 can hold, too, which many models compute with


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongRow:
    """A row that must be refused."""

    row: Mapping[str, Any]
    name: str  #: the field that the refusal must name


class MadeRows:
    """Makes rows of one signature from a seed."""

    def __init__(self, signature: Signature, *, seed: int = 0) -> None:
        self._domains = domains_of(signature)
        self._chance = random.Random(seed)
        self._examples = shown_examples(signature)

    def ordinary(self, count: int) -> list[dict[str, Any]]:
        """Return the examples, and rows of values between those of the examples, within the domains."""
        made = [dict(row) for row in self._examples[:count]]
        while len(made) < count:
            made.append(self._row(self._ordinary))
        return made

    def extreme(self, count: int) -> list[dict[str, Any]]:
        """Return rows at the ends of the domains: as large, small, long, late and strange as they may be."""
        return [self._row(self._extreme) for _ in range(count)]

    def wrong(self) -> Iterator[WrongRow]:
        """Yield rows in which just one field has a value that it does not take, is missing, or is not known."""
        base = self.ordinary(1)[0]
        for domain in self._domains:
            name = domain.field.name
            for value in _wrong_values(domain):
                yield WrongRow(row={**base, name: value}, name=name)
            if not domain.field.optional:
                yield WrongRow(row={key: value for key, value in base.items() if key != name}, name=name)
        yield WrongRow(row={**base, "no_such_field": SECRET}, name="no_such_field")

    def _row(self, value_of: Any) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for domain in self._domains:
            field = domain.field
            if field.optional and self._chance.random() < _LEFT_OUT_SHARE:
                continue
            if field.nullable and self._chance.random() < _NULL_SHARE:
                row[field.name] = None
            else:
                row[field.name] = value_of(domain)
        return row

    def _ordinary(self, domain: Domain) -> Any:
        field = domain.field
        if domain.values is not None:
            return self._chance.choice(domain.values)
        if field.type == "bool":
            return self._chance.random() < 0.5
        seen = [row[field.name] for row in self._examples if row.get(field.name) is not None]
        if field.type in ("date", "timestamp"):
            return self._chance.choice(seen) if seen else self._time(field)
        if field.type == "string":
            return self._text(domain, [text for text in seen if text] or _TEXTS)
        return self._number(domain, seen)

    def _number(self, domain: Domain, seen: Sequence[float]) -> float:
        lower, upper = (min(seen), max(seen)) if seen else (0, 1)
        upper = upper if upper > lower else lower + max(1, abs(lower))  # of examples that are all alike
        if domain.field.minimum is not None and domain.field.maximum is not None:
            lower, upper = domain.lower, domain.upper  # type: ignore[assignment]
        lower, upper = (_within(domain, end) for end in (lower, upper))
        if domain.field.type in INTEGER_RANGES:
            return self._chance.randint(int(lower), int(upper))
        drawn = self._chance.uniform(lower, upper)
        return min(max(drawn, lower), upper)

    def _time(self, field: Field) -> str:
        moment = _START + dt.timedelta(days=self._chance.randrange(_DAYS))
        return moment.date().isoformat() if field.type == "date" else f"{moment:%Y-%m-%dT%H:%M:%SZ}"

    def _text(self, domain: Domain, texts: Sequence[str]) -> str | None:
        """Return one of *texts* that the domain takes, or another; a pattern may want what we cannot guess: null."""
        taken = [text for text in (*texts, *_TEXTS) if domain.broken_rule(text) is None]
        return self._chance.choice(taken[: max(1, len(texts))]) if taken else None

    def _extreme(self, domain: Domain) -> Any:
        field = domain.field
        if domain.values is not None or field.type == "bool":
            return self._ordinary(domain)
        if field.type == "string":
            return self._text(domain, _ODD_TEXTS)
        if field.type == "date":
            return self._chance.choice(["0001-01-01", "9999-12-31", "1970-01-01"])
        if field.type == "timestamp":
            return self._chance.choice(["0001-01-02T00:00:00Z", "9999-12-30T00:00:00Z", "1970-01-01T00:00:00.000001Z"])
        ends = [-_HUGE if domain.lower is None else domain.lower, _HUGE if domain.upper is None else domain.upper]
        taken = [value for value in (*ends, 0) if domain.broken_rule(value) is None]
        return self._chance.choice(taken)


def _within(domain: Domain, number: float) -> float:
    """Return what of a domain is nearest to *number*."""
    number = number if domain.lower is None else max(number, domain.lower)
    return number if domain.upper is None else min(number, domain.upper)


def _wrong_values(domain: Domain) -> Iterator[Any]:
    candidates: list[Any] = [None, SECRET, True, _SECRET_NUMBER, _SECRET_NUMBER + 0.5, [SECRET], {SECRET: 1}]
    candidates += [-_SECRET_NUMBER, 10**400, f"{SECRET}{'x' * (domain.field.max_length or 0)}"]
    for limit, by in ((domain.lower, -1), (domain.upper, 1)):
        if limit is not None:
            candidates.append(limit + by)
    for value in candidates:
        if domain.broken_rule(value) is not None:
            yield value
