"""What a model gave, as answers for people and JSON: one mapping per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

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


def answers_json(promised: Sequence[Output], outputs: Outputs, ids: Sequence[str]) -> bytes:
    """Return ``answers_of`` as JSON: of many rows in a third of the time, for no mapping is made of any.

    Args:
        promised: The outputs of the signature.
        outputs: One array for each.
        ids: Of letters and digits.
    """
    pieces = {"id": (b'"%b"', [[each.encode() for each in ids]])}
    for output, values in zip(promised, outputs, strict=True):
        if output.semantics == "probability":
            keys = [msgspec.json.encode(label_key(label)).replace(b"%", b"%%") for label in output.labels]
            texts = _texts(values.ravel().tolist())
            pieces["probabilities"] = (
                b"{%b}" % b",".join([key + b":%b" for key in keys]),
                [texts[place :: len(keys)] for place in range(len(keys))],
            )
        else:
            pieces[ANSWER_KEYS[output.semantics]] = (b"%b", [_texts(_spelled(output, values))])
    line = b"{%b}" % b",".join([b'"%b":%b' % (key.encode(), form) for key, (form, _) in pieces.items()])
    columns = chain.from_iterable(columns for _, columns in pieces.values())
    return b"[%b]" % b",".join([line % row for row in zip(*columns, strict=True)])


def outputs_of(promised: Sequence[Output], answers: Sequence[Mapping[str, Any]]) -> Outputs:
    """Return the arrays that *answers* were made of. Raises KeyError when one lacks what is promised.

    >>> outputs_of([Output(name="y", type="float64", semantics="value")], [{"value": 2.5}])[0].tolist()
    [2.5]
    """
    return tuple(_column(output, [row[ANSWER_KEYS[output.semantics]] for row in answers]) for output in promised)


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


def _texts(values: list[Any]) -> list[bytes]:
    """Return the JSON of each of some numbers, truths or texts."""
    if all(isinstance(value, str) for value in values):
        known = {value: msgspec.json.encode(value) for value in set(values)}
        return [known[value] for value in values]
    if any(isinstance(value, str) for value in values):
        return [msgspec.json.encode(value) for value in values]
    return msgspec.json.encode(values)[1:-1].split(b",")


def _column(output: Output, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if output.semantics == "probability":
        keys = [label_key(label) for label in output.labels]
        return np.array([[row[key] for key in keys] for row in values], dtype=np.float64)
    return np.array(values, dtype=np.float64 if output.type in ("float32", "float64") else None)
