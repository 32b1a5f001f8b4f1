"""Which inputs a model's quality rests on: how much worse a metric gets when a column's values are dealt out anew.

Source:
    Breiman (2001), Random forests, section 10; for any model, Fisher, Rudin and Dominici (2019), All models are wrong,
    but many are useful.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace

import numpy as np
import polars as pl

from filiera.core.digest import digest
from filiera.core.metric import Metric
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import FilieraError, UsageError, did_you_mean
from filiera.model.answers import Codes, Floats
from filiera.model.metrics.estimate import Mean, Pull, measured, pull_of
from filiera.model.metrics.interval import LEVEL
from filiera.model.metrics.units import Units
from filiera.model.question import Question, question
from filiera.model.related import related
from filiera.model.row_digest import row_digests
from filiera.model.tasks import Told

MOST_ROWS = 10_000
"""Of more rows so many are drawn: the intervals are narrow enough by then, and the cost stays bounded."""
USUAL = {
    "classification": "f1_macro",
    "regression": "mae",
    "forecasting": "mae",
    "anomaly_detection": "average_precision",
    "clustering": "adjusted_rand",
}
_NEITHER = ("flagged_share", "coverage_")
_OF_MORE = ("log_loss", "brier_score", "roc_auc", "average_precision", "top_", "pinball")
"""What such metrics are called that need more than answers: probabilities or quantiles."""
_ALIKE = 0.8

Tell = Callable[[str], None]
"""Told now and then what long work has come to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permuting:
    """How columns are permuted, and what is measured.

    >>> Permuting(groups=[["bytes", "packets"]]).groups
    (('bytes', 'packets'),)
    """

    metric: str = ""  #: "": f1_macro, mae, average_precision or adjusted_rand, as the task is
    repeats: int = 5  #: so many times each is permuted, 1 or more
    groups: tuple[tuple[str, ...], ...] = ()  #: columns that are permuted together, and not one by one
    clusters: str = ""  #: the column whose equal values hang together, as in an evaluation's ``Design``
    seed: int = 0  #: of the permutations

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(tuple(group) for group in self.groups))
        if self.repeats < 1:
            raise UsageError(f"repeats is {self.repeats}.", why="Each input is permuted once at least.")
        named = [name for group in self.groups for name in group]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{twice!r} is in the groups more than once.", why="Each input is permuted in one place.")
        if not all(self.groups):
            raise UsageError("A group of no columns cannot be permuted.", do="Name its columns: a,b,c")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputImportance:
    """How much worse the model is without what one input tells, or several together."""

    columns: tuple[str, ...]  #: one, or those that were permuted together
    value: float  #: by so much the metric gets worse, the mean over the repeats; below 0 it gets better
    low: float  #: lower end of the interval at 95 %
    high: float
    repeats: tuple[float, ...]  #: the same of each repeat

    @property
    def name(self) -> str:
        """Return the columns as one name.

        >>> InputImportance(columns=("bytes", "packets"), value=0.1, low=0.0, high=0.2, repeats=(0.1,)).name
        'bytes, packets'
        """
        return ", ".join(self.columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """How much each input of a model matters for its quality on some rows."""

    task: Task
    baseline: Metric  #: the metric on the rows as they are
    inputs: tuple[InputImportance, ...]  #: the most important first
    how: Permuting
    rows: str  #: digest of what the model was asked, as ``rows_digest`` gives it
    notes: tuple[str, ...] = field(default=())  #: what a reader must know before trusting the rest

    def of(self, *columns: str) -> InputImportance:
        """Return the importance of an input, or of a group. Raises UsageError, naming those that exist."""
        for one in self.inputs:
            if one.columns == columns:
                return one
        known = "; ".join(one.name for one in self.inputs)
        raise UsageError(f"There is no importance of {', '.join(columns)}.", why=f"There are: {known}.")


_PLAIN = Permuting()


def permutation_importance(
    model: object, rows: pl.DataFrame, *, target: str = "", task: Task | Told | None = None, how: Permuting = _PLAIN
) -> Importance:
    """Return how much worse *model* answers *rows* when an input's values are dealt out anew among them.

    The model is asked as ``evaluate`` asks it. A value of 0.2 for f1_macro says: without what the column tells, it
    is lower by 0.2; of an error, that it is higher. Inputs that say nearly the same stand in for each other, and each
    seems to matter little: a note names them, and ``Permuting(groups=…)`` permutes them together.

    The interval holds what was drawn: the rows, each as one that is asked and as one whose values another one is given,
    and the permutations. It is 0 to 0 where no permutation changed an answer of these rows.

    Args:
        model: Fitted on other rows than these, else it tells what the model has learnt by heart.
        rows: What it is asked about; of more than 10,000 so many are drawn.
        target: The column with the truth. For a clustering or anomalies it may be "": then what the model answers
            to the rows as they are stands for the truth, and the importance is for its answers, not their quality.
        task: As for ``evaluate``; a ranking has none.
        how: Metric, repeats, groups, clusters, seed.

    Raises:
        UsageError: A column is not there, the metric cannot be used, or the model cannot answer the rows.

    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pl.DataFrame({"x": [float(i) for i in range(40)], "mute": [1.0, 2.0] * 20})
    >>> rows = rows.with_columns(y=2 * pl.col("x"))
    >>> found = permutation_importance(LinearRegression().fit(rows[["x", "mute"]], rows["y"]), rows, target="y")
    >>> [one.name for one in found.inputs], found.of("mute").value < 1e-6
    (['x', 'mute'], True)
    """
    asked = question(model, rows, target=target, task=task, clusters=how.clusters)
    return importance_of(model, asked, how)


def importance_of(
    model: object, asked: Question, how: Permuting = _PLAIN, *, tell: Tell = lambda line: None
) -> Importance:
    """Return the importance of each input of *model* for its answers to a question. Raises UsageError."""
    rng = np.random.Generator(np.random.PCG64(how.seed))
    notes, digest_of_all = list(asked.notes), rows_digest(asked.rows.select(asked.inputs))
    if asked.rows.height > MOST_ROWS:
        notes.append(f"Measured on {MOST_ROWS:,} of {asked.rows.height:,} rows, drawn with seed {how.seed}.")
        asked = asked.take(np.sort(rng.permutation(asked.rows.height)[:MOST_ROWS]))
    if asked.rows.height < 2:
        raise UsageError("One row cannot be permuted.", do="Give the rows that the model was evaluated on.")
    how = replace(how, metric=how.metric or USUAL[asked.task_name])
    permutations = np.stack([rng.permutation(asked.rows.height) for _ in range(how.repeats)])
    found = permuted(model, asked, how, permutations, tell=tell)
    return Importance(
        task=asked.task_name,
        baseline=found[0],
        inputs=found[1],
        how=how,
        rows=digest_of_all,
        notes=(*notes, *_notes(asked, how)),
    )


def rows_digest(inputs: pl.DataFrame) -> str:
    """Return the digest of rows and their order, 64 hex digits."""
    return digest("rows/1", row_digests(inputs).to_numpy().astype("<u8").tobytes())


def permuted(
    model: object, asked: Question, how: Permuting, permutations: Codes, *, tell: Tell
) -> tuple[Metric, tuple[InputImportance, ...]]:
    """Return the metric on the rows as they are, and each input's importance by *permutations*, shape ``(m, n)``."""
    parts = _parts(asked, how)
    estimates, units = asked.answered(model, asked.rows)
    chosen = _chosen(estimates, how.metric)
    base = pull_of(chosen)
    asking = model if chosen.name.startswith(_OF_MORE) else _AnswersOnly(model)
    sign = 1.0 if chosen.greater_is_better else -1.0
    found = []
    for number, columns in enumerate(parts):
        tell(f"{number:,} of {len(parts):,} inputs permuted")
        values, pulls = [], np.zeros(len(permutations[0]))
        for order in permutations:
            rows = asked.rows.with_columns(asked.rows.select(columns)[order])
            value, moved = pull_of(_chosen(_answered(asking, asked, rows, columns), chosen.name))
            values.append(sign * (base[0] - value))
            lost = sign * (base[1] - moved) / len(permutations)
            pulls += lost
            pulls[order] += lost  # the rows whose values were given, by how far these changed the answers
        mean = float(np.mean(values))
        reach = _reach(pulls, units)
        found.append(
            InputImportance(
                columns=columns, value=mean, low=mean - reach, high=mean + reach, repeats=tuple(map(float, values))
            )
        )
    ordered = sorted(found, key=lambda one: -one.value)
    return measured([chosen], units, how.seed)[0], tuple(ordered)


class _AnswersOnly:
    """A model without its probabilities and quantiles, which cost as much as its answers."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        if name in ("predict_proba", "predict_quantiles"):
            raise AttributeError(name)
        return getattr(self._model, name)


def _parts(asked: Question, how: Permuting) -> list[tuple[str, ...]]:
    """Return what is permuted together: the groups, and each other input alone."""
    for name in (name for group in how.groups for name in group):
        if name not in asked.inputs:
            raise UsageError(
                f"There is no input {name!r} to permute.",
                why=f"The model takes: {', '.join(asked.inputs)}.{did_you_mean(name, asked.inputs)}",
            )
    grouped = {name: group for group in how.groups for name in group}
    return list(dict.fromkeys(grouped.get(name, (name,)) for name in asked.inputs if name not in asked.fixed))


def _answered(model: object, asked: Question, rows: pl.DataFrame, columns: Sequence[str]) -> Iterable[Mean | Pull]:
    try:
        return asked.answered(model, rows)[0]
    except FilieraError:
        raise
    except Exception as error:
        raise UsageError(
            f"The model cannot answer rows in which {', '.join(columns)} is permuted: {error}",
            why="Its values are given to rows that they do not belong to.",
            do="Permute together what must fit together: groups=((…, …),), or --group A,B.",
        ) from error


def measurable(model: object, asked: Question) -> tuple[str, ...]:
    """Return the metrics by which importance can be measured on these rows. Raises UsageError."""
    return tuple(_usable(asked.answered(model, asked.rows)[0]))


def _usable(estimates: Iterable[Mean | Pull]) -> dict[str, Mean | Pull]:
    """Return what can be measured by name, without what is neither good nor bad: a mean error, a coverage."""
    return {one.name: one for one in estimates if one.scale != "plain" and not one.name.startswith(_NEITHER)}


def _chosen(estimates: Iterable[Mean | Pull], metric: str) -> Mean | Pull:
    usable = _usable(estimates)
    if metric not in usable:
        raise UsageError(
            f"Importance cannot be measured by {metric!r}.",
            why=f"On these rows it can by: {', '.join(usable) or 'nothing'}.{did_you_mean(metric, usable)}",
            do="Name one of these as the metric.",
        )
    return usable[metric]


def _reach(pulls: Floats, units: Units) -> float:
    """Return half the width of the interval: Student's t times the standard error, endless for one unit."""
    from scipy.special import stdtrit

    if units.count < 2:
        return float("inf")
    error = float(units.variance(pulls[:, None])[0]) ** 0.5
    return float(stdtrit(units.count - 1, (1 + LEVEL) / 2) * error)


def _notes(asked: Question, how: Permuting) -> Iterable[str]:
    if asked.fixed:
        yield f"Not permuted: {', '.join(asked.fixed)}, which say what is asked for."
    sets = related(asked.rows.select(asked.inputs), _ALIKE)
    apart = [names for names in sets if not any(set(names) <= set(group) for group in how.groups)]
    if apart:
        yield (
            f"Inputs that go together (rank correlation {_ALIKE} or more): {'; '.join(map(','.join, apart))}. Each "
            "stands in for the others, and seems to matter less than they do together: permute them as a group."
        )
