"""Picks the predictions of one window from the log, as tables of inputs and outputs that monitoring can compare."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from typing import Any

import polars as pl

from filiera.core.reference import MAX_PROBABILITY, Reference, ReferenceProfile
from filiera.core.value import dataclass
from filiera.errors import UsageError

PROBABILITIES = "probabilities"
"""The output that maps each label to its probability; the window keeps its greatest as ``MAX_PROBABILITY``."""

_DTYPES: Mapping[str, pl.DataType] = {
    "bool": pl.Boolean(), "int8": pl.Int64(), "int16": pl.Int64(), "int32": pl.Int64(), "int64": pl.Int64(),
    "uint8": pl.Int64(), "uint16": pl.Int64(), "uint32": pl.Int64(), "uint64": pl.UInt64(), "float32": pl.Float32(),
    "float64": pl.Float64(), "string": pl.String(), "date": pl.Date(), "timestamp": pl.Datetime("us"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which predictions a window takes. What is None does not restrict."""

    model: str | None = None  #: name of the model
    version: int | None = None  #: number of its version
    since: float | None = None  #: seconds since the epoch, UTC, included
    until: float | None = None  #: likewise, not included
    last: int | None = None  #: at most this many, the latest ones in order of logging

    def __post_init__(self) -> None:
        if self.last is not None and self.last < 1:
            raise UsageError(f"A window of the last {self.last} predictions is empty.", do="Ask for at least 1.")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise UsageError("The window ends before it begins.", do="Give an end later than the beginning.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """How many records of the log the window left out, and why."""

    other_model: int = 0
    other_version: int = 0
    other_time: int = 0  #: before or after the window
    older: int = 0  #: would have fitted, but the window was full with later ones
    malformed: int = 0  #: not a prediction: no time, no inputs or no outputs

    @property
    def total(self) -> int:
        """Return how many were left out for whatever reason."""
        return self.other_model + self.other_version + self.other_time + self.older + self.malformed


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The predictions of a window, row i of both tables belonging together, in order of logging."""

    inputs: pl.DataFrame = field(repr=False)  #: columns of the reference that were logged, in its order, then others
    outputs: pl.DataFrame = field(repr=False)  #: likewise for outputs, and ``MAX_PROBABILITY`` where there are some
    rows: int
    first_at: float | None  #: time of the earliest prediction, seconds since the epoch, UTC
    last_at: float | None  #: time of the latest prediction
    skipped: Skipped


def collect(
    records: Iterable[Mapping[str, Any]],
    reference: ReferenceProfile,
    *,
    selection: Selection,
    tables: Sequence[pl.LazyFrame] = (),
) -> Window:
    """Return the window of *records* that *selection* asks for, typed as *reference* has it.

    A value of the wrong type becomes null in a column of numbers or times, and text elsewhere; a name that no record
    has gives no column. Records that are no predictions are counted, never an error.

    Args:
        records: Of a prediction log: mappings with ``at``, ``model``, ``version``, ``inputs`` and ``outputs``.
        reference: Of the version whose predictions are wanted.
        selection: Which of them.
        tables: Predictions logged before these records, of that model, version and time, with columns ``at``,
            ``inputs.NAME`` and ``outputs.NAME``: millions are read in the time of a few thousand records.
    """
    kept: deque[Mapping[str, Any]] = deque(maxlen=selection.last)
    counts = dict.fromkeys(("other_model", "other_version", "other_time", "older", "malformed"), 0)
    for record in records:
        reason = _reason_to_skip(record, selection)
        if reason is None:
            if len(kept) == selection.last:
                counts["older"] += 1
            kept.append(record)
        else:
            counts[reason] += 1
    times = [float(record["at"]) for record in kept]
    inputs = _table([record["inputs"] for record in kept], reference.columns)
    outputs = _table([_with_score(record["outputs"]) for record in kept], reference.outputs)
    rows = len(kept)
    if tables:
        found = pl.concat(tables, how="diagonal_relaxed").collect()
        early = found if selection.last is None else found.tail(selection.last - rows)
        counts["older"] += found.height - early.height
        rows += early.height
        if early.height:
            times += [early["at"].min(), early["at"].max()]  # type: ignore[list-item]
            inputs = _joined(_typed(early, "inputs.", reference.columns), inputs, reference.columns)
            outputs = _joined(_typed(_scored(early), "outputs.", reference.outputs), outputs, reference.outputs)
    return Window(
        inputs=inputs,
        outputs=outputs,
        rows=rows,
        first_at=min(times, default=None),
        last_at=max(times, default=None),
        skipped=Skipped(**counts),
    )


def _typed(table: pl.DataFrame, prefix: str, references: Sequence[Reference]) -> pl.DataFrame:
    """Return the columns that begin with *prefix*, without it, as ``_table`` types those of records."""
    columns = {name.removeprefix(prefix): table[name] for name in table.columns if name.startswith(prefix)}
    found = [_as_reference(columns.pop(each.name), each) for each in references if each.name in columns]
    found += [pl.Series(name, list(map(_text, values)), dtype=pl.String) for name, values in columns.items()]
    return pl.DataFrame(found)


def _as_reference(values: pl.Series, reference: Reference) -> pl.Series:
    wanted = _DTYPES[reference.type]
    is_widened = wanted.is_float() and values.dtype.is_numeric()
    if values.dtype == wanted or is_widened:
        return values.cast(wanted).alias(reference.name)
    return _column(values.to_list(), reference)


def _scored(table: pl.DataFrame) -> pl.DataFrame:
    """Return *table* with the greatest probability in place of all of them."""
    name = f"outputs.{PROBABILITIES}"
    if name not in table.columns or not isinstance(table.schema[name], pl.Struct):
        return table
    chances = table[name].struct.unnest()
    score = chances.select(pl.max_horizontal(pl.all()).alias(f"outputs.{MAX_PROBABILITY}")).to_series()
    return table.drop(name).with_columns(score)


def _joined(early: pl.DataFrame, late: pl.DataFrame, references: Sequence[Reference]) -> pl.DataFrame:
    if not late.height:
        return early
    table = pl.concat([early, late], how="diagonal_relaxed")
    known = [each.name for each in references if each.name in table.columns]
    return table.select(*known, *(name for name in table.columns if name not in known))


def _reason_to_skip(record: Mapping[str, Any], selection: Selection) -> str | None:
    at = record.get("at")
    if not (isinstance(at, int | float) and isinstance(record.get("inputs"), Mapping)):
        return "malformed"
    if not isinstance(record.get("outputs"), Mapping):
        return "malformed"
    if selection.model is not None and record.get("model") != selection.model:
        return "other_model"
    if selection.version is not None and record.get("version") != selection.version:
        return "other_version"
    early = selection.since is not None and at < selection.since
    late = selection.until is not None and at >= selection.until
    return "other_time" if early or late else None


def _with_score(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *outputs* with the greatest probability in place of all of them."""
    chances = outputs.get(PROBABILITIES)
    if not isinstance(chances, Mapping):
        return outputs
    numbers = [chance for chance in map(_number, chances.values()) if chance is not None]
    others = {name: value for name, value in outputs.items() if name != PROBABILITIES}
    return {**others, MAX_PROBABILITY: max(numbers, default=None)}


def _table(rows: Sequence[Mapping[str, Any]], references: Sequence[Reference]) -> pl.DataFrame:
    present = dict.fromkeys(name for row in rows for name in row)
    columns = []
    for reference in references:
        if reference.name in present:
            del present[reference.name]
            columns.append(_column([row.get(reference.name) for row in rows], reference))
    for name in present:
        columns.append(pl.Series(name, [_text(row.get(name)) for row in rows], dtype=pl.String))
    return pl.DataFrame(columns)


def _column(values: Sequence[Any], reference: Reference) -> pl.Series:
    kind = reference.type
    if kind in ("date", "timestamp"):
        parse = _date if kind == "date" else _moment
        return pl.Series(reference.name, list(map(parse, values)), dtype=_DTYPES[kind])
    expected, loose = _LOOSE.get(kind, (float | int, _number))
    if all(value is None or isinstance(value, expected) for value in values):
        # 1.5 or 2**70 among whole numbers is refused here; below, every number finds room as a float.
        with suppress(TypeError, OverflowError):
            return pl.Series(reference.name, values, dtype=_DTYPES[kind], strict=True)
    dtype = pl.Float64 if loose is _number else pl.String
    return pl.Series(reference.name, list(map(loose, values)), dtype=dtype)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _date(value: Any) -> dt.date | None:
    moment = _moment(value)
    return None if moment is None else moment.date()


def _moment(value: Any) -> dt.datetime | None:
    """Return a time in UTC without a zone, as the reference counts it; None for what is no time."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        return None


_LOOSE: Mapping[str, tuple[type, Callable[[Any], Any]]] = {"bool": (bool, _text), "string": (str, _text)}
