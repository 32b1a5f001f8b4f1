"""Columns for the prediction log: what came as columns is kept as columns, numbers as they lie in memory.

The text of a hundred thousand numbers takes twenty times as long to write as a model takes to answer them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Batch

if TYPE_CHECKING:
    from filiera.serving.served_model import Predictions

_CODES = "bhiqBHIQfd"  # of the standard library's arrays; NumPy spells the same types alike, but for one
_NUMPY_LONG = {"l": "q", "L": "Q"}


def request_columns(batch: Batch, places: Sequence[int]) -> bytes:
    """Return the columns of *batch* at *places* as ``PredictionLog.append_requests`` takes them."""
    import numpy as np

    names = [batch.fields[place].name for place in places]
    lists: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for name, place in zip(names, places, strict=True):
        column: Any = batch.columns[place]
        code = _NUMPY_LONG.get(char := getattr(getattr(column, "dtype", None), "char", ""), char)
        if code and code in _CODES:
            blocks.setdefault(code, {})[name] = column
        else:
            lists[name] = column.tolist() if hasattr(column, "tolist") else column
    packed = [
        {"code": code, "names": list(found), "base64": b64encode(np.stack(list(found.values())).tobytes()).decode()}
        for code, found in blocks.items()
    ]
    return msgspec.json.encode({"height": batch.height, "names": names, "blocks": packed, "columns": lists})


def answer_columns(predictions: Predictions) -> bytes:
    """Return *predictions* as ``PredictionLog.append_requests`` takes them."""
    columns: dict[str, Any] = {"id": predictions.ids}
    for output, values in zip(predictions.promised, predictions.outputs, strict=True):
        found: Any = values.tolist()
        if output.semantics == "probability":
            keys = [label_key(label) for label in output.labels]
            found = dict(zip(keys, values.T.tolist(), strict=True))
        columns[ANSWER_KEYS[output.semantics]] = found
    return msgspec.json.encode({"height": len(predictions.ids), "names": list(columns), "columns": columns})
