"""The generic workflow: every ML process goes through these stages, in these three kinds of pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

Kind = Literal["data", "model", "serving"]
Stage = Literal[
    "collect", "explore", "clean", "transform", "validate", "publish",
    "split", "train", "tune", "evaluate", "gate",
    "package", "contract", "deploy", "serve", "monitor", "feedback",
]  # fmt: skip

STAGES: Mapping[Kind, tuple[Stage, ...]] = {
    "data": ("collect", "explore", "clean", "transform", "validate", "publish"),
    "model": ("split", "train", "tune", "evaluate", "gate", "publish"),
    "serving": ("package", "contract", "deploy", "serve", "monitor", "feedback"),
}
"""The stages of each kind, in the order in which work goes through them."""

_TABLES = ("DataFrame", "LazyFrame", "Table", "Series", "ndarray")
_BY_RETURNED: Mapping[str, Stage] = {
    "Metrics": "evaluate",
    "Evaluation": "evaluate",
    "Html": "explore",
    "Markdown": "explore",
    "Profile": "explore",
    "Figure": "explore",
}
_VERDICTS: Mapping[str, Stage] = {"CheckReport": "validate", "GateReport": "gate"}


def infer_stage(kind: Kind, returned: Any) -> Stage:
    """Return the stage of a step that declares none, from the *kind* of its pipeline and the type it returns.

    >>> infer_stage("model", tuple[int, int])
    'train'
    """
    name = getattr(returned, "__name__", "")
    if name in _VERDICTS:
        return _VERDICTS[name]
    if name in _BY_RETURNED:
        return _BY_RETURNED[name]
    if kind == "data":
        return "transform"
    if kind == "serving":
        return "serve"
    parts = get_args(returned) if get_origin(returned) is tuple else ()
    if len(parts) > 1 and all(getattr(part, "__name__", "") in _TABLES for part in parts):
        return "split"
    return "transform" if name in _TABLES else "train"
