"""Many answers summed up by what each input added to them, and the row that somebody asks about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean
from filiera.model.answers import Floats
from filiera.model.asked import inputs_of
from filiera.model.contributions import contributions
from filiera.model.importance import rows_digest
from filiera.model.related import ranks_of

MOST_ROWS = 500
"""So many rows are summed up at most, drawn from more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputContributions:
    """What one input added to the answers to many rows."""

    name: str
    sizes: tuple[float, ...]  #: for each output the mean of what it added, without its sign
    directions: tuple[float | None, ...]  #: rank correlation of its values with what they added; None where none is
    points: tuple[tuple[float, float | None], ...] = ()  #: of one output: what it added, and its value's place, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What each input added to a model's answers to many rows."""

    outputs: tuple[str, ...]
    unit: str  #: as in ``Contributions``
    base: tuple[float, ...]
    n: int
    inputs: tuple[InputContributions, ...]  #: those that added most first
    rows: str  #: digest of what the model was asked


def drawn_rows(model: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the inputs of *model*, of at most 500 of *rows*, drawn with a seed that stays. Raises UsageError."""
    inputs = inputs_of(model, rows, "")
    if inputs.height <= MOST_ROWS:
        return inputs
    drawn = np.random.Generator(np.random.PCG64(0)).permutation(inputs.height)[:MOST_ROWS]
    return inputs[np.sort(drawn)]


def summary(
    model: Any, rows: pl.DataFrame, *, hidden: Collection[str] = (), tell: Callable[[str], None] = lambda line: None
) -> Summary:
    """Return what each input of *model* added to its answers to *rows*; of those *hidden* nothing of their values.

    Raises:
        UsageError: As ``contributions``.
    """
    found = contributions(model, rows, tell=tell)
    inputs = []
    for place, name in enumerate(found.inputs):
        added = found.values[:, place, :]
        ranks = None if name in hidden else ranks_of(rows[name])
        inputs.append(
            InputContributions(
                name=name,
                sizes=tuple(np.abs(added).mean(axis=0).tolist()),
                directions=tuple(_alike(ranks, column) for column in added.T),
                points=tuple(_points(added[:, 0], ranks)) if added.shape[1] == 1 else (),
            )
        )
    ordered = tuple(sorted(inputs, key=lambda one: -sum(one.sizes)))
    return Summary(
        outputs=found.outputs,
        unit=found.unit,
        base=tuple(found.base.tolist()),
        n=rows.height,
        inputs=ordered,
        rows=rows_digest(rows),
    )


def one_row(model: Any, rows: pl.DataFrame, given: Mapping[str, Any]) -> pl.DataFrame:
    """Return the inputs of one row: *given* itself if it has all of them, else the one of *rows* that has its values.

    Raises:
        UsageError: A column is not there, a value is not of its column's type, several rows are so, or none.
    """
    inputs = inputs_of(model, rows, "")
    is_whole = set(inputs.columns) <= given.keys()
    told = {name: value for name, value in given.items() if name in inputs.columns or not is_whole}
    strange = next((name for name in told if name not in rows.columns), None)
    if strange is not None:
        why = f"There are: {', '.join(rows.columns)}.{did_you_mean(strange, rows.columns)}"
        raise UsageError(f"There is no column {strange!r} by which to find a row.", why=why)
    try:
        row = _typed(told, rows.schema)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            "A value of the row is not of its column's type.", why=str(error).partition("\n")[0]
        ) from error
    if is_whole:
        return row.select(inputs.columns)
    found = rows.filter(pl.all_horizontal(pl.col(name).eq_missing(pl.lit(row[name])) for name in told))
    if found.select(inputs.columns).n_unique() != 1:
        so = f"{found.height:,} of the {rows.height:,} rows that the model was evaluated on are so"
        raise UsageError(
            f"{so}; one is asked about.",
            do="Name more columns, or give all inputs of the row." if found.height else "Give all inputs of the row.",
        )
    return found.select(inputs.columns)[:1]


def _typed(values: Mapping[str, Any], schema: pl.Schema) -> pl.DataFrame:
    columns = []
    for name, value in values.items():
        kind = schema[name]
        if isinstance(value, str) and kind.is_temporal():
            value = dt.datetime.fromisoformat(value) if kind == pl.Datetime else dt.date.fromisoformat(value)
        columns.append(pl.Series(name, [value]).cast(kind))
    return pl.DataFrame(columns)


def plain_value(value: Any) -> Any:
    """Return a value of NumPy as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _alike(ranks: Floats | None, added: Floats) -> float | None:
    """Return the rank correlation, or None without two different values on either side."""
    if ranks is None:
        return None
    theirs = ranks_of(pl.Series(added))
    assert theirs is not None
    ours, theirs = ranks - ranks.mean(), theirs - theirs.mean()
    size = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    return float(ours @ theirs) / size if size else None


def _points(added: Floats, ranks: Floats | None) -> Iterator[tuple[float, float | None]]:
    if ranks is None or ranks.max() == ranks.min():
        yield from ((float(value), None) for value in added)
    else:
        places = (ranks - ranks.min()) / (ranks.max() - ranks.min())
        yield from ((float(value), round(float(place), 3)) for value, place in zip(added, places, strict=True))
