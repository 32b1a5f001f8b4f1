"""What must hold of a LightGBM model's text before LightGBM may read it: no index leads outside of what it indexes.

LightGBM follows children, features and categories without looking, so that a text with a wrong number crashes the
process, or never returns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

_MAX_OUTPUTS = 1 << 16
_CATEGORICAL = 1
_HEADER = frozenset(
    {
        "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
        "average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes",
    }
)  # fmt: skip
_SPLIT_FLOATS = ("split_gain", "threshold", "internal_value", "internal_weight")
_SPLIT_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_TREE = frozenset(
    {
        "num_leaves", "num_cat", "cat_boundaries", "cat_threshold", "is_linear", "leaf_const", "num_features",
        "leaf_features", "leaf_coeff", "shrinkage", "leaf_value", "leaf_weight", "leaf_count",
        *_SPLIT_FLOATS, *_SPLIT_INTEGERS,
    }
)  # fmt: skip
_TAIL = re.compile(
    r"end of trees\n\nfeature_importances:\n([^\n]+=\d+\n)*\n"
    r"(parameters:\n(\[\w+: [^\n]*\]\n)*\nend of parameters\n)?(\npandas_categorical:(?P<categories>[^\n]*)\n)?"
)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|-?inf|-?nan")
_INFO = re.compile(rf"none|\[({_FLOAT.pattern}):({_FLOAT.pattern})\]|-?[0-9]+(:-?[0-9]+)*")
_OBJECTIVE = re.compile(rf"\w+( \w+(:({_FLOAT.pattern}))?)*|", re.ASCII)
_THREADS = re.compile(r"\[num_threads: -?\d+\]")


def canonical(text: str) -> str:
    """Return a model's *text* without how many threads learnt it: a number of the machine, not of the model.

    >>> canonical("[max_depth: 3]\\n[num_threads: 8]\\n")
    '[max_depth: 3]\\n[num_threads: 0]\\n'
    """
    return _THREADS.sub("[num_threads: 0]", text)


def check(text: str) -> None:
    """Return if *text* is a model that LightGBM can use safely.

    Raises:
        ValueError: It is not, or it is of a kind that we do not know.
        KeyError: Something is missing.
    """
    head, blank, rest = text.partition("\n\n")
    lines = head.split("\n")
    _require(bool(blank) and lines[0] == "tree" and "\0" not in text, "it does not begin as one")
    header = _values(lines[1:], _HEADER)
    features = _count(header["max_feature_idx"], 1 << 31) + 1
    outputs = _count(header["num_tree_per_iteration"], _MAX_OUTPUTS)
    _require(1 <= _count(header["num_class"], _MAX_OUTPUTS) == outputs, "num_class")
    for name in ("feature_names", "feature_infos"):
        _require(len(header[name].split(" ")) == features, f"{name} does not fit max_feature_idx")
    _require(all(map(_INFO.fullmatch, header["feature_infos"].split(" "))), "feature_infos")
    _integers(header.get("monotone_constraints", ""), "monotone_constraints", None)
    _check_objective(header.get("objective", ""), outputs)
    sizes = [_count(size, len(text)) for size in _words(header["tree_sizes"])]
    _require(len(sizes) % outputs == 0, "a round without all its trees")
    content = rest.encode()
    for number, size in enumerate(sizes):
        _check_tree(content[:size].decode(), number, features)
        content = content[size:]
    _check_tail(content.decode())


def _check_objective(text: str, outputs: int) -> None:
    _require(_OBJECTIVE.fullmatch(text) is not None, "objective")
    for word in text.split():
        name, _, value = word.partition(":")
        _require(name != "num_class" or _count(value, _MAX_OUTPUTS) == outputs, "an objective of other classes")


def _check_tail(text: str) -> None:
    found = _TAIL.fullmatch(text)
    _require(found is not None, "tree_sizes are not those of the trees, or what follows them is incomplete")
    assert found is not None
    json.loads(found["categories"] or "null")


def _check_tree(text: str, number: int, features: int) -> None:
    import numpy as np

    _require(text.startswith(f"Tree={number}\n") and text.endswith("\n\n\n"), "tree_sizes are not those of the trees")
    values = _values(text.rstrip("\n").split("\n")[1:], _TREE)
    leaves, splits = _count(values["num_leaves"], 1 << 24), _count(values["num_leaves"], 1 << 24) - 1
    _require(leaves >= 1, "a tree without leaves")
    for names, count in ((_SPLIT_FLOATS, splits), (("leaf_value",), leaves), (("leaf_weight",), splits and leaves)):
        for name in names:
            _numbers(values[name] if count else "", name, count)
    _integers(values["leaf_count"] if splits else "", "leaf_count", splits and leaves)
    integers = {name: _integers(values[name], name, splits) for name in _SPLIT_INTEGERS}
    _check_below(integers["split_feature"], features, "a feature")
    children = np.concatenate([integers["left_child"], integers["right_child"]])
    inner, ends = children[children >= 0], ~children[children < 0]
    _check_once(inner, np.arange(1, splits), "a node with two parents, or none")
    _check_once(ends, np.arange(leaves) if splits else ends, "a leaf with two parents, or none")
    is_categorical = (integers["decision_type"] & _CATEGORICAL) != 0
    _check_categories(values, [float(t) for t in _words(values["threshold"])] if splits else [], is_categorical)
    _check_linear(values, leaves, features)
    _numbers(values["shrinkage"], "shrinkage", 1)


def _check_categories(
    values: Mapping[str, str], thresholds: Sequence[float], is_categorical: NDArray[np.bool_]
) -> None:
    import numpy as np

    count = _count(values["num_cat"], 1 << 24)
    used = np.asarray(thresholds)[is_categorical] if len(thresholds) else np.empty(0)
    _require(bool(np.array_equal(np.sort(used), np.arange(count))), "categories of other nodes")
    if not count:
        return
    borders = _integers(values["cat_boundaries"], "cat_boundaries", count + 1)
    words = _integers(values["cat_threshold"], "cat_threshold", int(borders[-1]))
    _require(int(borders[0]) == 0 and bool((np.diff(borders) > 0).all()), "categories outside of their list")
    _check_below(words, 1 << 32, "a category")


def _check_linear(values: Mapping[str, str], leaves: int, features: int) -> None:
    if _count(values["is_linear"], 1) == 0:
        _require("leaf_coeff" not in values, "coefficients in a tree that is not linear")
        return
    _numbers(values["leaf_const"], "leaf_const", leaves)
    counts = _integers(values["num_features"], "num_features", leaves)
    total = int(counts.sum()) if bool((counts >= 0).all()) else -1
    _numbers(values["leaf_coeff"], "leaf_coeff", total)
    _check_below(_integers(values["leaf_features"], "leaf_features", total), features, "a feature")


def _values(lines: Sequence[str], known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        _require(name in known and name not in found, f"the line {line[:40]!r}")
        found[name] = value
    return found


def _numbers(text: str, name: str, count: int) -> None:
    words = _words(text)
    _require(len(words) == count, f"{name} has {len(words)} numbers, not {count}")
    _require(all(map(_FLOAT.fullmatch, words)), f"{name} has something that is no number")


def _integers(text: str, name: str, count: int | None) -> Numbers:
    import numpy as np

    words = _words(text)
    _require(all(map(_INTEGER.fullmatch, words)), f"{name} has something that is no whole number")
    found = np.array([int(word) for word in words], dtype=np.int64)
    _require(count is None or found.size == count, f"{name} has {found.size} numbers, not {count}")
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


def _check_once(found: Numbers, expected: Numbers, otherwise: str) -> None:
    import numpy as np

    _require(bool(np.array_equal(np.sort(found), expected)), otherwise)


def _check_below(numbers: Numbers, limit: int, what: str) -> None:
    _require(not numbers.size or (int(numbers.min()) >= 0 and int(numbers.max()) < limit), f"{what} that is not there")


def _count(text: str, limit: int) -> int:
    count = int(text)
    _require(str(count) == text and 0 <= count <= limit, f"{text!r} is no count")
    return count


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"not a sound model: {otherwise}")
