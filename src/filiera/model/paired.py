"""How much better one model is than another, judged on the rows that both have answered.

Two models mostly fail on the same rows. What they gain or lose against one another lies in the rows where they differ,
and an interval that knows this is far narrower than one that takes the two evaluations as independent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from filiera.core.evaluation import Evaluation
from filiera.core.gate import Improvement
from filiera.model.answers import Codes, Floats
from filiera.model.metrics import interval
from filiera.model.metrics.classification import macro_values
from filiera.model.metrics.regression import regression_values

LEAST_ROWS = 30
"""On fewer common rows nothing is compared in pairs."""
_OTHER = "_champion"
_RESAMPLES = 2000

_Statistic = Callable[[Floats], Floats]
"""From sums over rows, shape ``(m, q)``, the improvement, shape ``(m,)``."""


def common_rows(
    candidate: Evaluation, champion: Evaluation, part: tuple[str, object] | None = None
) -> pl.DataFrame | None:
    """Return what both answered to the rows that both were asked: columns of the candidate, and those of the champion
    with the suffix ``_champion``; None where there are fewer than 30, or fewer than half of the candidate's, and of
    forecasts without clusters, such as weeks, since their errors hang together in time.

    *part* takes the rows with one value in one column, which must be among the candidate's.
    """
    task = candidate.metrics.task
    if task != champion.metrics.task or "truth" not in candidate.rows.columns:
        return None
    if task == "forecasting" and not candidate.clusters:
        return None
    own = candidate.rows
    if part is not None:
        if part[0] not in own.columns:
            return None
        own = own.filter(pl.col(part[0]).cast(pl.String).eq_missing(pl.lit(None if part[1] is None else str(part[1]))))
    answers = [name for name in champion.rows.columns if name == "predicted" or name.startswith(("p:", "score"))]
    other = champion.rows.select("row", "truth", pl.col(answers).name.suffix(_OTHER))
    if other["truth"].dtype != own["truth"].dtype:
        return None
    both: pl.DataFrame = own.join(other, on=["row", "truth"], how="inner", maintain_order="left")
    return both if both.height >= max(LEAST_ROWS, own.height / 2) else None


def improvement(name: str, rows: pl.DataFrame, *, clusters: str = "", seed: int = 0) -> Improvement | None:
    """Return how much better the candidate is by the metric *name* on *rows*, as ``common_rows`` returned them.

    Args:
        name: ``accuracy``: Newcombe's interval of paired proportions, and McNemar's exact test. ``roc_auc`` of two
            classes: DeLong's. Metrics that are means over classes or rows (``f1_macro``, ``log_loss``, ``mae``, …): a
            bootstrap of the rows with the answers of both. With *clusters* all of them: a bootstrap of whole clusters.
        rows: At least two.
        clusters: Column whose equal values hang together.
        seed: Of the bootstrap.

    Returns:
        None for a metric that is not known here, or is undefined on these rows.
    """
    units = None if not clusters else rows[clusters].rank("dense").to_numpy().astype(np.int64) - 1
    rng = np.random.Generator(np.random.PCG64(seed))
    if name == "accuracy" and units is None:
        return _accuracy(rows)
    if name == "roc_auc":
        return _auc(rows) if units is None else None
    if name in ("accuracy", *_MACRO):
        return _by_counts(name, rows, units, rng)
    if name in ("mae", "rmse", "r2"):
        return _regression(name, rows, units, rng)
    if name in ("log_loss", "brier_score"):
        return _by_loss(name, rows, units, rng)
    return None


_MACRO = ("balanced_accuracy", "precision_macro", "recall_macro", "f1_macro")


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, from the rows that only one of two models answered rightly.

    Source:
        McNemar (1947), Note on the sampling error of the difference between correlated proportions; exact by the
        binomial law.

    >>> round(mcnemar(1, 8), 6)
    0.039062
    """
    from scipy.stats import binom

    n = only_first + only_second
    return float(min(1.0, 2 * binom.cdf(min(only_first, only_second), n, 0.5))) if n else 1.0


def paired_proportions(both: int, only_first: int, only_second: int, neither: int) -> interval.Interval:
    """Return the 95 % interval of the difference of two proportions of the same rows, first minus second.

    Source:
        Newcombe (1998), Improved confidence intervals for the difference between binomial proportions based on paired
        data, method 10.

    >>> low, high = paired_proportions(36, 12, 2, 0)
    >>> round(low, 4), round(high, 4)
    (0.0569, 0.3404)
    """
    n = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    (low1, high1), (low2, high2) = ((float(end) for end in interval.wilson(hits, n)) for hits in (first, second))
    p1, p2 = first / n, second / n
    product = float(first) * (n - first) * second * (n - second)
    overlap = float(both * neither - only_first * only_second)
    if overlap > 0:
        overlap = max(overlap - n / 2, 0)
    phi = overlap / product**0.5 if product else 0.0
    difference = p1 - p2
    down = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    up = (p2 - low2) ** 2 - 2 * phi * (p2 - low2) * (high1 - p1) + (high1 - p1) ** 2
    return difference - max(down, 0.0) ** 0.5, difference + max(up, 0.0) ** 0.5


def _accuracy(rows: pl.DataFrame) -> Improvement:
    first = (rows["predicted"] == rows["truth"]).to_numpy()
    second = (rows[f"predicted{_OTHER}"] == rows["truth"]).to_numpy()
    both, one, other = int((first & second).sum()), int((first & ~second).sum()), int((~first & second).sum())
    low, high = paired_proportions(both, one, other, len(first) - both - one - other)
    p = mcnemar(one, other)
    return Improvement(
        value=(one - other) / len(first),
        low=low,
        high=high,
        n=len(first),
        method=f"paired proportions; {one} rows only right now, {other} only before, McNemar p {p:.3g}",
    )


def _auc(rows: pl.DataFrame) -> Improvement | None:
    """Return the difference of two areas under the ROC curve.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver operating
        characteristic curves.
    """
    scores = _positive_scores(rows)
    labels = rows["truth"].unique().sort()
    if scores is None or len(labels) != 2:
        return None
    is_positive = (rows["truth"] == labels[1]).to_numpy()
    parts = [interval.placements(score[is_positive], score[~is_positive]) for score in scores]
    m, n = int(is_positive.sum()), int((~is_positive).sum())
    if min(m, n) < 2:
        return None
    value = float(parts[0][0].mean() - parts[1][0].mean())
    variance = sum(
        np.var(first - second, ddof=1) / len(first) for first, second in zip(parts[0], parts[1], strict=True)
    )
    # Where all placements agree the variance is 0, on 10 rows as on 10,000.
    width = max(interval.normal_quantile() * float(variance) ** 0.5, 1 / min(m, n) if not variance else 0.0)
    return Improvement(value=value, low=value - width, high=value + width, n=m + n, method="DeLong, paired")


def _positive_scores(rows: pl.DataFrame) -> tuple[Floats, Floats] | None:
    names = [name for name in rows.columns if name.startswith("p:") and not name.endswith(_OTHER)]
    if len(names) != 2 or f"{names[1]}{_OTHER}" not in rows.columns:
        return None
    return rows[names[1]].to_numpy(), rows[f"{names[1]}{_OTHER}"].to_numpy()


def _by_counts(name: str, rows: pl.DataFrame, units: Codes | None, rng: np.random.Generator) -> Improvement:
    """Return the improvement of a metric that follows from the confusion matrices of both.

    A bootstrap of few rows where the two differ is too narrow, and of none has no width. So it is made twice, the
    second time with half a row more in each cell of each class (both right, one, the other, none), as Agresti and Min
    (2005), Simple improved confidence intervals for comparing matched proportions, do for two; the wider end counts.
    """
    labels = pl.concat([rows["truth"], rows["predicted"], rows[f"predicted{_OTHER}"]]).unique().sort()
    codes = [labels.search_sorted(rows[column]).to_numpy() for column in ("truth", "predicted", f"predicted{_OTHER}")]
    k = len(labels)
    extra = _four_cells(np.unique(codes[0]), k)
    seen, place = np.unique(np.ravel_multi_index(codes, (k, k, k)), return_inverse=True)
    cells = np.concatenate((seen, extra))
    truth, first, second = np.unravel_index(cells, (k, k, k))

    def gain(counts: Floats) -> Floats:
        values = []
        for answered in (first, second):
            table = np.zeros((3, k, len(counts)))
            hit = truth == answered
            np.add.at(table[0], truth[hit], counts.T[hit])
            np.add.at(table[1], truth, counts.T)
            np.add.at(table[2], answered, counts.T)
            values.append(_metric_of_counts(name, table.transpose(0, 2, 1)))
        return values[0] - values[1]

    observed = np.bincount(place, minlength=len(cells)).astype(np.float64)
    value = float(gain(observed[None, :])[0])
    if units is not None:
        table = np.zeros((int(units.max()) + 1, len(cells)))
        np.add.at(table, (units, place), 1.0)
        return _bootstrapped(value, _spread(gain(_weights(len(table), rng) @ table), value, len(table)), len(rows))
    ends = interval.percentile(gain(_multinomial(observed, rng)))
    more = observed + np.repeat((0.0, 0.5), (len(seen), len(extra)))
    shift = value - float(gain(more[None, :])[0])
    low, high = interval.percentile(gain(_multinomial(more, rng)) + shift)
    return _bootstrapped(value, interval.wider(ends, (low, high)), len(rows))


def _four_cells(classes: Codes, k: int) -> Codes:
    """Return, for each class, the cells where both are right, only one, only the other, and none; wrong by the next."""
    truth, first, second = (np.repeat(classes, 4) for _ in range(3))
    wrong = (np.repeat(classes, 4) + 1) % max(k, 2)
    one, other = np.tile([False, False, True, True], len(classes)), np.tile([False, True, False, True], len(classes))
    first, second = np.where(one, wrong, first), np.where(other, wrong, second)
    return np.ravel_multi_index((truth, first % k, second % k), (k, k, k))


def _multinomial(counts: Floats, rng: np.random.Generator) -> Floats:
    return rng.multinomial(round(counts.sum()), counts / counts.sum(), size=_RESAMPLES).astype(np.float64)


def _spread(resampled: Floats, value: float, units: int) -> interval.Interval:
    """Return the interval of a bootstrap of few clusters, which is too narrow by the root of (c - 1) / c."""
    low, high = interval.percentile(resampled)
    factor = (units / max(units - 1, 1)) ** 0.5
    return value - factor * (value - low), value + factor * (high - value)


def _metric_of_counts(name: str, table: Floats) -> Floats:
    if name == "accuracy":
        right: Floats = table[0].sum(axis=1) / table[1].sum(axis=1)
        return right
    return macro_values(table)[name]


def _weights(n: int, rng: np.random.Generator) -> Floats:
    """Return how often each of *n* units is drawn in each resample, shape ``(_RESAMPLES, n)``."""
    return rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float64)


def _regression(name: str, rows: pl.DataFrame, units: Codes | None, rng: np.random.Generator) -> Improvement:
    y = rows["truth"].to_numpy().astype(np.float64)
    centred = y - y.mean()
    columns = []
    for answer in ("predicted", f"predicted{_OTHER}"):
        error = y - rows[answer].to_numpy()
        columns += [np.abs(error), error**2]
    sums = np.column_stack([*columns, centred, centred**2])
    which, sign, spread = ("mae", "rmse", "r2").index(name), 1 if name == "r2" else -1, float((centred**2).mean())

    def gain(means: Floats) -> Floats:
        first, second = (regression_values(means[:, [2 * i, 2 * i + 1, 4, 5]], spread)[which] for i in (0, 1))
        return sign * (first - second)

    return _by_means(sums, gain, units, rng)


def _by_loss(name: str, rows: pl.DataFrame, units: Codes | None, rng: np.random.Generator) -> Improvement | None:
    losses = []
    for suffix in ("", _OTHER):
        names = [each for each in rows.columns if each.startswith("p:") and each.endswith(_OTHER) == bool(suffix)]
        labels = [each.removeprefix("p:").removesuffix(suffix) for each in names]
        if not names:
            return None
        table = rows.select(names).to_numpy()
        is_true = np.asarray(labels)[None, :] == rows["truth"].cast(pl.String).to_numpy()[:, None]
        if name == "log_loss":
            losses.append(-np.log(np.clip((table * is_true).sum(axis=1), np.finfo(np.float64).eps, 1)))
        else:
            losses.append(np.square(table - is_true).sum(axis=1) / (2 if len(names) == 2 else 1))
    return _by_means(np.column_stack(losses), lambda means: means[:, 1] - means[:, 0], units, rng)


def _by_means(columns: Floats, gain: _Statistic, units: Codes | None, rng: np.random.Generator) -> Improvement:
    n = len(columns)
    value = float(gain(columns.mean(axis=0)[None, :])[0])
    if units is None:
        resampled = interval.resampled_means(columns, rng)
    else:
        table = np.zeros((int(units.max()) + 1, columns.shape[1] + 1))
        np.add.at(table, units, np.column_stack((columns, np.ones(n))))
        sums = _weights(len(table), rng) @ table
        resampled = sums[:, :-1] / sums[:, -1:]
    return _bootstrapped(value, interval.percentile(gain(resampled)), n)


def _bootstrapped(value: float, ends: interval.Interval, n: int) -> Improvement:
    low, high = min(ends[0], value), max(ends[1], value)
    return Improvement(value=value, low=low, high=high, n=n, method="paired bootstrap")
