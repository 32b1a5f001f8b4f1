"""How far each column moves the answer of scikit-learn's trees: exact Shapley values, by an integral.

A tree's answer is a sum over its leaves. Of one leaf, let column j's splits on the way there let a share ``z`` of the
training rows pass, and the row asked about (``o``: 1) or not (0). With a share ``t`` of the columns known, the leaf
counts for the product over j of ``z + (o - z) t``; a column's Shapley value is the integral, over t from 0 to 1, of the
product's change with that column (Owen 1972, Multilinear extensions of games). It is a polynomial of t, so that Gauss
and Legendre's rule gives it exactly with half as many points as there are columns on the way.

The splits not known are averaged over by the rows that the tree was fitted on, as XGBoost and LightGBM do it
(Lundberg, Erion and Lee 2018, Consistent individualized feature attribution for tree ensembles).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filiera.core.value import dataclass
from filiera.model.answers import Codes, Floats

_AT_ONCE = 2_000_000
"""So many numbers are in memory at once: rows are taken in parts."""
_LEAST = 1e-200
"""The share of what no row with a weight has come to: not 0, which nothing can be divided by."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """The columns that are split by on the way to each leaf: a *part* is one column on one way."""

    leaf: Codes  #: of each part, its place among the leaves
    slot: Codes  #: its place on the way
    column: Codes
    share: Floats  #: of the rows that pass all splits by the column on the way
    edges: Codes  #: node of each split, those of one part behind each other
    goes_left: NDArray[np.bool_]  #: whether the way goes left there
    starts: Codes  #: where the edges of each part begin
    values: Floats  #: of the leaves, shape ``(leaves, outputs)``


def tree_contributions(tree: Any, points: Floats) -> tuple[Floats, Floats]:
    """Return what a tree answers without knowing a column, shape ``(outputs,)``, and what each column adds to that.

    Args:
        tree: ``tree_`` of a fitted tree of scikit-learn.
        points: Shape ``(n, columns)``; NaN is missing.

    Returns:
        The second has shape ``(n, columns, outputs)``; together with the first it adds up to the tree's answer.

    >>> from sklearn.tree import DecisionTreeRegressor
    >>> tree = DecisionTreeRegressor().fit([[0.0, 7.0], [1.0, 7.0]], [1.0, 3.0]).tree_
    >>> base, added = tree_contributions(tree, np.array([[1.0, 7.0]]))
    >>> base.tolist(), added.tolist()
    ([2.0], [[[1.0], [0.0]]])
    """
    values = tree.value[:, 0, :]
    if tree.node_count == 1:
        return values[0], np.zeros((*points.shape, values.shape[1]))
    ways = _ways(tree)
    given = points.astype(np.float32)
    found = np.empty((len(points), points.shape[1], values.shape[1]))
    longest = int(ways.slot.max()) + 1
    step = max(1, _AT_ONCE // (len(ways.values) * longest))
    for start in range(0, len(points), step):
        found[start : start + step] = _added(tree, ways, given[start : start + step], longest)
    passing = np.ones(len(ways.values))
    np.multiply.at(passing, ways.leaf, ways.share)
    return passing @ ways.values, found


def _added(tree: Any, ways: _Ways, points: NDArray[np.float32], longest: int) -> Floats:
    n, parts = len(points), len(ways.leaf)
    split = points[:, np.maximum(tree.feature, 0)]
    left = np.where(np.isnan(split), tree.missing_go_to_left.astype(bool), split <= tree.threshold)
    passes = left[:, ways.edges] == ways.goes_left
    known = np.logical_and.reduceat(passes, ways.starts, axis=1).astype(np.float64)
    shares = np.ones((len(ways.values), longest))
    shares[ways.leaf, ways.slot] = ways.share
    asked = np.ones((n, len(ways.values), longest))
    asked[:, ways.leaf, ways.slot] = known
    nodes, weights = np.polynomial.legendre.leggauss((longest + 1) // 2)
    grown = np.zeros((n, parts))
    for place, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        factors = shares + (asked - shares) * place
        product = factors.prod(axis=2)
        grown += weight * product[:, ways.leaf] / factors[:, ways.leaf, ways.slot]
    moved = (known - ways.share) * grown
    found = np.zeros((n, points.shape[1], ways.values.shape[1]))
    for output, value in enumerate(ways.values.T):
        weighted = moved * value[ways.leaf]
        order = np.argsort(ways.column, kind="stable")
        columns, starts = np.unique(ways.column[order], return_index=True)
        found[:, columns, output] = np.add.reduceat(weighted[:, order], starts, axis=1)
    return found


def _ways(tree: Any) -> _Ways:
    left, right, weight = tree.children_left, tree.children_right, tree.weighted_n_node_samples
    leaves: list[int] = []
    parts: list[tuple[int, int, int, float, list[tuple[int, bool]]]] = []
    waiting: list[tuple[int, dict[int, tuple[float, list[tuple[int, bool]]]]]] = [(0, {})]
    while waiting:
        node, way = waiting.pop()
        if left[node] < 0:
            parts += [(len(leaves), slot, column, *way[column]) for slot, column in enumerate(way)]
            leaves.append(node)
            continue
        column = int(tree.feature[node])
        share, edges = way.get(column, (1.0, []))
        for child, goes_left in ((int(left[node]), True), (int(right[node]), False)):
            passing = share * weight[child] / max(weight[node], _LEAST)
            waiting.append((child, {**way, column: (passing, [*edges, (node, goes_left)])}))
    edges = [edge for part in parts for edge in part[4]]
    sizes = np.array([len(part[4]) for part in parts])
    return _Ways(
        leaf=np.array([part[0] for part in parts]),
        slot=np.array([part[1] for part in parts]),
        column=np.array([part[2] for part in parts]),
        share=np.maximum([part[3] for part in parts], _LEAST),
        edges=np.array([node for node, _ in edges]),
        goes_left=np.array([goes_left for _, goes_left in edges]),
        starts=sizes.cumsum() - sizes,
        values=tree.value[leaves, 0, :],
    )
