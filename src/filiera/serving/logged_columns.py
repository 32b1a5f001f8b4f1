"""Columns for the prediction log: what came as columns is kept as columns, numbers as they lie in memory.

The text of a hundred thousand numbers takes twenty times as long to write as a model takes to answer them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Batch

if TYPE_CHECKING:
    from filiera.serving.served_model import Predictions

_CODES = "bhiqBHIQfd"  # of the standard library's arrays; NumPy spells the same types alike, but for one
_NUMPY_LONG = {"l": "q", "L": "Q"}

Logged: TypeAlias = tuple[bytes, list[memoryview]]
"""One request, or its answers, as ``PredictionLog.append_requests`` takes them: JSON, and the bytes of its blocks."""


def request_columns(batch: Batch, places: Sequence[int]) -> Logged:
    """Return the columns of *batch* at *places*."""
    names = [batch.fields[place].name for place in places]
    lists: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for name, place in zip(names, places, strict=True):
        column: Any = batch.columns[place]
        code = _code(column)
        if code:
            blocks.setdefault(code, {})[name] = column
        else:
            lists[name] = column.tolist() if hasattr(column, "tolist") else column
    packed = [{"code": code, "names": list(found)} for code, found in blocks.items()]
    content = {"height": batch.height, "names": names, "blocks": packed, "columns": lists}
    return msgspec.json.encode(content), [_behind_one_another(list(found.values())) for found in blocks.values()]


def answer_columns(predictions: Predictions) -> Logged:
    """Return *predictions*."""
    columns: dict[str, Any] = {"id": predictions.ids}
    names, blocks, raw = ["id"], [], []
    for output, values in zip(predictions.promised, predictions.outputs, strict=True):
        key, code = ANSWER_KEYS[output.semantics], _code(values)
        names.append(key)
        if output.semantics == "probability":
            labels = [label_key(label) for label in output.labels]
            blocks.append({"code": "d", "names": labels, "of": key})
            raw.append(_behind_one_another(values.T.astype("d", copy=False)))
        elif code:
            blocks.append({"code": code, "names": [key]})
            raw.append(_behind_one_another([values]))
        else:
            columns[key] = values.tolist()
    content = {"height": len(predictions.ids), "names": names, "blocks": blocks, "columns": columns}
    return msgspec.json.encode(content), raw


def _code(column: Any) -> str:
    """Return the type of a column of numbers, or ''."""
    char = getattr(getattr(column, "dtype", None), "char", "")
    code = _NUMPY_LONG.get(char, char)
    return code if code and code in _CODES else ""


def _behind_one_another(columns: Any) -> memoryview:
    import numpy as np

    return np.ascontiguousarray(np.stack(columns)).data.cast("B")
