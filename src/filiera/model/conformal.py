"""Quantiles for a model that answers with numbers: its answer, and how far it was off on rows that it had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Floats, number_array
from filiera.model.asked import inputs_of

LEVELS = (0.1, 0.5, 0.9)
"""Quantiles that are given unless others are asked for: the median, and an interval of 80 %."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conformal:
    """A model of numbers with the quantiles of its errors; made by ``conformal``."""

    estimator: Any
    levels: tuple[float, ...]  #: ascending, above 0 and below 1
    by: str  #: the column whose values err apart; "": there is none
    groups: tuple[str, ...]  #: its values, as texts
    away: Floats  #: truth - answer at each level, of all rows and then of each group, shape ``(1 + groups, levels)``

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """Return the columns that the model takes."""
        return tuple(str(name) for name in self.estimator.feature_names_in_)

    def prepare(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows as the model takes them."""
        return rows.select(self.feature_names_in_)

    def predict(self, rows: pl.DataFrame) -> Any:
        """Return what the model answers, shape ``(n,)``."""
        return self.estimator.predict(self.prepare(rows))

    def predict_quantiles(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return a column for each level, such as "0.1". Rows of a group that was not met get what all rows give."""
        places = np.zeros(rows.height, dtype=np.int64)
        if self.by:
            known = {name: place for place, name in enumerate(self.groups, start=1)}
            places[:] = [known.get(name, 0) for name in _names(rows[self.by])]
        return quantile_columns(number_array(self.predict(rows), "the model's answers"), self.away[places], self.levels)

    def takes_missing(self, name: str) -> bool:
        """Tell whether the model says that it takes missing values of a column."""
        told = getattr(self.estimator, "takes_missing", None)
        return bool(callable(told) and told(name))

    def known_values(self, name: str) -> tuple[str | int | bool, ...] | None:
        """Return the values that the model says a column may have."""
        told = getattr(self.estimator, "known_values", None)
        return told(name) if callable(told) else None


def conformal(
    model: Any, rows: pl.DataFrame, *, target: str, by: str = "", levels: Sequence[float] = LEVELS
) -> Conformal:
    """Return *model* with quantiles that hold for rows like *rows*, on which it must not have been fitted.

    Of ten rows like these, eight lie between the quantiles 0.1 and 0.9 in the mean, whatever the model and whatever its
    errors, if they and *rows* could be exchanged. A series that changes breaks that promise: the metric ``coverage_80``
    says by how much. A model that is fitted again, to *rows* too, keeps the quantiles:
    ``dataclasses.replace(found, estimator=again)``.

    Args:
        model: Fitted on a DataFrame of other rows, for a regression or a forecast.
        rows: To be wrong about: the last weeks before the test, for a forecast.
        target: The column with the truth.
        by: A column of the model's whose values err differently, such as the hour; "": all rows together. Values with
            too few rows to tell a level are widened as normal errors ask for.
        levels: Of the quantiles, above 0 and below 1.

    Raises:
        UsageError: A level, column or row that cannot be.

    Source:
        Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world, split and Mondrian conformal
        prediction, each side by itself.

    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pl.DataFrame({"x": range(40), "y": [i + (i % 4) for i in range(40)]})
    >>> model = conformal(LinearRegression().fit(rows[:20, ["x"]], rows[:20, "y"]), rows[20:], target="y")
    >>> model.predict_quantiles(rows[:1]).columns
    ['0.1', '0.5', '0.9']
    """
    chosen = checked_levels(levels)
    if target not in rows.columns or rows.is_empty():
        what = f"There is no column {target!r}." if rows.height else "There are no rows to be wrong about."
        raise UsageError(what, why=f"There are: {', '.join(rows.columns)}.")
    inputs = inputs_of(model, rows, target)
    if getattr(model, "feature_names_in_", None) is None or (by and by not in inputs.columns):
        raise UsageError(
            f"The model takes no column {by!r}." if by else "The model does not name the columns that it takes.",
            why=f"It takes: {', '.join(inputs.columns)}.",
            do="Quantiles are asked with the model's columns: fit it on a DataFrame that has them.",
        )
    errors = number_array(rows[target], "truth") - number_array(model.predict(inputs), "the model's answers")
    names = _names(rows[by]) if by else []
    groups = tuple(sorted(set(names)))
    parts = [errors, *(errors[np.array([name == group for name in names])] for group in groups)]
    away = np.array([error_quantiles(part, chosen) for part in parts])
    return Conformal(estimator=model, levels=chosen, by=by, groups=groups, away=away)


def error_quantiles(errors: Floats, levels: Sequence[float]) -> Floats:
    """Return what the next error lies below with the probability of each level, shape ``(levels,)``; never too near 0.

    It is the error in place ``(n + 1) · level``, rounded outwards: exact for errors that can be exchanged, whatever
    their law. Where n is too small for a level, so that no error is far enough, Student's t of normal errors around 0
    tells how far it may be, and at least as far as the farthest.

    >>> error_quantiles(np.arange(-9.0, 10.0), (0.1, 0.5, 0.9)).tolist()
    [-8.0, 0.0, 8.0]
    """
    from scipy.special import stdtrit

    n, ordered = len(errors), np.sort(errors)
    found = []
    for level in levels:
        exact = (n + 1) * level
        place = math.ceil(exact - 1e-9) if level >= 0.5 else math.floor(exact + 1e-9)
        if 1 <= place <= n:
            found.append(float(ordered[place - 1]))
            continue
        normal = float(stdtrit(n, level)) * math.sqrt(float(np.square(errors).mean()))
        found.append(max(normal, float(ordered[-1])) if level >= 0.5 else min(normal, float(ordered[0])))
    return np.array(found)


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return *levels* in order. Raises UsageError: there are none, or one is no probability.

    >>> checked_levels([0.9, 0.1])
    (0.1, 0.9)
    """
    try:
        found = tuple(sorted({float(level) for level in levels}))
    except (TypeError, ValueError):
        found = ()
    if not found or not all(0 < level < 1 for level in found):
        raise UsageError(f"Levels of quantiles are {levels!r}.", why="They are numbers above 0 and below 1.")
    return found


def quantile_columns(answers: Floats, away: Floats, levels: Sequence[float]) -> pl.DataFrame:
    """Return *answers*, shape ``(n,)``, moved by how far off they may be, shape ``(n, levels)``: a column per level."""
    return pl.DataFrame({f"{level:g}": answers + away[:, i] for i, level in enumerate(levels)})


def _names(values: pl.Series) -> list[str]:
    found: list[str] = values.cast(pl.String).fill_null("missing").to_list()
    return found
