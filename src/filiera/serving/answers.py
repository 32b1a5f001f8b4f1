"""What a model gave, as answers for people and JSON: one mapping per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from filiera.core.signature import Output
from filiera.serving.batch import Outputs

if TYPE_CHECKING:
    import numpy as np

Answer = dict[str, Any]
"""One answer: its ``id``, and ``label`` and ``probabilities``, or ``value``, or ``cluster``, or ``score``."""

ANSWER_KEYS: Mapping[str, str] = {
    "label": "label",
    "probability": "probabilities",
    "value": "value",
    "cluster": "cluster",
    "score": "score",
}
"""Under which key of an answer each kind of output stands."""


def answers_of(promised: Sequence[Output], outputs: Outputs, ids: Sequence[str]) -> list[Answer]:
    """Return one answer per row of *outputs*, one array for each output *promised*, each with its id."""
    columns: dict[str, Sequence[Any]] = {"id": ids}
    for output, values in zip(promised, outputs, strict=True):
        columns[ANSWER_KEYS[output.semantics]] = _spelled(output, values)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def label_key(label: str | int | bool) -> str:
    """Return how a label is spelled as the key of its probability.

    >>> label_key(True), label_key(3)
    ('true', '3')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)


def _spelled(output: Output, values: np.ndarray[Any, Any]) -> list[Any]:
    if output.semantics == "probability":
        keys = [label_key(label) for label in output.labels]
        return [dict(zip(keys, row, strict=True)) for row in values.tolist()]
    if output.type in ("float32", "float64"):
        return [float(value) for value in values.tolist()]
    return list(values.tolist())
