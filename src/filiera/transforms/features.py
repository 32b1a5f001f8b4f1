"""Features with two definitions: an expression that computes them, and an oracle in plain Python.

The two are written independently, best by two people: where they disagree, one of them is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import Rejected, UsageError
from filiera.transforms.columns import Column, column_type, polars_type
from filiera.transforms.expressions import read_expression, write_expression
from filiera.transforms.step import ColumnStep, RowStep, Types

Definition = Callable[[], pl.Expr]
Oracle = Callable[[Mapping[str, Any]], Any]

_SHOWN = 3
_ROWS_PER_EDGE = 20
"""Many rows may have the least or greatest value: so many of them are judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """A column computed from others of the same row. Calling it returns its expression, under its name."""

    name: str
    define: Definition
    oracle: Oracle  #: is given a row, returns the value that it should have; None: null
    tolerance: float = 1e-9  #: how much floats may differ, relative to the greater one

    def __call__(self) -> pl.Expr:
        """Return the expression, under the feature's name."""
        return self.define().alias(self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature itself: what ``fit_transforms`` asks each recipe."""
        return (self.name,)

    def needs(self, column: str) -> tuple[str, ...]:
        """Return the columns that it is computed from."""
        return tuple(dict.fromkeys(self.define().meta.root_names()))

    def fit(self, column: str, rows: pl.DataFrame) -> FittedFeature:
        """Return the feature as plain data, after comparing it with the oracle on training rows. Raises Rejected."""
        if not self.needs(column):
            raise UsageError(f"Feature {self.name!r} is computed from no column.")
        require_agreement(rows, [self])
        text = write_expression(self.define())
        dtype = rows.select(self()).schema[self.name]
        reads = tuple(Column(name=name, type=column_type(name, rows.schema[name])) for name in self.needs(column))
        return FittedFeature(column=self.name, type=column_type(self.name, dtype), inputs=reads, expression=text)


def feature(*, oracle: Oracle, tolerance: float = 1e-9) -> Callable[[Definition], Feature]:
    """Return a decorator that makes a function without parameters, which returns an expression, a feature of its name.

    >>> def by_hand(row):
    ...     return row["bytes"] / row["packets"] if row["packets"] else None
    >>> @feature(oracle=by_hand)
    ... def bytes_per_packet():
    ...     return pl.when(pl.col("packets") != 0).then(pl.col("bytes") / pl.col("packets"))
    >>> pl.DataFrame({"bytes": [10, 5], "packets": [4, 0]}).select(bytes_per_packet()).rows()
    [(2.5,), (None,)]
    """

    def declared(define: Definition) -> Feature:
        return Feature(name=define.__name__, define=define, oracle=oracle, tolerance=tolerance)

    return declared


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedFeature(ColumnStep):
    """A feature as plain data, which travels with a model."""

    column: str
    type: FieldType
    inputs: tuple[Column, ...]
    expression: str  #: as Polars writes it in JSON; of kinds that look at one row only

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it is computed from."""
        return tuple(column.name for column in self.inputs)

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the feature."""
        return {self.column: self.type}

    def expressions(self) -> list[pl.Expr]:
        """Return the expression; NaN is missing, as everywhere in transforms."""
        found = read_expression(self.expression).cast(polars_type(self.type))
        return [(found.fill_nan(None) if self.type.startswith("float") else found).alias(self.column)]

    def row_step(self) -> RowStep:
        """Return the same for one row: Polars computes it too, in some 0.1 ms."""
        column, expressions = self.column, self.expressions()
        schema = {one.name: polars_type(one.type) for one in self.inputs}

        def step(row: dict[str, Any]) -> None:
            row[column] = pl.DataFrame([{name: row[name] for name in schema}], schema=schema).select(expressions).item()

        return step


def disagreements(
    rows: pl.DataFrame, features: Iterable[Feature], *, sample: int | None = 1000, seed: int = 0
) -> pl.DataFrame:
    """Return where features are not what their oracles say: columns ``feature``, ``row``, ``is`` and ``should_be``.

    A feature that *rows* have as a column is taken from there, others are computed. Judged are a sample and
    boundary rows, with the least or greatest value, zero or nothing in a column that the feature is computed from.

    Args:
        rows: A table.
        features: What to judge.
        sample: How many further rows; None: all.
        seed: Of the sample.

    Raises:
        UsageError: An oracle raised; the row is named.
    """
    found: list[dict[str, Any]] = []
    for one in features:
        values = rows[one.name] if one.name in rows.columns else rows.select(one()).to_series()
        if len(values) != rows.height:
            raise UsageError(f"Feature {one.name!r} gives {len(values):,} values for {rows.height:,} rows.")
        for index in _judged(rows, one, sample, seed):
            row = rows.row(index, named=True)
            try:
                expected = one.oracle(row)
            except Exception as error:
                raise UsageError(
                    f"The oracle of feature {one.name!r} raised {type(error).__name__}: {error}",
                    why=f"It was given row {index}: { {name: row[name] for name in one.needs(one.name)} }",
                    do="Let it say what is right for such a row; None stands for null.",
                ) from error
            if not _agree(values[index], expected, one.tolerance):
                found.append(
                    {"feature": one.name, "row": index, "is": repr(values[index]), "should_be": repr(expected)}
                )
    schema = {"feature": pl.String, "row": pl.Int64, "is": pl.String, "should_be": pl.String}
    return pl.DataFrame(found, schema=schema)


def require_agreement(rows: pl.DataFrame, features: Iterable[Feature], *, sample: int | None = 1000) -> None:
    """Refuse rows in which a feature is not what its oracle says. Raises Rejected, with the first rows."""
    found = disagreements(rows, features, sample=sample)
    if found.height:
        first = found.head(_SHOWN).to_dicts()
        shown = [f"{one['feature']}, row {one['row']}: {one['is']}, should be {one['should_be']}" for one in first]
        raise Rejected(
            f"Features are not what their oracles say, in {found.height:,} of the rows looked at.",
            why="; ".join(shown),
            do="One of the two definitions is wrong: correct it.",
        )


def _judged(rows: pl.DataFrame, one: Feature, sample: int | None, seed: int) -> list[int]:
    if sample is None or rows.height <= sample:
        return list(range(rows.height))
    found: set[int] = set()
    for name in one.needs(one.name):
        column = pl.col(name)
        edges = [column.is_null()]
        if rows.schema[name].is_numeric():
            edges.append(column == 0)
        if rows.schema[name].is_numeric() or rows.schema[name].is_temporal() or rows.schema[name] == pl.String:
            edges += [column == column.min(), column == column.max()]
        for edge in edges:
            found |= set(rows.select(edge.fill_null(False).arg_true().head(_ROWS_PER_EDGE)).to_series().to_list())
    drawn = pl.int_range(rows.height, eager=True).sample(sample, seed=seed).to_list()
    return sorted(found.union(drawn))


def _agree(value: Any, expected: Any, tolerance: float) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    if isinstance(value, float) or isinstance(expected, float):
        if isinstance(value, str) or isinstance(expected, str):
            return False
        if math.isnan(value) or math.isnan(expected):
            return math.isnan(value) and math.isnan(expected)
        return value == expected or math.isclose(value, expected, rel_tol=tolerance)
    return type(value) is type(expected) and bool(value == expected)
