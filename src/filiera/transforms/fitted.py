"""Transforms after they have seen the training rows: plain data that turns raw rows into what a model takes.

A frame and a single row go two ways, a query of Polars and a few lines of Python, which give the same to the last bit:
the query is fast for many rows, Python for one, as a service gets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, TypeVar, overload

import polars as pl

from filiera.core.check import Check
from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean
from filiera.transforms.categories import FittedOneHot, FittedOrdinal
from filiera.transforms.columns import Column, canonical, column_type, polars_type, reader
from filiera.transforms.missing import FittedImpute
from filiera.transforms.numbers import FittedBins, FittedClip, FittedScale
from filiera.transforms.step import FittedStep, Recipe

Row = Mapping[str, Any]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

FEW_ROWS = 64
"""A frame of so many rows is done row by row: to plan a query of 14 steps takes 2 ms, as long as 150 rows do."""
_KEEP_PRESENCE = (FittedImpute, FittedScale, FittedClip, FittedBins, FittedOrdinal)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedTransforms:
    """What ``fit_transforms`` has learned: steps in order, each for one column. Never looks at other rows."""

    inputs: tuple[Column, ...]  #: raw columns that are read, in the order of the training rows
    steps: tuple[FittedStep, ...]
    training_rows: int  #: how many rows it has learned from
    _by_row: Callable[[Row], dict[str, Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_row", _compiled(self))

    @overload
    def apply(self, rows: Frame) -> Frame: ...

    @overload
    def apply(self, rows: Row) -> dict[str, Any]: ...

    def apply(self, rows: Any) -> Any:
        """Return a polars DataFrame or LazyFrame, or one row as a dictionary, transformed; other columns stay.

        A LazyFrame stays a query. Columns that are replaced keep their place, new ones come last.

        Raises:
            UsageError: A column is missing or has another type than in training, a column is there that would be
                added, or a value is unknown to a transform that refuses such; of a LazyFrame, some of it when it runs.
        """
        if isinstance(rows, pl.LazyFrame):
            return self._query(rows, rows.collect_schema())
        if isinstance(rows, pl.DataFrame):
            if 0 < rows.height <= FEW_ROWS and self._is_canonical(rows.schema):
                return self._few(rows)
            return self._query(rows.lazy(), rows.schema).collect()
        if isinstance(rows, Mapping):
            return self._by_row(rows)
        raise UsageError(
            f"Transforms take a polars frame or one row as a dictionary, not a {type(rows).__name__}.",
            do="Make it a frame: pl.from_pandas(rows), pl.DataFrame(rows).",
        )

    @property
    def imputed(self) -> dict[str, float]:
        """Return by column which share of the training rows was missing, 0 to 1, where missing values are replaced."""
        return {step.column: step.share for step in self.steps if isinstance(step, FittedImpute)}

    @property
    def one_hot_groups(self) -> dict[str, tuple[str, ...]]:
        """Return by encoded column the columns of which exactly one is 1 in each row."""
        return {step.column: step.group for step in self.steps if isinstance(step, FittedOneHot)}

    @property
    def summary(self) -> str:
        """Return a line per step, for people."""
        lines = [_line(step) for step in self.steps]
        return "\n".join([f"learned from {self.training_rows:,} rows", *lines])

    def checks(self) -> list[Check]:
        """Return what holds for every row that comes out: one-hot groups, nothing missing where imputed, limits."""
        found: list[Check] = []
        types = self._types_before()
        for number, step in enumerate(self.steps):
            later = list(zip(self.steps[number + 1 :], types[number + 1 :], strict=True))
            found += [check for check in step.checks() if _survives(check, later)]
        return found

    def takes_missing(self, name: str) -> bool:
        """Tell whether missing values of a raw column are made into something."""
        for step in self.steps:
            if name in step.reads:
                if step.takes_missing(name):
                    return True
                if step.known_values() is not None or name in step.drops:
                    return False
        return False

    def known_values(self, name: str) -> tuple[str | int | bool, ...] | None:
        """Return the values that a raw column may have, if others are refused."""
        types = self._types_before()
        for step, before in zip(self.steps, types, strict=True):
            if name in step.reads and (known := step.known_values()) is not None:
                return known
            written = step.writes(before)
            if name in written and not (isinstance(step, FittedImpute) and written[name] == before[name]):
                return None
        return None

    def only_for(self, columns: Iterable[str]) -> tuple[FittedTransforms, tuple[str, ...]]:
        """Return the transforms that these columns are made by, and the raw columns that they are made of."""
        needed = dict.fromkeys(columns)
        kept: list[FittedStep] = []
        for step, types in zip(reversed(self.steps), reversed(self._types_before()), strict=True):
            if needed.keys() & step.writes(types).keys():
                kept.append(step)
                needed = {name: None for name in needed if name not in step.writes(types)} | dict.fromkeys(step.reads)
        inputs = tuple(column for column in self.inputs if column.name in {n for step in kept for n in step.reads})
        read = [column.name for column in inputs]
        others = [name for name in needed if name not in read]
        return replace(self, inputs=inputs, steps=tuple(reversed(kept))), (*read, *others)

    def _types_before(self) -> list[dict[str, FieldType]]:
        """Return for each step the columns that are known before it, with their types."""
        types = {column.name: column.type for column in self.inputs}
        found = []
        for step in self.steps:
            found.append(dict(types))
            types |= step.writes(types)
        return found

    def _query(self, rows: pl.LazyFrame, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        self._require_columns(schema)
        rows = rows.with_columns([canonical(column, schema[column.name]) for column in self.inputs])
        for step in self.steps:
            rows = rows.with_columns(step.expressions())
        return rows.drop(self._dropped())

    def _few(self, rows: pl.DataFrame) -> pl.DataFrame:
        self._require_columns(rows.schema)
        read = [column.name for column in self.inputs]
        made = [self._by_row(row) for row in rows.select(read).iter_rows(named=True)]
        written = self._written()
        table = pl.DataFrame(made, schema={name: polars_type(kind) for name, kind in written.items()})
        return rows.with_columns(table.get_columns()).drop(self._dropped())

    def _written(self) -> dict[str, FieldType]:
        types = {column.name: column.type for column in self.inputs}
        for step in self.steps:
            types |= step.writes(types)
        gone = set(self._dropped())
        return {name: kind for name, kind in types.items() if name not in gone}

    def _dropped(self) -> list[str]:
        return [name for step in self.steps for name in step.drops]

    def _is_canonical(self, schema: Mapping[str, pl.DataType]) -> bool:
        return all(schema.get(column.name) == polars_type(column.type) for column in self.inputs)

    def _require_columns(self, schema: Mapping[str, Any]) -> None:
        missing = [column.name for column in self.inputs if column.name not in schema]
        if missing:
            raise _lacking(missing, schema)
        read = {column.name for column in self.inputs}
        twice = [name for name in self._written() if name not in read and name in schema]
        if twice:
            raise UsageError(
                f"The rows already have {', '.join(map(repr, twice))}, which the transforms add.",
                why="Perhaps they were transformed before.",
                do="Apply the transforms once, to raw rows.",
            )


def fit_transforms(recipes: Sequence[Recipe], train: pl.DataFrame | pl.LazyFrame) -> FittedTransforms:
    """Return what *recipes* learn from the training rows, each from what those before it made of them.

    Give it the training part only: what it learns must not know the rows that the model is tested on. What is learned
    does not depend on the order of rows. Of a LazyFrame only the columns that a transform looks at are in memory, one
    transform after the other.

    Args:
        recipes: Such as ``Impute("age", "median")``, in the order in which they are to be applied.
        train: Raw rows.

    Raises:
        UsageError: A column is missing or was replaced before, has a type that the transform does not take, or nothing
            can be learned from it.

    >>> rows = pl.DataFrame({"age": [20, None, 40], "land": ["it", "at", "it"]})
    >>> from filiera.transforms import Impute, OneHot
    >>> fit_transforms([Impute("age"), OneHot("land")], rows).apply({"age": None, "land": "xy"})
    {'age': 30.0, 'land_at': 0, 'land_it': 0, 'land_other': 1}
    """
    schema = train.collect_schema()
    learning = _Learning(rows=train, raw=dict(schema), there=set(schema))
    for recipe in recipes:
        for column in recipe.columns:
            learning.learn(recipe, column)
    order = {name: place for place, name in enumerate(schema)}
    height = train.height if isinstance(train, pl.DataFrame) else int(train.select(pl.len()).collect().item())
    return FittedTransforms(
        inputs=tuple(sorted(learning.inputs.values(), key=lambda column: order[column.name])),
        steps=tuple(learning.steps),
        training_rows=height,
    )


class _Learning:
    """The training rows on their way through the transforms."""

    def __init__(self, *, rows: pl.DataFrame | pl.LazyFrame, raw: dict[str, pl.DataType], there: set[str]) -> None:
        self._rows: Any = rows
        self._raw = raw
        self._there = there
        self._types: dict[str, FieldType] = {}
        self.inputs: dict[str, Column] = {}
        self.steps: list[FittedStep] = []

    def learn(self, recipe: Recipe, column: str) -> None:
        """Fit a recipe to one column, and apply what it learned to the rows."""
        needed = recipe.needs(column)
        absent = [name for name in needed if name not in self._there]
        if absent:
            raise _lacking(absent, self._there, (*self._raw, *self._types))
        for name in needed:
            if name not in self._types:
                self._take(name)
        step = recipe.fit(column, self._rows.lazy().select(needed).collect())
        written = step.writes(self._types)
        clash = [name for name in written if name not in step.reads and (name in self._there or name in self._raw)]
        if clash:
            raise UsageError(
                f"{type(recipe).__name__}({column!r}) would add {', '.join(map(repr, clash))}, which is there already.",
                do="Rename that column, or apply the transform once.",
            )
        self._rows = self._rows.with_columns(step.expressions()).drop(step.drops)
        self._types |= written
        self._there = (self._there | set(written)) - set(step.drops)
        self.steps.append(step)

    def _take(self, name: str) -> None:
        column = Column(name=name, type=column_type(name, self._raw[name]))
        self.inputs[name] = column
        self._types[name] = column.type
        self._rows = self._rows.with_columns(canonical(column, self._raw[name]))


def _compiled(fitted: FittedTransforms) -> Callable[[Row], dict[str, Any]]:
    """Return the transforms of one row as a function; what can be looked up before, is."""
    readers = [(column.name, reader(column)) for column in fitted.inputs]
    steps = [step.row_step() for step in fitted.steps]
    gone = [name for step in fitted.steps for name in step.drops]
    known = {column.name for column in fitted.inputs}
    added = [name for name in fitted._written() if name not in known]

    def transformed(row: Row) -> dict[str, Any]:
        made = dict(row)
        if not made.keys().isdisjoint(added):
            fitted._require_columns(row)
        try:
            for name, read in readers:
                made[name] = read(made[name])
        except KeyError:
            raise _lacking([name for name, _ in readers if name not in row], row) from None
        for step in steps:
            step(made)
        for name in gone:
            del made[name]
        return made

    return transformed


def _lacking(missing: Sequence[str], there: Iterable[str], known: Iterable[str] = ()) -> UsageError:
    first = missing[0]
    gone = " It was replaced by a transform before." if first in set(known) - set(there) else ""
    return UsageError(
        f"The rows lack columns that the transforms read: {', '.join(map(repr, missing))}.",
        why=f"They have: {', '.join(sorted(there)) or 'none'}.{gone}{'' if gone else did_you_mean(first, list(there))}",
        do="Give them, or fit the transforms without them.",
    )


def _survives(check: Check, later: Sequence[tuple[FittedStep, Mapping[str, FieldType]]]) -> bool:
    """Tell whether what a step promised still holds after the steps that come later."""
    for step, types in later:
        touched = set(step.writes(types)) | set(step.drops)
        keeps = check.kind == "not_null" and isinstance(step, _KEEP_PRESENCE) and not step.drops
        if not touched.isdisjoint(check.columns) and not keeps:
            return False
    return True


def _line(step: FittedStep) -> str:
    kind = type(step).__name__.removeprefix("Fitted")
    match step:
        case FittedImpute():
            groups = f", {len(step.groups)} values by {step.by}" if step.by else ""
            return f"{kind} {step.column}: {step.strategy} {step.value!r}{groups}; {step.share:.1%} was missing"
        case FittedOneHot() | FittedOrdinal():
            return f"{kind} {step.column}: {len(step.categories)} categories"
        case FittedScale():
            return f"{kind} {step.column}: {step.method}, (x - {step.center:.6g}) * {step.factor:.6g}"
        case FittedClip():
            return f"{kind} {step.column}: {step.low:.6g} to {step.high:.6g}"
        case FittedBins():
            return f"{kind} {step.column}: {len(step.edges) + 1} bins"
    return f"{kind} {', '.join(step.reads)}"
