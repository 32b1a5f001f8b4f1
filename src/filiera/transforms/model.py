"""A model with the transforms before it: one value, which takes raw rows."""

from __future__ import annotations

from typing import Any

import polars as pl

from filiera.core.plain import name_of
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.transforms.fitted import FittedTransforms


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformedModel:
    """An estimator that was fitted on transformed rows, with the transforms; asked with raw rows, as it will be served.

    Has what estimators have: ``predict``, ``feature_names_in_`` and, if the estimator has them, ``predict_proba`` and
    ``classes_``.
    """

    transforms: FittedTransforms  #: those that the estimator's columns are made by
    estimator: Any
    features: tuple[str, ...]  #: columns that the estimator takes, in its order
    feature_names_in_: tuple[str, ...]  #: raw columns

    def prepare(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return raw rows as the estimator takes them. Raises UsageError for rows unlike those of the training."""
        missing = [name for name in self.feature_names_in_ if name not in rows.columns]
        if missing:
            raise UsageError(
                f"The rows lack columns that the model takes: {', '.join(map(repr, missing))}.",
                why=f"They have: {', '.join(rows.columns) or 'none'}.",
                do="Give raw rows, as the model was trained on.",
            )
        return self.transforms.apply(rows.select(self.feature_names_in_)).select(self.features)

    def predict(self, rows: pl.DataFrame) -> Any:
        """Return what the estimator answers to raw rows, one answer per row. Raises UsageError."""
        return self.estimator.predict(self.prepare(rows))

    @property
    def summary(self) -> str:
        """Return the estimator, the raw columns and a line per transform, for people."""
        raw = f"takes {', '.join(self.feature_names_in_)}"
        return f"{self.estimator!r}\n{raw}\n{self.transforms.summary}"

    def takes_missing(self, name: str) -> bool:
        """Tell whether missing values of a raw column are made into something."""
        return self.transforms.takes_missing(name)

    def known_values(self, name: str) -> tuple[str | int | bool, ...] | None:
        """Return the values that a raw column may have, if others are refused."""
        return self.transforms.known_values(name)

    def _probabilities(self, rows: pl.DataFrame) -> Any:
        return self.estimator.predict_proba(self.prepare(rows))

    def __getattr__(self, name: str) -> Any:
        if name == "predict_proba" and hasattr(self.estimator, name):
            return self._probabilities
        if name == "classes_":
            return self.estimator.classes_
        raise AttributeError(f"a {type(self).__name__} of {type(self.estimator).__name__} has no {name!r}")


def with_transform(transforms: FittedTransforms, estimator: Any) -> TransformedModel:
    """Return *estimator* with the transforms that its columns are made by: publish it, and a service takes raw rows.

    Transforms that make nothing the estimator takes are left out, so that nobody must send what they read.

    Raises:
        UsageError: The estimator was not fitted on a DataFrame, so that nobody knows its columns.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or not callable(getattr(estimator, "predict", None)):
        lacks = "predict" if names is not None else "feature_names_in_"
        raise UsageError(
            f"A {name_of(type(estimator))} cannot be put behind transforms: it has no {lacks}.",
            why="The columns it was fitted on say which transforms it needs.",
            do="Fit it on the DataFrame that the transforms return, not on an array.",
        )
    features = tuple(str(name) for name in names)
    needed, raw = transforms.only_for(features)
    return TransformedModel(transforms=needed, estimator=estimator, features=features, feature_names_in_=raw)
