"""Freezes a frame as a reference the way training does, so that these tests need nothing of the model ability."""

from __future__ import annotations

from math import inf

import numpy as np
import polars as pl

from filiera.core.reference import CategoricalReference, NumericReference, Reference, ReferenceProfile
from filiera.core.signature import FieldType

TYPES: dict[object, FieldType] = {
    pl.Boolean: "bool", pl.Int64: "int64", pl.Int32: "int32", pl.Float32: "float32", pl.Float64: "float64",
    pl.String: "string", pl.Date: "date",
}  # fmt: skip


def freeze(frame: pl.DataFrame, outputs: pl.DataFrame | None = None) -> ReferenceProfile:
    """Return the reference of a frame of inputs and, perhaps, one of outputs."""
    columns = tuple(freeze_column(column) for column in frame)
    answers = tuple(freeze_column(column) for column in outputs) if outputs is not None else ()
    return ReferenceProfile(rows=frame.height, columns=columns, outputs=answers)


def freeze_column(column: pl.Series, *, bins: int = 256, listed: int = 100) -> Reference:
    """Return a column's reference: strings, booleans and integers of up to 20 values are categorical."""
    kind = TYPES.get(column.dtype, "timestamp")
    if kind in ("bool", "string") or (kind.startswith("int") and column.n_unique() <= 20):
        return _categorical(column, kind, listed)
    seconds = column.to_physical().cast(pl.Float64)
    finite = np.sort(seconds.filter(seconds.is_finite()).to_numpy())
    uppers = np.unique(np.quantile(finite, np.arange(bins) / bins, method="inverted_cdf")) if finite.size else []
    edges = np.array([-inf, *_with_atoms(finite, np.asarray(uppers), bins, is_whole=not kind.startswith("float")), inf])
    below = np.searchsorted(finite, edges[1:-1], side="right")
    counts = np.diff([0, *below, finite.size])
    scale = float(np.abs(finite).max(initial=1.0))
    return NumericReference(
        name=column.name,
        type=kind,
        rows=len(column),
        nulls=column.null_count(),
        non_finite=len(column) - column.null_count() - finite.size,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        mean=float((finite / scale).mean() * scale) if finite.size else None,
        sd=float((finite / scale).std() * scale) if finite.size else None,
        minimum=float(finite[0]) if finite.size else None,
        maximum=float(finite[-1]) if finite.size else None,
    )


def _with_atoms(finite: np.ndarray, uppers: np.ndarray, bins: int, *, is_whole: bool) -> list[float]:
    values, counts = np.unique(finite, return_counts=True)
    atoms = values[counts > len(finite) / bins]
    below = atoms - 1 if is_whole else np.nextafter(atoms, -inf)
    return np.unique(np.concatenate([uppers, atoms, below])).tolist()


def _categorical(column: pl.Series, kind: FieldType, listed: int) -> CategoricalReference:
    counted = column.drop_nulls().alias("value").value_counts(name="n").sort("n", "value", descending=[True, False])
    return CategoricalReference(
        name=column.name,
        type=kind,
        rows=len(column),
        nulls=column.null_count(),
        values=tuple(counted["value"].head(listed).to_list()),
        counts=tuple(counted["n"].head(listed).to_list()),
        other=int(counted["n"].tail(-listed).sum()) if counted.height > listed else 0,
    )
