"""Bare boosters of XGBoost and LightGBM as models that can be published: with names of columns, and of classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Label, plain_label

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoosterModel:
    """What ``xgboost.train`` or ``lightgbm.train`` returned, with what estimators have; made by ``from_booster``.

    Has ``predict`` and, if there are classes, ``predict_proba`` and ``classes_``.
    """

    booster: Any  #: an ``xgboost.Booster`` or ``lightgbm.Booster``
    feature_names_in_: tuple[str, ...]
    labels: tuple[Label, ...] = ()  #: in the order of the booster's outputs; none: it predicts numbers

    def predict(self, rows: pl.DataFrame) -> Any:
        """Return the most probable label, or the number, for each of *rows*, shape ``(n,)``."""
        outputs = self._outputs(rows)
        return np.asarray(self.labels)[self._as_table(outputs).argmax(axis=1)] if self.labels else outputs

    def _probabilities(self, rows: pl.DataFrame) -> Floats:
        return self._as_table(self._outputs(rows))

    def _outputs(self, rows: pl.DataFrame) -> Floats:
        table = rows.select(self.feature_names_in_)
        if type(self.booster).__module__.startswith("lightgbm."):
            return np.asarray(self.booster.predict(table))
        import xgboost

        best = self.booster.attr("best_iteration")
        data = xgboost.DMatrix(table, enable_categorical=True)
        return np.asarray(self.booster.predict(data, iteration_range=(0, int(best) + 1) if best else (0, 0)))

    def _as_table(self, outputs: Floats) -> Floats:
        table = np.column_stack([1 - outputs, outputs]) if outputs.ndim == 1 else outputs
        if table.shape[1] != len(self.labels):
            raise UsageError(
                f"The booster gives {table.shape[1]} probabilities for {len(self.labels)} classes.",
                do="Train it with an objective that returns probabilities, such as binary:logistic or multi:softprob.",
            )
        return table

    def __getattr__(self, name: str) -> Any:
        if name == "classes_" and self.labels:
            return np.asarray(self.labels)
        if name == "predict_proba" and self.labels:
            return self._probabilities
        if name == "feature_importances_":
            return self._importances()
        raise AttributeError(f"a {type(self).__name__} of {type(self.booster).__module__} has no {name!r}")

    def _importances(self) -> list[float]:
        if hasattr(self.booster, "feature_importance"):
            return [float(value) for value in self.booster.feature_importance("gain")]
        gains = self.booster.get_score(importance_type="gain")
        return [float(gains.get(name, 0.0)) for name in self.feature_names_in_]


def from_booster(booster: Any, *, classes: Iterable[Any] = ()) -> BoosterModel:
    """Return a model that can be published, evaluated and served, of a bare *booster*.

    Args:
        booster: What ``xgboost.train`` or ``lightgbm.train`` returned; trained on named columns.
        classes: Labels of the booster's outputs, in their order; none if it predicts numbers.

    Raises:
        UsageError: It is no booster, or does not know the names of its columns.

    >>> import polars as pl, xgboost
    >>> rows = pl.DataFrame({"size": [1.0, 2.0, 3.0, 4.0]})
    >>> settings = {"objective": "binary:logistic", "nthread": 1}
    >>> booster = xgboost.train(settings, xgboost.DMatrix(rows, [0, 0, 1, 1]), 2)
    >>> from_booster(booster, classes=["small", "large"]).classes_.tolist()
    ['small', 'large']
    """
    told = getattr(booster, "feature_name", None)
    names = told() if callable(told) else getattr(booster, "feature_names", None)
    if not hasattr(booster, "predict") or not names:
        raise UsageError(
            f"A {type(booster).__name__} cannot be made a model: it does not know the names of its columns.",
            why="A service must know the names of the columns that the model takes.",
            do="Give what xgboost.train or lightgbm.train returned, trained on a DataFrame or with feature_names.",
        )
    labels = tuple(plain_label(label) for label in classes)
    return BoosterModel(booster=booster, feature_names_in_=tuple(str(name) for name in names), labels=labels)
