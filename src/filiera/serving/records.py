"""Request bodies into typed columns.

The good path is one msgspec call into a class made from the signature. Only when it refuses does a second, slow pass
look at every value, to say what is wrong and where; what that pass accepts is accepted (a repeated key whose last value
is right, a name that msgspec cannot spell, or 1.0 for an integer).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec

from filiera.core.signature import Signature
from filiera.serving.batch import Batch
from filiera.serving.bulk import BulkDecoder
from filiera.serving.domain import INTEGER_RANGES, NOT_FINITE, Domain, domains_of, held, try_temporal
from filiera.serving.problem import (
    MAX_ERRORS,
    Problem,
    RequestRefused,
    RowError,
    invalid_rows,
    place_of,
    shown,
    too_many_rows,
)
from filiera.serving.row_type import request_type

_LARGE_BYTES = 64 * 1024
"""What is larger is looked at all together, if that can be."""
_INT64_MAX = 2**63 - 1
_LONGEST_FLOAT = 400  #: digits; a longer whole number is beyond float64 in any case


class _Mismatch(Exception):
    """The good path cannot take the body; the slow pass says why."""


class RowDecoder:
    """Decodes the request bodies of one signature."""

    def __init__(self, signature: Signature) -> None:
        """Prepare the decoder. Raises UsageError when the signature cannot be served."""
        self._signature = signature
        self._domains = domains_of(signature)
        self._fields = signature.inputs
        self._max_rows = signature.max_rows
        self._known = frozenset(field.name for field in signature.inputs)
        self._fast = _fast_decoder(self._domains)
        self._looked_at = [(place, domain) for place, domain in enumerate(self._domains) if _needs_look(domain)]
        self._times = [place for place, field in enumerate(signature.inputs) if field.type in ("date", "timestamp")]
        # What is left out of a row, or spelled otherwise than it is understood, is not in the body as it was meant.
        self._is_literal = not (self._times or any(field.optional for field in signature.inputs))

    def decode(self, body: bytes) -> Batch:
        """Return the rows of a request.

        Raises:
            RequestRefused: With status 400 (not JSON), 413 (too many rows) or 422 (breaks the signature).
        """
        if len(body) > _LARGE_BYTES and self._bulk is not None and (found := self._bulk.try_batch(body)) is not None:
            return found
        try:
            return Batch.of_rows(self._fields, self._fast_rows(body), body if self._is_literal else None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Mismatch):
            rows = self._checked_rows(body)
        return Batch.of_rows(
            self._fields,
            self._understood([[held(f.type, row.get(f.name, f.default)) for f in self._fields] for row in rows]),
        )

    @cached_property
    def _bulk(self) -> BulkDecoder | None:
        is_all_floats = all(field.type == "float64" for field in self._fields)
        return BulkDecoder(self._signature) if is_all_floats else None

    def _fast_rows(self, body: bytes) -> list[Any]:
        if self._fast is None:
            raise _Mismatch
        found = self._fast.decode(body).instances
        if not 0 < len(found) <= self._max_rows:
            raise _Mismatch
        rows = [*map(msgspec.structs.astuple, found)]
        for place, domain in self._looked_at:
            if any(domain.broken_rule(row[place]) for row in rows):
                raise _Mismatch
        return self._understood(rows)

    def _understood(self, rows: list[Any]) -> list[Any]:
        """Return *rows* with dates and times in place of their texts."""
        if not self._times:
            return rows
        understood = [list(row) for row in rows]
        for place in self._times:
            kind = self._fields[place].type
            for row in understood:
                row[place] = None if row[place] is None else try_temporal(kind, row[place])
        return understood

    def _checked_rows(self, body: bytes) -> list[dict[str, Any]]:
        rows = _rows(_parse(body), self._max_rows)
        found = (error for index, row in enumerate(rows) for error in self._row_errors(row, f"instances[{index}]"))
        errors = list(islice(found, MAX_ERRORS))
        if errors:
            raise invalid_rows(errors)
        return rows

    def _row_errors(self, row: object, at: str) -> Iterator[RowError]:
        if not isinstance(row, dict):
            yield RowError(at=at, rule="must be an object with one value per field")
            return
        for domain in self._domains:
            name = domain.field.name
            if name not in row and domain.field.optional:
                continue
            rule = domain.broken_rule(row[name]) if name in row else "is missing"
            if rule is not None:
                yield RowError(at=place_of(at, name), rule=rule)
        for name in row:
            if name not in self._known:
                yield RowError(at=place_of(at, name), rule="is not a field of this model")


def _fast_decoder(domains: Sequence[Domain]) -> msgspec.json.Decoder[Any] | None:
    """Return the decoder of one request; None when msgspec cannot spell a field's name."""
    found = request_type([domain.field for domain in domains], [_msgspec_type(domain) for domain in domains])
    return None if found is None else msgspec.json.Decoder(found)


def _msgspec_type(domain: Domain) -> Any:
    found = _literal(domain) if domain.values is not None and not _needs_look(domain) else _bounded(domain)
    return found | None if domain.field.nullable else found


def _literal(domain: Domain) -> Any:
    assert domain.values is not None
    return Literal.__getitem__(domain.values)


def _bounded(domain: Domain) -> Any:
    kind = domain.field.type
    if kind == "bool":
        return bool
    if kind not in INTEGER_RANGES and kind not in ("float32", "float64"):
        longest, pattern = domain.field.max_length, domain.pattern or None
        return (
            str
            if longest is None and pattern is None
            else Annotated[str, msgspec.Meta(max_length=longest, pattern=pattern)]
        )
    lower, upper = domain.lower, domain.upper
    if kind == "uint64" and upper is not None and upper > _INT64_MAX:
        upper = None
    return Annotated[int if kind in INTEGER_RANGES else float, msgspec.Meta(ge=lower, le=upper)]


def _needs_look(domain: Domain) -> bool:
    """Tell whether msgspec cannot express the whole domain, so that each value is looked at again."""
    kind = domain.field.type
    if kind in ("date", "timestamp"):
        return True
    if kind == "uint64":
        return domain.upper is not None and domain.upper > _INT64_MAX
    return kind in ("float32", "float64") and domain.values is not None


def _parse(body: bytes) -> object:
    """Return the JSON value, with NOT_FINITE for numbers beyond float64 and for NaN and infinities."""
    try:
        return json.loads(
            body.decode(),
            parse_int=lambda text: int(text) if len(text) <= _LONGEST_FLOAT else NOT_FINITE,
            parse_float=lambda text: number if math.isfinite(number := float(text)) else NOT_FINITE,
            parse_constant=lambda _: NOT_FINITE,
        )
    except UnicodeDecodeError:
        detail = "It is not UTF-8 text."
    except RecursionError:
        detail = "It is nested too deeply."
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno}, column {error.colno}."
    raise RequestRefused(Problem(kind="not-json", detail=detail))


def _rows(request: object, max_rows: int) -> list[Any]:
    if not isinstance(request, dict):
        raise invalid_rows([RowError(at="body", rule='must be an object such as {"instances": [{…}]}')])
    errors = [RowError(at=shown(name), rule="is not known here") for name in request if name != "instances"]
    rows = request.get("instances")
    if not isinstance(rows, list):
        errors.append(RowError(at="instances", rule="must be a list of rows"))
    elif not rows:
        errors.append(RowError(at="instances", rule="must have at least one row"))
    if errors or not isinstance(rows, list):
        raise invalid_rows(errors)
    if len(rows) > max_rows:
        raise too_many_rows(len(rows), max_rows)
    return rows
