"""Requests of the Open Inference Protocol, written by other code than the service's."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from filiera.core.signature import Field, Signature

Tensor = dict[str, Any]
DATATYPES = {
    "bool": "BOOL",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    "date": "BYTES",
    "timestamp": "BYTES",
}
DTYPES = {"BOOL": "?", "FP32": "f4", "FP64": "f8"}


def tensors_of(signature: Signature, rows: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """Return one tensor per field that all rows have, and masks where something is missing."""
    found = []
    for field in signature.inputs:
        if not all(field.name in row for row in rows):
            continue
        values = [row[field.name] for row in rows]
        found.append(_tensor(field.name, DATATYPES.get(field.type, field.type.upper()), _filled(field, values)))
        if None in values:
            found.append(_tensor(f"{field.name}__valid", "BOOL", [value is not None for value in values]))
    return found


def json_body(tensors: Sequence[Tensor], **members: Any) -> bytes:
    """Return a request in JSON."""
    return json.dumps({"inputs": list(tensors), **members}).encode()


def binary_body(tensors: Sequence[Tensor], **members: Any) -> tuple[bytes, int]:
    """Return a request with all tensors as binary data, and how much of it is JSON."""
    heads, blobs = [], []
    for tensor in tensors:
        blob = binary(tensor["datatype"], tensor["data"])
        head = {key: value for key, value in tensor.items() if key != "data"}
        heads.append(head | {"parameters": {**tensor.get("parameters", {}), "binary_data_size": len(blob)}})
        blobs.append(blob)
    text = json_body(heads, **members)
    return b"".join([text, *blobs]), len(text)


def binary(datatype: str, values: Sequence[Any]) -> bytes:
    """Return values as binary data."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, dtype=np.dtype(DTYPES.get(datatype, datatype.lower())).newbyteorder("<")).tobytes()


def outputs_of(content: bytes, json_bytes: int | None) -> dict[str, list[Any]]:
    """Return the values of each tensor of a response; of a matrix a list per row."""
    document = json.loads(content[:json_bytes])
    found, begin = {}, json_bytes or 0
    for output in document["outputs"]:
        values = output.get("data")
        if values is None:
            size = output["parameters"]["binary_data_size"]
            values = _unpacked(output["datatype"], content[begin : begin + size])
            begin += size
        found[output["name"]] = np.array(values, dtype=object).reshape(output["shape"]).tolist()
    return found


def _unpacked(datatype: str, blob: bytes) -> list[Any]:
    if datatype != "BYTES":
        dtype = np.dtype(DTYPES.get(datatype, datatype.lower())).newbyteorder("<")
        return list(np.frombuffer(blob, dtype=dtype).tolist())
    found, begin = [], 0
    while begin < len(blob):
        (size,) = struct.unpack_from("<I", blob, begin)
        found.append(blob[begin + 4 : begin + 4 + size].decode())
        begin += 4 + size
    return found


def _tensor(name: str, datatype: str, values: list[Any]) -> Tensor:
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": values}


def _filled(field: Field, values: list[Any]) -> list[Any]:
    """Return *values* with what an empty place holds: a tensor has no word for nothing."""
    empty: Any = {"BYTES": "", "BOOL": False}.get(DATATYPES.get(field.type, ""), 0)
    return [empty if value is None else value for value in values]
