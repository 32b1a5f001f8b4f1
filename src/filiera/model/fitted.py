"""Read from a fitted model how it was fitted: nothing is patched, and fitting costs what it costs without us."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from filiera.core import plain
from filiera.core.fit import Fit

_CURVES: Mapping[str, str] = {
    "loss_curve_": "loss",
    "train_score_": "train/score",
    "validation_score_": "validation/score",
    "validation_scores_": "validation/score",
    "oob_scores_": "out of bag/score",
}
"""Attributes of scikit-learn's estimators that have a value per iteration, and what the curve is called."""


def fit_of(model: Any) -> Fit:
    """Return what a fitted *model* tells of its training: parameters, metrics per iteration, importances of features.

    Estimators with scikit-learn's methods tell all of it (XGBoost's and LightGBM's, too), pipelines what their last
    step tells, models with transforms what their estimator tells. What a model does not have is left out.

    >>> from sklearn.tree import DecisionTreeClassifier
    >>> fit = fit_of(DecisionTreeClassifier(max_depth=2, random_state=0).fit([[0, 7], [1, 7]], [0, 1]))
    >>> fit.chosen, dict(fit.importances)
    (('max_depth', 'random_state'), {'feature 0': 1.0, 'feature 1': 0.0})
    """
    whole = model.estimator if callable(getattr(model, "prepare", None)) else model
    last = _last_step(whole)
    parameters = dict(_parameters(whole))
    return Fit(
        estimator=plain.name_of(type(last)),
        parameters={name: _told(value) for name, value in parameters.items()},
        chosen=tuple(name for name, value in parameters.items() if not _is_default(whole, name, value)),
        curves=dict(_curves(last)),
        importances=_importances(whole, last),
    )


def _last_step(model: Any) -> Any:
    steps = getattr(model, "steps", None)
    return _last_step(steps[-1][1]) if isinstance(steps, list) and steps else model


def _parameters(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield parameters by name, without those that are estimators or lists of them: their parameters are there, too."""
    for name, value in sorted(_params_of(model).items()):
        if not hasattr(value, "get_params") and name != "steps" and not name.endswith("__steps"):
            yield name, value


def _params_of(model: Any) -> dict[str, Any]:
    if not callable(getattr(model, "get_params", None)) or isinstance(model, type):
        return {}
    found: dict[str, Any] = model.get_params(deep=True)
    return found


def _told(value: Any) -> Any:
    """Return a parameter as it is recorded: an address in memory would make each record another one."""
    if isinstance(value, np.generic):
        return value.item()
    if callable(value):
        return plain.name_of(value if hasattr(value, "__qualname__") else type(value))
    return value if plain.is_plain(value) else plain.name_of(type(value))


def _is_default(model: Any, name: str, value: Any) -> bool:
    place, _, short = name.rpartition("__")
    owner = _params_of(model).get(place) if place else model
    default = _default(type(owner), short)
    return value is default or (type(value) is type(default) and repr(value) == repr(default))


def _default(kind: type, name: str) -> Any:
    """Return the default of a parameter of a class, or of that from which it inherits it; None when it has none."""
    for cls in kind.__mro__:
        known = inspect.signature(cls.__init__).parameters.get(name)  # type: ignore[misc]
        if known is not None:
            return None if known.default is inspect.Parameter.empty else known.default
    return None


def _curves(model: Any) -> Iterator[tuple[str, tuple[float, ...]]]:
    for attribute, name in _CURVES.items():
        values = _numbers(getattr(model, attribute, None))
        if values is not None and len(values):
            yield name, values
    for data, metrics in _evaluations(model).items():
        for metric, points in metrics.items():
            values = _numbers(points)
            if values is not None:
                yield f"{data}/{metric}", values


def _evaluations(model: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return what XGBoost and LightGBM measured on the data they were given to evaluate on, per iteration."""
    found = None
    with suppress(Exception):  # models that had nothing to evaluate on raise errors of their own
        found = model.evals_result_
    return found if isinstance(found, Mapping) else {}


def _importances(whole: Any, last: Any) -> dict[str, float]:
    found = None
    with suppress(Exception):  # linear boosters have the attribute and raise; a forest of one-leaf trees divides by 0
        found = _numbers(last.feature_importances_)
    if found is None:
        return {}
    names = _feature_names(whole, last, len(found))
    return dict(sorted(zip(names, found, strict=True), key=lambda pair: -pair[1]))


def _feature_names(whole: Any, last: Any, count: int) -> list[str]:
    names = getattr(last, "feature_names_in_", None)
    if names is None and whole is not last:
        with suppress(Exception):  # a step before the last need not know what it calls its columns
            names = whole[:-1].get_feature_names_out()
    if names is None or len(names) != count:
        return [f"feature {number}" for number in range(count)]
    return [str(name) for name in names]


def _numbers(values: Any) -> tuple[float, ...] | None:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return tuple(array.tolist()) if array.ndim == 1 else None
