"""Columns into a batch: what the decoder of rows does, for surfaces that bring values by column.

Whether a column is taken is found out for all its values at once. The values that are refused then go one by one
through the same ``Domain`` as the values of rows, so that every surface gives the same verdict in the same words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from filiera.core.signature import Field, Signature
from filiera.core.value import dataclass
from filiera.serving.batch import Batch, Column
from filiera.serving.domain import INTEGER_RANGES, NOT_FINITE, Domain, domains_of, held, json_value, try_temporal
from filiera.serving.problem import MAX_ERRORS, RowError, invalid_rows, place_of, too_many_rows

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

_FLOATS = ("float32", "float64")
_KINDS: Mapping[str, str] = {"bool": "b", **dict.fromkeys(INTEGER_RANGES, "iu"), **dict.fromkeys(_FLOATS, "fiu")}
"""Which kinds of NumPy array a field of a type takes; fields of other types take lists only."""
_YEARS = ("0001-01-01", "9999-12-31T23:59:59.999999")
_Faults = list[tuple[int, str]]
"""Rows and the rules that they break, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """The values of one field as a surface brought them."""

    values: Array | Sequence[Any]  #: numbers or truths as an array; else JSON's, or dates and times; None is missing
    missing: Array | None = None  #: which of an array's values are missing; NaN is in any case


class ColumnDecoder:
    """Takes the columns of one signature."""

    def __init__(self, signature: Signature) -> None:
        """Prepare the decoder. Raises UsageError when the signature cannot be served."""
        self._domains = domains_of(signature)
        self._fields = signature.inputs
        self.names = tuple(field.name for field in signature.inputs)
        self._max_rows = signature.max_rows
        self._known = frozenset(self.names)
        self.matrix_type = _matrix_type(signature.inputs)  #: of all inputs, if it is one of numbers; else None
        self._limits = _limits(self._domains, self.matrix_type)

    def check_height(self, height: int) -> None:
        """Raise RequestRefused unless a request may have so many rows; to be asked before memory is taken for them."""
        if height < 1:
            raise invalid_rows([RowError(at="instances", rule="must have at least one row")])
        if height > self._max_rows:
            raise too_many_rows(height, self._max_rows)

    def batch(self, given: Mapping[str, Given], height: int) -> Batch:
        """Return the columns in the signature's order, each of its type.

        Args:
            given: By the field's name; each column with *height* values.
            height: How many rows there are.

        Raises:
            RequestRefused: With status 413 (too many rows) or 422 (breaks the signature), as the decoder of rows does.
        """
        self.check_height(height)
        stacked = self._try_stacked(given)
        if stacked is not None and self._fits(stacked):
            return Batch.of_matrix(self._fields, stacked.T)
        return self._judged(given, height)

    def of_matrix(self, matrix: Array) -> Batch:
        """Return the rows of a *matrix* of ``matrix_type``, shape ``(rows, inputs)``.

        Raises:
            RequestRefused: As ``batch``.
        """
        self.check_height(len(matrix))
        if self._fits(matrix.T):
            return Batch.of_matrix(self._fields, matrix.astype(self.matrix_type, copy=False))
        pairs = zip(self._fields, matrix.T, strict=True)
        return self._judged({field.name: Given(values=values) for field, values in pairs}, len(matrix))

    def _try_stacked(self, given: Mapping[str, Given]) -> Array | None:
        """Return all columns as one array, shape ``(inputs, rows)``, if they are of one type and nothing is missing."""
        import numpy as np

        if self._limits is None or len(given) != len(self._fields):
            return None
        columns = [given.get(field.name) for field in self._fields]
        arrays = [each.values for each in columns if each is not None and each.missing is None]
        if len(arrays) < len(columns) or any(getattr(each, "dtype", None) != self.matrix_type for each in arrays):
            return None
        return np.stack(arrays)

    def _fits(self, columns: Array) -> bool:
        """Tell whether all values of ``(inputs, rows)`` are there, finite and within the limits of their fields."""
        if self._limits is None:
            return False
        import numpy as np

        least, most = columns.min(axis=1), columns.max(axis=1)  # of a column with a NaN, NaN
        lower, upper = self._limits
        is_within = (least >= lower) & (most <= upper) & np.isfinite(least) & np.isfinite(most)
        return bool(is_within.all())

    def _judged(self, given: Mapping[str, Given], height: int) -> Batch:
        columns: list[Column] = []
        found: dict[str, _Faults] = {}
        for domain in self._domains:
            name = domain.field.name
            column, found[name] = _taken(domain, given[name]) if name in given else _absent(domain, height)
            columns.append(column)
        rows = range(min(height, MAX_ERRORS))
        unknown = [name for name in given if name not in self._known]
        found |= {name: [(row, "is not a field of this model") for row in rows] for name in unknown}
        if any(found.values()):
            places = [(row, place, name, rule) for place, name in enumerate(found) for row, rule in found[name]]
            raise invalid_rows(
                [
                    RowError(at=place_of(f"instances[{row}]", name), rule=rule)
                    for row, _, name, rule in sorted(places)[:MAX_ERRORS]
                ]
            )
        return Batch(fields=self._fields, columns=tuple(columns), height=height)


def _matrix_type(inputs: Sequence[Field]) -> str | None:
    kinds = {field.type for field in inputs}
    return kinds.pop() if len(kinds) == 1 and kinds <= {*INTEGER_RANGES, *_FLOATS} else None


def _limits(domains: Sequence[Domain], matrix_type: str | None) -> tuple[Array, Array] | None:
    """Return least and greatest value of each field; None where there is more to look at, or no common type."""
    import numpy as np

    if matrix_type is None or any(domain.values is not None for domain in domains):
        return None
    # As float64 where the values may be float32: a limit that is rounded is another limit.
    kind = "float64" if matrix_type in _FLOATS else matrix_type
    lower = [-math.inf if domain.lower is None else domain.lower for domain in domains]
    upper = [math.inf if domain.upper is None else domain.upper for domain in domains]
    return np.array(lower, dtype=kind), np.array(upper, dtype=kind)


def _absent(domain: Domain, height: int) -> tuple[Column, _Faults]:
    if not domain.field.optional:
        return (), [(row, "is missing") for row in range(min(height, MAX_ERRORS))]
    return [_typed(domain, domain.field.default)] * height, []


def _taken(domain: Domain, given: Given) -> tuple[Column, _Faults]:
    """Return the column as a batch has it, and the first rules that it breaks."""
    values: Any = given.values
    if isinstance(values, Sequence):
        return _taken_values(domain, values)
    missing = _missing(values, given.missing)
    if values.dtype.kind not in _KINDS.get(domain.field.type, ""):
        return _taken_values(domain, _as_list(values, missing))
    faults = []
    for row in _broken(domain, values, missing).nonzero()[0][:MAX_ERRORS].tolist():
        is_missing = missing is not None and bool(missing[row])
        faults.append((row, str(domain.broken_rule(None if is_missing else _speakable(values[row].item())))))
    return _of_type(domain.field, values, missing), faults


def _missing(values: Array, told: Array | None) -> Array | None:
    """Return which values are missing; None if none is."""
    import numpy as np

    if values.dtype.kind == "f":
        is_nan = np.isnan(values)
        told = is_nan if told is None else is_nan | told
    return told if told is not None and told.any() else None


def _broken(domain: Domain, values: Array, missing: Array | None) -> Array:
    """Return which values break a rule of *domain*, whose type takes such an array."""
    import numpy as np

    numbers = values.astype(np.float64) if domain.field.type in _FLOATS else values
    broken = np.zeros(len(numbers), dtype=bool)
    with np.errstate(invalid="ignore"):
        if domain.lower is not None:
            broken |= numbers < domain.lower
        if domain.upper is not None:
            broken |= numbers > domain.upper
    if numbers.dtype.kind == "f":
        broken |= np.isinf(numbers)
    if domain.values is not None:
        taken = frozenset(domain.values)
        broken |= np.array([number not in taken for number in numbers.tolist()], dtype=bool)
    if missing is None:
        return broken
    return (broken & ~missing) if domain.field.nullable else (broken | missing)


def _of_type(field: Field, values: Array, missing: Array | None) -> Column:
    import numpy as np

    if missing is None:
        return values.astype(field.type, copy=False)
    if field.type in _FLOATS:
        return np.where(missing, np.nan, values).astype(field.type, copy=False)
    return _as_list(values, missing)


def _as_list(values: Array, missing: Array | None) -> list[Any]:
    found: list[Any] = values.tolist()
    if missing is None:
        return found
    return [None if is_missing else value for value, is_missing in zip(found, missing.tolist(), strict=True)]


def _taken_values(domain: Domain, values: Sequence[Any]) -> tuple[Column, _Faults]:
    column: list[Any] = []
    faults: _Faults = []
    known: dict[str, str | None] = {}  # most columns of text have few distinct values
    for row, value in enumerate(values):
        if type(value) is str:
            if value not in known:
                known[value] = domain.broken_rule(value)
            rule = known[value]
        else:
            rule = domain.broken_rule(_speakable(value))
        if rule is None:
            column.append(_typed(domain, value))
        elif len(faults) < MAX_ERRORS:
            faults.append((row, rule))
    return column, faults


def _speakable(value: object) -> object:
    """Return *value* as the decoder of rows would have found it in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else NOT_FINITE
    return json_value(value)


def _typed(domain: Domain, value: Any) -> Any:
    """Return a value that was taken as a batch has it."""
    if domain.field.type in ("date", "timestamp") and type(value) is str:
        return try_temporal(domain.field.type, value)
    return None if type(value) is float and math.isnan(value) else held(domain.field.type, value)


def moments(kind: str, unit: str, counts: Array) -> list[Any]:
    """Return the dates or times that are so many units after the begin of 1970, in UTC.

    Those that no calendar of ours has become an empty text, which is neither and is refused as such.

    Args:
        kind: ``date`` or ``timestamp``.
        unit: As NumPy spells it: ``D``, ``s``, ``ms``, ``us`` or ``ns``.
        counts: Whole numbers.

    >>> import numpy as np
    >>> moments("date", "D", np.array([1, 10**9]))
    [datetime.date(1970, 1, 2), '']
    """
    import numpy as np

    numbers = counts.astype(np.int64)
    if unit == "ns":  # which never leave those years; the least number is NumPy's word for none
        is_in = numbers != np.iinfo(np.int64).min
    else:
        first, last = (np.datetime64(text, "us").astype(f"datetime64[{unit}]").astype(np.int64) for text in _YEARS)
        is_in = (numbers >= first) & (numbers <= last)
    resolution = "D" if kind == "date" else "us"
    found = np.where(is_in, numbers, 0).astype(f"datetime64[{unit}]").astype(f"datetime64[{resolution}]").tolist()
    return [moment if is_there else "" for moment, is_there in zip(found, is_in.tolist(), strict=True)]
