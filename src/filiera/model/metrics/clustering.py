"""Metrics of clusters, with 95 % intervals and what a dummy scores on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import Metrics
from filiera.core.plain import encode
from filiera.core.value import dataclass
from filiera.model.answers import ClassAnswers, Codes, Floats, check_lengths, class_answers, label_series, matrix
from filiera.model.metrics.estimate import Pull, measured
from filiera.model.metrics.units import Units

_SILHOUETTE_ROWS = 2000


def clustering_metrics(features: Any, clusters: Any, *, truth: Any = None, seed: int = 0) -> Metrics:
    """Return the silhouette, the Davies-Bouldin and the Calinski-Harabasz index, and with labels how they agree.

    Agreement with *truth*: adjusted Rand index, homogeneity, completeness, and their harmonic mean, the V-measure,
    which is the normalised mutual information. The dummy deals the same clusters out to the same rows at random. The
    intervals are for other rows of the same kind with the clusters as given; the Calinski-Harabasz index grows
    with their number. The silhouette is taken on 2,000 rows at most, as its cost grows with their square. With one
    cluster, or as many as rows, the indices are undefined and left out, and a note says so.

    Args:
        features: What the clusters were made of, shape ``(n, columns)``, finite, scaled as the model saw it.
        clusters: Cluster of each row, shape ``(n,)``. Noise, such as DBSCAN's -1, is taken as one more cluster.
        truth: Labels of the same rows, if any are known.
        seed: Of the sample and the dummy.

    Raises:
        UsageError: No rows, lengths that differ, or features that are not finite numbers.

    >>> found = clustering_metrics([[0.0], [1.0], [9.0], [11.0]], [0, 0, 1, 1], truth=["a", "a", "b", "b"])
    >>> round(found["davies_bouldin"].value, 4), found["adjusted_rand"].value
    (0.1579, 1.0)
    """
    points, answers = matrix(features, "features"), class_answers(clusters, clusters, None)
    check_lengths({"features": len(points), "clusters": len(answers.truth)})
    known = None
    if truth is not None:
        labels = label_series(truth, "truth")
        known = class_answers(labels, labels, None)
        check_lengths({"features": len(points), "truth": len(known.truth)})
    return GroupSample(points, answers, known, Units.of_rows(len(points))).measure(seed)


@dataclass(frozen=True, slots=True)
class GroupSample:
    """Rows as points, the cluster of each, the label of each where known, and which rows hang together."""

    points: Floats
    clusters: ClassAnswers
    known: ClassAnswers | None
    units: Units

    @property
    def has_silhouettes(self) -> bool:
        """Tell whether the silhouette of each row is defined, and cheap."""
        n = len(self.points)
        return n <= _SILHOUETTE_ROWS and 2 <= len(np.unique(self.clusters.truth)) < n

    def take(self, rows: Codes) -> GroupSample:
        """Return the sample of some rows."""
        clusters, known = (
            None if one is None else ClassAnswers(labels=one.labels, truth=one.truth[rows], predicted=one.truth[rows])
            for one in (self.clusters, self.known)
        )
        assert clusters is not None
        return GroupSample(self.points[rows], clusters, known, self.units.take(rows))

    def measure(self, seed: int) -> Metrics:
        """Return the metrics of ``clustering_metrics``."""
        members = np.unique(self.clusters.truth, return_inverse=True)[1]
        n, k = len(members), int(members.max()) + 1
        rng = np.random.Generator(np.random.PCG64(seed))
        dummy, notes, found = rng.permutation(members), [], []
        if 2 <= k < n:
            found = measured([_davies_bouldin(self.points, members, dummy)], self.units, seed)
            harabasz = _calinski_harabasz(self.points, members, dummy)
            if harabasz is None:
                notes.append("Calinski-Harabasz is left out: in each cluster all rows are alike.")
            else:
                found += measured([harabasz], self.units, seed)
            chosen = np.sort(rng.permutation(n)[:_SILHOUETTE_ROWS])
            if len(chosen) < n:
                notes.append(f"The silhouette is that of {len(chosen):,} of {n:,} rows, drawn with seed {seed}.")
            silhouette = _silhouette(self.points[chosen], members[chosen], dummy[chosen])
            if silhouette is not None:
                found = [*measured([silhouette], self.units.take(chosen), seed), *found]
        else:
            notes.append(f"Silhouette and other indices are undefined with {k} clusters among {n} rows.")
        if self.known is not None:
            found += measured(_agreement(self.known.truth, members, dummy), self.units, seed)
        parts = (encode(self.clusters.labels), self.points.astype("<f8").tobytes(), members.astype("<i8").tobytes())
        return Metrics(tuple(found), task="clustering", notes=tuple(notes), evaluation=digest("evaluation/1", *parts))


def silhouettes(points: Floats, members: Codes) -> Floats:
    """Return the silhouette of each row, -1 to 1, shape ``(n,)``."""
    from sklearn.metrics import silhouette_samples

    return np.asarray(silhouette_samples(points, members), dtype=np.float64)


def _silhouette(points: Floats, members: Codes, dummy: Codes) -> Pull | None:
    if not 2 <= len(np.unique(members)) < len(members):
        return None
    value, pulls = silhouette_pulls(points, members)
    baseline = float(silhouettes(points, dummy).mean())
    return Pull(name="silhouette", value=value, pulls=pulls, scale="correlation", baseline=baseline)


def silhouette_pulls(points: Floats, members: Codes) -> tuple[float, Floats]:
    """Return the mean silhouette, and how far each row pulls it, shape ``(n,)``.

    A row pulls by its own silhouette, and by how far it is from the rows of its cluster, and from those whose nearest
    other cluster it is of: closer than their mean lowers that mean.
    """
    from scipy.spatial.distance import cdist

    n, sizes = len(points), np.bincount(members)
    places, apart = np.arange(n), cdist(points, points)
    sums = np.stack([apart[:, members == k].sum(axis=1) for k in range(len(sizes))], axis=1)
    own = sums[places, members] / np.maximum(sizes[members] - 1, 1)
    others = sums / sizes
    others[places, members] = np.inf
    nearest = others.argmin(axis=1)
    other = others[places, nearest]
    most, alone = np.maximum(own, other), sizes[members] == 1
    rows = np.where(alone, 0.0, np.divide(other - own, most, out=np.zeros(n), where=most > 0))
    # The silhouette is (other - own) / max: how it moves with either mean.
    usable = ~alone & (most > 0)
    steep = np.divide(np.minimum(own, other), most**2, out=np.zeros(n), where=usable)
    flat = np.divide(1.0, most, out=np.zeros(n), where=usable)
    by_own, by_other = np.where(own < other, -flat, -steep), np.where(own < other, steep, flat)
    same = members[:, None] == members[None]
    np.fill_diagonal(same, val=False)
    towards = nearest[:, None] == members[None]
    moved = (by_own / np.maximum(sizes[members] - 1, 1))[:, None] * (apart - own[:, None]) * same
    moved += (by_other / sizes[nearest])[:, None] * (apart - other[:, None]) * towards
    value = float(rows.mean())
    return value, rows - value + moved.sum(axis=0)


def _centres(points: Floats, members: Codes) -> tuple[Floats, Floats]:
    """Return the mean of each cluster, shape ``(k, columns)``, and how many rows it has."""
    sizes = np.bincount(members).astype(np.float64)
    sums = np.stack([np.bincount(members, column) for column in points.T], axis=1)
    return sums / sizes[:, None], sizes


def _calinski_harabasz(points: Floats, members: Codes, dummy: Codes) -> Pull | None:
    """Return the ratio of the spread between clusters to that within, each by its degrees of freedom."""

    def both(of: Codes) -> tuple[Floats, Floats]:
        within = np.square(points - _centres(points, of)[0][of]).sum(axis=1)
        return np.square(points - points.mean(axis=0)).sum(axis=1) - within, within

    def value(between: Floats, within: Floats) -> float:
        return float(between.sum() / (k - 1) / (within.sum() / (n - k)))

    n, k = len(points), int(members.max()) + 1
    between, within = both(members)
    if not within.sum() > 0 or not between.sum() > 0:
        return None
    found = value(between, within)
    pulls = found * (between / between.mean() - within / within.mean())
    baseline = value(*both(dummy))
    return Pull(name="calinski_harabasz", value=found, pulls=pulls, scale="loss", baseline=baseline)


def _davies_bouldin(points: Floats, members: Codes, dummy: Codes) -> Pull:
    """Return the mean over clusters of the worst ratio of two clusters' widths to the distance of their centres."""
    value, pulls = _worst_ratios(points, members)
    return Pull(
        name="davies_bouldin",
        value=value,
        pulls=pulls,
        scale="loss",
        baseline=_worst_ratios(points, dummy)[0],
        greater_is_better=False,
    )


def _worst_ratios(points: Floats, members: Codes) -> tuple[float, Floats]:
    centres, sizes = _centres(points, members)
    away = points - centres[members]
    far = np.sqrt(np.square(away).sum(axis=1))
    widths = np.bincount(members, far) / sizes
    apart = np.sqrt(np.square(centres[:, None] - centres[None]).sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num((widths[:, None] + widths[None]) / apart, nan=0.0, posinf=0.0)
    np.fill_diagonal(ratios, 0.0)
    n, k = len(points), len(sizes)
    # A row widens its cluster by its own distance, and by moving the centre towards itself.
    unit = np.divide(away, far[:, None], out=np.zeros_like(away), where=far[:, None] > 0)
    leaning = np.stack([np.bincount(members, column) for column in unit.T], axis=1) / sizes[:, None]
    wider = far - widths[members] - (away * leaning[members]).sum(axis=1)
    pulls = np.zeros(n)
    for one, other in enumerate(ratios.argmax(axis=1)):
        distance, ratio = apart[one, other], ratios[one, other]
        if not ratio:
            continue
        for place, towards in ((one, centres[one] - centres[other]), (other, centres[other] - centres[one])):
            rows = members == place
            longer = away[rows] @ (towards / distance)
            pulls[rows] += (wider[rows] - ratio * longer) / distance * n / sizes[place] / k
    return float(ratios.max(axis=1).mean()), pulls


def _agreement(truth: Codes, members: Codes, dummy: Codes) -> list[Pull]:
    baselines = {one.name: one.value for one in agreements(truth, dummy)}
    return [
        Pull(name=one.name, value=one.value, pulls=one.pulls, scale=one.scale, baseline=baselines[one.name])
        for one in agreements(truth, members)
    ]


def agreements(truth: Codes, members: Codes) -> list[Pull]:
    """Return how far clusters are the labels.

    Source:
        Hubert and Arabie (1985), Comparing partitions; Rosenberg and Hirschberg (2007), V-measure.
    """
    k = int(members.max()) + 1
    table = np.bincount(truth * k + members, minlength=(int(truth.max()) + 1) * k).reshape(-1, k)
    labels, groups = table.sum(axis=1), table.sum(axis=0)
    n = len(truth)
    # Of each row: the share of rows in its cell, of its label, and of its cluster.
    cell, label, group = table[truth, members] / n, labels[truth] / n, groups[members] / n
    shared, entropy_label, entropy_group = np.log(cell / (label * group)), -np.log(label), -np.log(group)
    information, of_labels, of_groups = (float(each.mean()) for each in (shared, entropy_label, entropy_group))
    found = [_rand(table, (cell, label, group))]
    for name, below, entropy in (
        ("homogeneity", of_labels, entropy_label),
        ("completeness", of_groups, entropy_group),
        ("v_measure", (of_labels + of_groups) / 2, (entropy_label + entropy_group) / 2),
    ):
        value = information / below if below > 0 else 1.0
        pulls = (shared - information - value * (entropy - below)) / below if below > 0 else np.zeros(n)
        found.append(Pull(name=name, value=min(max(value, 0.0), 1.0), pulls=pulls))
    return [*found, Pull(name="normalized_mutual_info", value=found[-1].value, pulls=found[-1].pulls)]


def _rand(table: Codes, shares: tuple[Floats, Floats, Floats]) -> Pull:
    def pairs(counts: Codes) -> float:
        return float((counts * (counts - 1.0)).sum()) / 2

    n = int(table.sum())
    both, in_labels, in_groups = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = in_labels * in_groups / pairs(np.array([n])) if n > 1 else 0.0
    most = (in_labels + in_groups) / 2
    value = (both - expected) / (most - expected) if most != expected else 1.0
    label, group = (float(share.mean()) for share in shares[1:])
    cells, labels, groups = (2 * (share - share.mean()) for share in shares)
    by_chance = labels * group + label * groups
    below = (label + group) / 2 - label * group
    pulls = cells - by_chance - value * ((labels + groups) / 2 - by_chance)
    pulls = pulls / below if below > 1e-12 else np.zeros(n)
    return Pull(name="adjusted_rand", value=value, pulls=pulls, scale="correlation")
