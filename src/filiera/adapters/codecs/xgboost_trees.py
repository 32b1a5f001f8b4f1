"""What must hold of an XGBoost model before XGBoost may read it: no index leads outside of what it indexes.

XGBoost follows children, features and categories without looking, so that a model with a wrong number crashes the
process, or never returns. The form is that of its model files: <https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

_NO_NODE = (1 << 31) - 1
_MAX_CATEGORY = 1 << 24
_MAX_GROUPS = 1 << 16
_PER_NODE = (
    "base_weights", "default_left", "left_children", "loss_changes", "parents", "right_children", "split_conditions",
    "split_indices", "split_type", "sum_hessian",
)  # fmt: skip
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


def check(model: Any) -> None:
    """Return if *model*, as read from its file, is one that XGBoost can use safely.

    Raises:
        ValueError: It is not, or it is of a kind that we do not know.
        KeyError: Something is missing.
    """
    learner = model["learner"]
    sizes = learner["learner_model_param"]
    features = _count(sizes, "num_feature", 1 << 31)
    classes = _count(sizes, "num_class", _MAX_GROUPS)
    groups = max(classes, 1) * max(_count(sizes, "num_target", _MAX_GROUPS), 1)
    _require(groups <= _MAX_GROUPS, "too many outputs")
    start = json.loads(sizes["base_score"])
    _require(isinstance(start, float | int) or len(start) in (1, groups), "base_score does not fit the outputs")
    for name in ("feature_names", "feature_types"):
        _require(len(learner[name]) in (0, features), f"{name} does not fit num_feature")
    for part in learner["objective"].values():
        if isinstance(part, dict) and "num_class" in part:
            _require(_count(part, "num_class", _MAX_GROUPS) == classes, "the objective has another number of classes")
    _check_booster(learner["gradient_booster"], features, groups)


def _check_booster(booster: Mapping[str, Any], features: int, groups: int) -> None:
    kind = booster["name"]
    if kind == "gblinear":
        _require(booster["model"]["weights"].size == (features + 1) * groups, "weights do not fit num_feature")
        return
    _require(kind in ("gbtree", "dart"), f"a booster of kind {kind!r}")
    model = (booster["gbtree"] if kind == "dart" else booster)["model"]
    trees = model["trees"]
    sizes = model["gbtree_model_param"]
    _require(_count(sizes, "num_trees", 1 << 31) == len(trees) == len(model["tree_info"]), "num_trees is not the trees")
    _require(all(isinstance(group, int) and 0 <= group < groups for group in model["tree_info"]), "tree_info")
    _require(kind == "gbtree" or len(booster["weight_drop"]) == len(trees), "weight_drop is not one per tree")
    ends = model["iteration_indptr"]
    is_rising = all(isinstance(end, int) for end in ends) and ends == sorted(ends)
    _require(is_rising and [*ends[:1], *ends[-1:]] == [0, len(trees)], "iteration_indptr")
    _require(_count(sizes, "num_parallel_tree", 1 << 31) >= 1, "num_parallel_tree")
    _check_encodings(model["cats"], features)
    for number, tree in enumerate(trees):
        _require(tree["id"] == number, "the trees are not in their order")
        _check_tree(tree, features)


def _check_tree(tree: Mapping[str, Any], features: int) -> None:
    import numpy as np

    sizes = tree["tree_param"]
    nodes = _count(sizes, "num_nodes", 1 << 31)
    _require(_count(sizes, "size_leaf_vector", 1) == 1 and "leaf_weights" not in tree, "leaves with several values")
    _require(_count(sizes, "num_feature", 1 << 31) == features, "a tree of other features")
    _require(nodes >= 1 and all(tree[name].shape == (nodes,) for name in _PER_NODE), "a tree with missing nodes")
    left, right = tree["left_children"], tree["right_children"]
    is_leaf = left == -1
    _require(bool(np.array_equal(is_leaf, right == -1)), "a node with one child")
    children = np.concatenate([left[~is_leaf], right[~is_leaf]])
    _check_below(children, nodes, "a child")
    # With one parent at most for each node and none for the root, no path from the root comes back to itself.
    times = np.bincount(children, minlength=nodes)
    _require(int(times[0]) == 0 and int(times.max(initial=0)) <= 1, "a node with two parents")
    parents = tree["parents"].astype(np.int64)
    inner = np.flatnonzero(~is_leaf)
    is_told = np.array_equal(parents[children], np.concatenate([inner, inner]))
    _require(is_told and int(parents[0]) in (-1, _NO_NODE), "another parent")
    _check_below(parents[1:], nodes, "a parent")
    _check_below(tree["split_indices"][~is_leaf], features, "a feature")
    _require(bool((tree["split_type"] <= 1).all()), "a kind of split")
    _check_categories(*(tree[name] for name in _CATEGORIES), is_categorical=tree["split_type"] == 1)


def _check_categories(
    categories: Integers, nodes: Integers, starts: Integers, counts: Integers, *, is_categorical: NDArray[np.bool_]
) -> None:
    import numpy as np

    _require(bool(np.array_equal(nodes, np.flatnonzero(is_categorical))), "categories of other nodes")
    _require(starts.shape == counts.shape == nodes.shape, "categories without their place")
    _check_below(categories, _MAX_CATEGORY, "a category")
    ends = np.cumsum(counts, dtype=np.int64)
    rows_fit = bool((counts >= 0).all()) and bool(np.array_equal(starts, ends - counts))
    _require(rows_fit and int(ends[-1] if ends.size else 0) == categories.size, "categories outside of their list")


def _check_encodings(cats: Mapping[str, Any], features: int) -> None:
    import numpy as np

    encodings, borders, order = cats["enc"], cats["feature_segments"], cats["sorted_idx"]
    if not encodings:
        _require(borders.size == order.size == 0, "categories without names")
        return
    _require(len(encodings) == features and borders.size == features + 1, "categories of other features")
    counts = [_encoding_size(encoding) for encoding in encodings]
    _require(bool(np.array_equal(borders, np.cumsum([0, *counts]))), "categories outside of their list")
    _require(int(borders[-1]) == order.size, "categories outside of their list")
    for start, count in zip(borders[:-1].tolist(), counts, strict=True):
        _require(bool(np.array_equal(np.sort(order[start : start + count]), np.arange(count))), "order of categories")


def _encoding_size(encoding: Mapping[str, Any]) -> int:
    import numpy as np

    if "offsets" not in encoding:
        return int(encoding["values"].size)
    offsets, values = encoding["offsets"], encoding["values"]
    if not offsets.size:
        _require(values.size == 0, "names of categories")
        return 0
    is_rising = int(offsets[0]) == 0 and bool((np.diff(offsets) >= 0).all())
    _require(is_rising and int(offsets[-1]) == values.size, "names of categories")
    return int(offsets.size) - 1


def _check_below(numbers: Integers, limit: int, what: str) -> None:
    _require(numbers.dtype.kind in "iu", f"{what} that is no whole number")
    _require(not numbers.size or (int(numbers.min()) >= 0 and int(numbers.max()) < limit), f"{what} that is not there")


def _count(sizes: Mapping[str, str], name: str, limit: int) -> int:
    count = int(sizes[name])
    _require(str(count) == sizes[name] and 0 <= count <= limit, f"{name} is {sizes[name]!r}")
    return count


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"not a sound model: {otherwise}")
