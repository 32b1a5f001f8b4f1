"""What each input added to a model's answers: Shapley values that add up to what the model computed.

Asked of models that know them exactly: boosted trees of XGBoost and LightGBM by these libraries themselves, linear
models and trees and forests of scikit-learn by their formulas. A model of another kind would have to be asked
about thousands of rows for one answer, and tell them with an error; ``permutation_importance`` takes any model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from filiera.core.plain import name_of
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Floats, matrix
from filiera.model.asked import inputs_of
from filiera.model.booster import BoosterModel
from filiera.model.tree_shares import tree_contributions

Tell = Callable[[str], None]
_CLOSE = 1e-5
_PROBED = 250
_SHIFTS = (1, 2, 7)
"""So many rows further lie the values that a row is given, to see which columns change."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contributions:
    """What each input added to what a model computed for some rows.

    ``base + values.sum(axis=1)`` is what it computed, shape ``(n, outputs)``: to the last digits of a float32 for
    boosted trees, which compute in these, and of a float64 for others.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]  #: labels, of which a model has computed a number each; one "" where it has computed one
    unit: str  #: what the numbers are: "answer", "probability", "log-odds" or "score"
    base: Floats  #: what it computes without knowing an input, shape ``(outputs,)``
    values: Floats  #: shape ``(n, inputs, outputs)``


def contributions(
    model: Any, rows: pl.DataFrame, *, background: pl.DataFrame | None = None, tell: Tell = lambda line: None
) -> Contributions:
    """Return what each input of *model* added to what it computed for *rows*.

    For numbers that is the answer itself where the model has no link (else what it computes before that); for classes
    the probability of forests, and the log-odds or scores of others, which a logistic function turns into
    probabilities; for two classes those of the second. Steps of a pipeline before the last are undone: what is added by
    columns that were made of an input (its categories, say) is added by the input.

    Args:
        model: Of XGBoost, of LightGBM, or scikit-learn's linear models, trees and forests; perhaps at the end of a
            pipeline whose other steps make each column of one input.
        rows: All columns that it takes.
        background: What linear models compare a row with: the mean of these; None: of *rows*. Trees compare with the
            rows that they were fitted on.
        tell: Told what long work has come to.

    Raises:
        UsageError: The model is of another kind, or columns are made of several inputs.

    Source:
        Lundberg and Lee (2017), A unified approach to interpreting model predictions.

    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pl.DataFrame({"x": [0.0, 1.0, 2.0], "mute": [1.0, 5.0, 1.0], "y": [1.0, 3.0, 5.0]})
    >>> found = contributions(LinearRegression().fit(rows[["x", "mute"]], rows["y"]), rows)
    >>> found.base.round(6).tolist(), found.values[2, 0].round(6).tolist()
    ([3.0], [2.0])
    """
    given = inputs_of(model, rows, "")
    if given.is_empty():
        raise UsageError("There are no rows to tell the contributions for.")
    beside = given if background is None else inputs_of(model, background, "")
    seen, around = given, beside
    for step in _before_last(model):
        seen, around = step(seen), step(around)
    base, values = _of_last(_last(model), seen, around, tell)
    names = tuple(given.columns)
    if _before_last(model):
        probe = pl.concat([given.head(_PROBED), beside.head(_PROBED)])
        values = _by_input(values, probe, model)
    labels: tuple[str, ...] = tuple(map(str, getattr(model, "classes_", ())))
    return Contributions(
        inputs=names,
        outputs=_outputs(labels, len(base)),
        unit=_unit(model, given, base + values.sum(axis=1)),
        base=base,
        values=values,
    )


def _outputs(labels: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return the labels that numbers were computed for."""
    if len(labels) == count:
        return labels
    return labels[1:] if len(labels) == 2 and count == 1 else ("",) * count


def _before_last(model: Any) -> list[Callable[[Any], Any]]:
    """Return what makes of rows what the last step is given."""
    if callable(getattr(model, "prepare", None)):
        return [model.prepare, *_before_last(model.estimator)]
    return [model[:-1].transform] if len(getattr(model, "steps", ())) > 1 else []


def _last(model: Any) -> Any:
    if callable(getattr(model, "prepare", None)):
        return _last(model.estimator)
    steps: Any = getattr(model, "steps", ())
    return _last(steps[-1][1]) if len(steps) else model


def _of_last(model: Any, seen: Any, around: Any, tell: Tell) -> tuple[Floats, Floats]:
    """Return base and values of a model that stands alone, shapes ``(outputs,)`` and ``(n, columns, outputs)``."""
    kind = type(model).__module__
    if isinstance(model, BoosterModel):
        kind = type(model.booster).__module__
    if kind.startswith("xgboost."):
        return _of_xgboost(model, seen)
    if kind.startswith("lightgbm."):
        return _of_lightgbm(model, seen)
    if kind.startswith("sklearn.") and hasattr(model, "coef_") and hasattr(model, "intercept_"):
        return _of_linear(model, seen, around)
    if kind.startswith(("sklearn.tree.", "sklearn.ensemble._forest", "sklearn.ensemble._gb")):
        return _of_trees(model, seen, tell)
    raise UsageError(
        f"What each input adds is not known of a {name_of(type(model)).replace(':', '.')}.",
        why="It is known of boosted trees of XGBoost and LightGBM, linear models, trees and forests of scikit-learn.",
        do="Ask what its quality rests on: filiera importance MODEL, or permutation_importance(model, rows, target=…).",
    )


def matrix_with_gaps(rows: Any) -> Floats:
    """Return rows as numbers, shape ``(n, columns)``; NaN is missing. Raises UsageError."""
    try:
        return np.asarray(rows.to_numpy() if hasattr(rows, "to_numpy") else rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError("The model's inputs are not a table of numbers.", why=str(error)) from error


def _of_xgboost(model: Any, seen: Any) -> tuple[Floats, Floats]:
    import xgboost

    booster = model.booster if isinstance(model, BoosterModel) else model.get_booster()
    best = booster.attr("best_iteration")
    missing = np.nan if isinstance(model, BoosterModel) else model.missing
    table = seen.select(booster.feature_names) if isinstance(seen, pl.DataFrame) else seen
    names = None if isinstance(table, pl.DataFrame) else booster.feature_names
    data = xgboost.DMatrix(table, missing=missing, feature_names=names, enable_categorical=True)
    found = booster.predict(
        data, pred_contribs=True, strict_shape=True, iteration_range=(0, int(best) + 1) if best else (0, 0)
    )
    return _apart(np.asarray(found, dtype=np.float64))


def _of_lightgbm(model: Any, seen: Any) -> tuple[Floats, Floats]:
    asked = model.booster.predict if isinstance(model, BoosterModel) else model.predict
    found = np.asarray(asked(seen, pred_contrib=True), dtype=np.float64)
    columns = seen.shape[1] + 1
    return _apart(found.reshape(len(found), -1, columns))


def _apart(found: Floats) -> tuple[Floats, Floats]:
    """Return base and values of what libraries return together, shape ``(n, outputs, columns + 1)``."""
    return found[0, :, -1], np.moveaxis(found[:, :, :-1], 1, 2)


def _of_linear(model: Any, seen: Any, around: Any) -> tuple[Floats, Floats]:
    points, usual = matrix(seen, "the model's inputs"), matrix(around, "the background").mean(axis=0)
    slopes = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    offset = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), (len(slopes),))
    return slopes @ usual + offset, (points - usual)[:, :, None] * slopes.T


def _of_trees(model: Any, seen: Any, tell: Tell) -> tuple[Floats, Floats]:
    points = matrix_with_gaps(seen)
    trees = np.atleast_2d(np.array(getattr(model, "estimators_", [model]), dtype=object).T)
    is_boosted = type(model).__module__ == "sklearn.ensemble._gb"
    weight = model.learning_rate if is_boosted else 1 / trees.size
    bases, values = [], []
    for chain in trees:  # of boosted trees one for each class, else there is one
        base, added = np.zeros(1), np.zeros(1)
        for number, one in enumerate(chain):
            tell(f"{number:,} of {len(chain):,} trees")
            found = tree_contributions(one.tree_, points)
            base, added = base + weight * found[0], added + weight * found[1]
        bases.append(base)
        values.append(added)
    base, added = np.concatenate(bases), np.concatenate(values, axis=2)
    if is_boosted:
        computed = model.decision_function if hasattr(model, "classes_") else model.predict
        raw = np.asarray(computed(seen)).reshape(len(points), -1)
        began = raw - base - added.sum(axis=1)  # with what is no tree: a constant, or a model of its own
        if np.ptp(began, axis=0).max() > _CLOSE:
            raise UsageError("What each input adds is not known of boosted trees that begin with a model of their own.")
        base = base + began[0]
    return (base[1:], added[:, :, 1:]) if not is_boosted and len(base) == 2 else (base, added)


def _by_input(values: Floats, probe: pl.DataFrame, model: Any) -> Floats:
    """Return the values of columns that earlier steps made, added up over the inputs that they were made of."""
    found = np.zeros((values.shape[0], probe.width, values.shape[2]))
    for column, place in enumerate(_made_of(probe, model)):
        if place is not None:
            found[:, place] += values[:, column]
        elif np.any(values[:, column]):
            raise UsageError(
                "It cannot be told which input made a column that the model's last step is given.",
                why=f"Number {column + 1} of them is the same for all of {probe.height:,} rows.",
                do="Give more rows to compare with: background=….",
            )
    return found


def _made_of(probe: pl.DataFrame, model: Any) -> list[int | None]:
    """Return the place of the input that each column was made of: the one with whose values it changes.

    A column that never changes, such as that of a category no row has, is told by its name; None where there is none.
    """
    steps = _before_last(model)

    def seen(frame: pl.DataFrame) -> tuple[Floats, list[str]]:
        made: Any = frame
        for step in steps:
            made = step(made)
        names = list(made.columns) if hasattr(made, "columns") else _names_of(model)
        return matrix_with_gaps(made.toarray() if hasattr(made, "toarray") else made), names

    now, names = seen(probe)
    changes = np.zeros((now.shape[1], probe.width), dtype=np.bool_)
    for place, name in enumerate(probe.columns):
        for shift in _SHIFTS:
            other, _ = seen(probe.with_columns(probe[name].gather((np.arange(probe.height) + shift) % probe.height)))
            changes[:, place] |= ~((now == other) | (np.isnan(now) & np.isnan(other))).all(axis=0)
    several = np.flatnonzero(changes.sum(axis=1) > 1)
    if len(several):
        mixed = [name for place, name in enumerate(probe.columns) if changes[several[0], place]]
        raise UsageError(
            "What each input adds cannot be told apart: a column that the last step is given is made of several.",
            why=f"One is made of {', '.join(mixed)}.",
            do="Ask what its quality rests on: filiera importance MODEL",
        )
    return [
        int(row.argmax()) if row.any() else _by_name(names[column] if column < len(names) else "", probe.columns)
        for column, row in enumerate(changes)
    ]


def _names_of(model: Any) -> list[str]:
    """Return what a pipeline of scikit-learn calls the columns that its last step is given; [] if it does not say."""
    whole = getattr(model, "estimator", model)
    try:
        return [str(name) for name in whole[:-1].get_feature_names_out()]
    except (AttributeError, TypeError, ValueError):
        return []


def _by_name(name: str, inputs: list[str]) -> int | None:
    """Return the place of the input that a column is called after, such as "encoder__kind_tcp" after "kind"."""
    own = name.rpartition("__")[2]
    known = [each for each in inputs if own == each or own.startswith(f"{each}_")]
    return inputs.index(max(known, key=len)) if known else None


def _unit(model: Any, rows: pl.DataFrame, computed: Floats) -> str:
    """Return what the numbers are, by comparing them with the answers."""
    if not callable(getattr(model, "predict_proba", None)):
        if getattr(model, "classes_", None) is not None:
            return "score"
        answers = np.asarray(model.predict(rows), dtype=np.float64).reshape(len(computed), -1)
        return "answer" if _is_close(answers, computed) else "score"
    table = np.asarray(model.predict_proba(rows), dtype=np.float64)
    if _is_close(table[:, -computed.shape[1] :], computed):
        return "probability"
    if computed.shape[1] == 1 and _is_close(table[:, 1:], 1 / (1 + np.exp(-computed))):
        return "log-odds"
    return "score"


def _is_close(answers: Floats, computed: Floats) -> bool:
    return answers.shape == computed.shape and bool(np.allclose(answers, computed, rtol=_CLOSE, atol=_CLOSE))
