"""Label leakage: features that are made from the label, or that tell it without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from filiera.core.check import Check
from filiera.data.checked_table import CheckedTable

MANY_LABELS = 1000
"""From here on a label is a quantity, not a class."""

LEAST_ROWS = 30
"""With fewer rows a feature can tell the label by chance."""

ROWS_PER_VALUE = 5
"""A feature whose values occur less often on average names the rows, and so tells all there is to know of them."""

_AFFINE = 1e-9


def leaks(check: Check, table: CheckedTable) -> str:
    """Return which features are functions of the label, or tell it, or "".

    Of a class: a feature with one value per class; a quantity whose ranges in the classes do not overlap; a text each
    value of which comes with one class only. Of a quantity: a feature that is the label up to factor and offset.
    """
    label = check.columns[0]
    features = check.columns[1:] or tuple(name for name in table.schema if name != label)
    usable = [name for name in features if not table.schema[name].is_nested() and table.schema[name] != pl.Binary]
    rows = table.frame.filter(pl.col(label).is_not_null())
    counts = table.collect(
        rows.select(pl.len().alias("rows"), *(pl.col(name).approx_n_unique() for name in (label, *usable)))
    ).row(0, named=True)
    if counts["rows"] < LEAST_ROWS or counts[label] < 2:
        return ""
    if counts[label] > MANY_LABELS:
        found = _same_but_for_scale(table, rows, label, usable)
    else:
        found = _of_classes(table, rows, label, usable, counts)
    return "; ".join(found)


def _of_classes(
    table: CheckedTable, rows: pl.LazyFrame, label: str, features: Sequence[str], counts: Mapping[str, int]
) -> list[str]:
    spans = [
        expression
        for number, name in enumerate(features)
        for expression in (
            pl.col(name).min().alias(f"{number}.min"),
            pl.col(name).max().alias(f"{number}.max"),
            pl.col(name).null_count().alias(f"{number}.null"),
        )
    ]
    classes = table.collect(rows.group_by(pl.col(label).alias("label")).agg(pl.len().alias("rows"), *spans))
    found = []
    for number, name in enumerate(features):
        part = classes.select("rows", *(pl.col(f"{number}.{what}").alias(what) for what in ("min", "max", "null")))
        dtype = table.schema[name]
        if _is_function(part):
            found.append(f"{name} is a function of {label}")
        elif dtype.is_numeric() or dtype.is_temporal():
            if _is_disjoint(part):
                found.append(f"the ranges of {name} tell {label}")
        elif counts[name] * ROWS_PER_VALUE <= counts["rows"] and _tells(table, rows, label, name):
            found.append(f"{name} tells {label}")
    return found


def _is_function(classes: pl.DataFrame) -> bool:
    """Tell whether a feature has one value (or only null) in each class, and not the same in all."""
    is_one = ((pl.col("min") == pl.col("max")) & (pl.col("null") == 0)) | (pl.col("null") == pl.col("rows"))
    if not classes.select(is_one.fill_null(False).all()).item():
        return False
    return classes["min"].n_unique() > 1 and classes.filter(pl.col("rows") > 1).height > 0


def _is_disjoint(classes: pl.DataFrame) -> bool:
    """Tell whether the ranges of a feature in the classes do not overlap, none of its values being null."""
    if classes["null"].sum() or classes["min"].null_count():
        return False
    ordered = classes.sort("min", "max")
    return bool((ordered["min"][1:] > ordered["max"][:-1]).all())


def _tells(table: CheckedTable, rows: pl.LazyFrame, label: str, name: str) -> bool:
    by_value = rows.group_by(name).agg(pl.col(label).min().alias("least"), pl.col(label).max().alias("greatest"))
    return bool(table.collect(by_value.select((pl.col("least") == pl.col("greatest")).all())).item())


def _same_but_for_scale(table: CheckedTable, rows: pl.LazyFrame, label: str, features: Sequence[str]) -> list[str]:
    if not table.schema[label].is_numeric():
        return []
    numeric = [name for name in features if table.schema[name].is_numeric()]
    pairs = [_finite_pair(label, name) for name in numeric]
    means = table.collect(rows.select(e for n, (a, b) in enumerate(pairs) for e in _means(n, a, b))).row(0, named=True)
    sums = [e for n, (a, b) in enumerate(pairs) for e in _moments(n, a - means[f"{n}.a"], b - means[f"{n}.b"])]
    moments = table.collect(rows.select(sums)).row(0, named=True) if sums else {}
    return [f"{name} is {label} but for scale" for n, name in enumerate(numeric) if _is_affine(n, moments)]


def _finite_pair(label: str, name: str) -> tuple[pl.Expr, pl.Expr]:
    a, b = pl.col(label).cast(pl.Float64), pl.col(name).cast(pl.Float64)
    both = a.is_finite() & b.is_finite()
    return pl.when(both).then(a), pl.when(both).then(b)


def _means(n: int, a: pl.Expr, b: pl.Expr) -> tuple[pl.Expr, ...]:
    return a.mean().fill_null(0.0).alias(f"{n}.a"), b.mean().fill_null(0.0).alias(f"{n}.b")


def _moments(n: int, a: pl.Expr, b: pl.Expr) -> tuple[pl.Expr, ...]:
    return (
        (a * a).sum().alias(f"{n}.aa"),
        (b * b).sum().alias(f"{n}.bb"),
        (a * b).sum().alias(f"{n}.ab"),
        a.count().alias(f"{n}.rows"),
    )


def _is_affine(n: int, moments: Mapping[str, Any]) -> bool:
    product = moments[f"{n}.aa"] * moments[f"{n}.bb"]
    enough = moments[f"{n}.rows"] >= LEAST_ROWS and product > 0
    return bool(enough and moments[f"{n}.ab"] ** 2 >= (1 - _AFFINE) * product)
