"""Asks a service with Triton's own client: the protocol, the address. Prints what it said as JSON.

Runs where ``tritonclient`` is installed, and imports nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np

protocol, address = sys.argv[1:]
triton: Any = importlib.import_module(f"tritonclient.{protocol}")
errors: Any = importlib.import_module("tritonclient.utils")
client = triton.InferenceServerClient(address)
COLUMNS = [
    ("duration", "INT16", np.array([3, 90], dtype=np.int16)),
    ("protocol", "BYTES", np.array(["tcp", "udp"], dtype=object)),
    ("rate", "FP64", np.array([0.5, np.nan])),
    ("user", "BYTES", np.array(["ann", "bob"], dtype=object)),
]


def infer(columns: Any, **options: Any) -> Any:
    inputs = []
    for name, datatype, values in columns:
        inputs.append(triton.InferInput(name, list(values.shape), datatype))
        inputs[-1].set_data_from_numpy(values)
    return client.infer("flows", inputs, **options)


def texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else value for value in values.ravel().tolist()]


answer = infer(COLUMNS, request_id="7")
some = infer(COLUMNS, model_version="3", outputs=[triton.InferRequestedOutput("probabilities")])
metadata = client.get_model_metadata("flows")
described = metadata if isinstance(metadata, dict) else {"name": metadata.name, "versions": list(metadata.versions)}
try:
    infer([("duration", "INT16", np.array([-1, 3], dtype=np.int16)), *COLUMNS[1:]])
    refused = ""
except errors.InferenceServerException as error:
    refused = str(error)
print(
    json.dumps(
        {
            "ready": [client.is_server_live(), client.is_server_ready(), client.is_model_ready("flows")],
            "unknown": client.is_model_ready("other"),
            "metadata": [described["name"], described["versions"]],
            "label": texts(answer.as_numpy("label")),
            "ids": [len(each) for each in texts(answer.as_numpy("id"))],
            "probabilities": answer.as_numpy("probabilities").tolist(),
            "only": some.as_numpy("probabilities").tolist(),
            "refused": refused,
        }
    )
)
