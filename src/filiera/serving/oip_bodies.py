"""Bodies of the Open Inference Protocol's REST surface: JSON, and JSON followed by binary data.

Source: github.com/kserve/open-inference-protocol, and its extension for binary data as Triton and KServe document it.
A request with the header ``Inference-Header-Content-Length`` begins with so many bytes of JSON; behind them lie the
tensors that say ``parameters.binary_data_size``, in their order: little-endian, row by row; truths as one byte, texts
as a length of four bytes and UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

import msgspec

from filiera.core.value import dataclass
from filiera.serving.batch import Batch
from filiera.serving.oip_tensors import DTYPES, Head, Tensor, TensorDecoder
from filiera.serving.problem import Problem, RequestRefused, RowError, invalid_rows

LENGTH_HEADER = "inference-header-content-length"
_LISTS: Mapping[str, Any] = {
    "BOOL": list[bool],
    "BYTES": list[str],
    **{name: list[float] if name.startswith("FP") else list[int] for name in DTYPES if name != "BOOL"},
}
_LENGTH = struct.Struct("<I")
_Parameters = dict[str, Any]
_T = TypeVar("_T")


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: _Parameters = {}


class _FlatFloats(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]
    parameters: _Parameters = {}


class _NestedFloats(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[list[float]]
    parameters: _Parameters = {}


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = {}


class _Request(msgspec.Struct, Generic[_T]):
    inputs: list[_T]
    outputs: list[_Output] = []
    id: str = ""
    parameters: _Parameters = {}


_REQUEST = msgspec.json.Decoder(_Request[_Input])
_FLAT = msgspec.json.Decoder(_Request[_FlatFloats])
_NESTED = msgspec.json.Decoder(_Request[_NestedFloats])


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a request asks for, besides its rows."""

    id: str  #: the caller's name for the request, given back
    outputs: tuple[str, ...]  #: names of tensors; none: all
    binary: frozenset[str] | None  #: names of those to come as binary data; None: all


def read(decoder: TensorDecoder, body: bytes, json_bytes: int | None) -> tuple[Batch, Asked]:
    """Return the rows of a request and what it asks for.

    Args:
        decoder: Of the model's signature.
        body: The whole body.
        json_bytes: How much of it is JSON, where binary data follows.

    Raises:
        RequestRefused: With status 400 (not JSON, or cut off), 413 (too many rows) or 422 (breaks the signature).
    """
    if json_bytes is not None and json_bytes > len(body):
        raise _wrong_length("It is shorter than its JSON should be.")
    if json_bytes is None and (floats := _try_floats(body)) is not None:
        given: Sequence[_FlatFloats | _NestedFloats] = floats.inputs
        heads = _heads(given)
        decoder.check(heads)
        arrays = [_try_packed(each, head) for each, head in zip(given, heads, strict=True)]
        if all(each is not None for each in arrays):
            return decoder.batch(heads, arrays), _asked(floats)
    request = _request(body[:json_bytes])
    heads = _heads(request.inputs)
    decoder.check(heads)
    contents = _contents(request.inputs, heads, memoryview(body)[len(body) if json_bytes is None else json_bytes :])
    return decoder.batch(heads, contents), _asked(request)


def write(head: Mapping[str, Any], tensors: Sequence[Tensor], asked: Asked) -> tuple[bytes, int | None]:
    """Return the body of a response, and how much of it is JSON if binary data follows."""
    outputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if asked.binary is None or tensor.name in asked.binary:
            blobs.append(binary_of(tensor))
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            values: Any = tensor.values
            output["data"] = values if isinstance(values, Sequence) else values.ravel().tolist()
        outputs.append(output)
    text = msgspec.json.encode({**head, **({"id": asked.id} if asked.id else {}), "outputs": outputs})
    return b"".join([text, *blobs]), len(text) if blobs else None


def binary_of(tensor: Tensor) -> bytes:
    """Return the values of *tensor* as binary data."""
    values: Any = tensor.values
    if not isinstance(values, Sequence):
        found: bytes = values.tobytes()
        return found
    texts = [text.encode() for text in values]
    return b"".join(chain.from_iterable(zip(map(_LENGTH.pack, map(len, texts)), texts, strict=True)))


def values_of(head: Head, data: memoryview | bytes) -> Any:
    """Return the values that binary *data* holds for a tensor: an array, or of BYTES a list of texts.

    Raises:
        RequestRefused: It has another length than its shape says, or something that is no text.
    """
    import numpy as np

    if head.datatype == "BYTES":
        return _texts(head, bytes(data))
    dtype = np.dtype(DTYPES[head.datatype])
    if len(data) != head.count * dtype.itemsize:
        rule = f"must have {head.count * dtype.itemsize} bytes of binary data, {dtype.itemsize} per value"
        raise invalid_rows([RowError(at=head.at, rule=rule)])
    if head.datatype == "BOOL":
        return np.frombuffer(data, dtype=np.uint8) != 0  # as truths, other bytes than 0 and 1 would be neither
    # What lies behind JSON begins anywhere; libraries want numbers where processors like them.
    return np.require(np.frombuffer(data, dtype=dtype), requirements="A")


def _try_floats(text: bytes) -> _Request[_FlatFloats] | _Request[_NestedFloats] | None:
    """Return a request that is nothing but floats in JSON, read at once; None if it is another, or has a fault."""
    if b'"FP' not in text:
        return None
    begin = text.find(b'"data"') + len(b'"data"')
    is_nested = b"".join(text[begin : begin + 16].split()).startswith(b":[[")
    try:
        found: _Request[Any] = (_NESTED if is_nested else _FLAT).decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    are_floats = all(
        each.datatype.startswith("FP") and "binary_data_size" not in each.parameters for each in found.inputs
    )
    return found if are_floats else None


def _try_packed(given: _FlatFloats | _NestedFloats, head: Head) -> Any:
    """Return the values of a tensor as an array; None if they are not as many as its shape says."""
    import numpy as np

    # Packed they are made into an array in a third of the time that a list of them takes.
    if isinstance(given, _FlatFloats):
        packed = struct.pack(f"{len(given.data)}d", *given.data)
    else:
        width = head.shape[-1] if len(head.shape) == 2 else -1
        if any(len(row) != width for row in given.data):
            return None
        pack = struct.Struct(f"{width}d").pack
        packed = b"".join([pack(*row) for row in given.data])
    found = np.frombuffer(packed)
    return found if len(found) == head.count else None


def _heads(inputs: Sequence[_Input | _FlatFloats | _NestedFloats]) -> list[Head]:
    return [
        Head(name=each.name, datatype=each.datatype, shape=tuple(each.shape), unit=str(each.parameters.get("unit", "")))
        for each in inputs
    ]


def _request(text: bytes) -> _Request[_Input]:
    try:
        return _REQUEST.decode(text)
    except msgspec.ValidationError as error:
        rule, _, at = str(error).partition(" - at ")
        raise invalid_rows([RowError(at=at.strip("`").removeprefix("$.") or "body", rule=_lowered(rule))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        detail = "It is not JSON, or not all of it; binary data needs the header Inference-Header-Content-Length."
    except RecursionError:
        detail = "It is nested too deeply."
    raise RequestRefused(Problem(kind="not-json", detail=detail))


def _asked(request: _Request[Any]) -> Asked:
    names = tuple(each.name for each in request.outputs)
    is_all = request.parameters.get("binary_data_output") is True
    if not names:
        return Asked(id=request.id, outputs=(), binary=None if is_all else frozenset())
    binary = frozenset(each.name for each in request.outputs if each.parameters.get("binary_data", is_all) is True)
    return Asked(id=request.id, outputs=names, binary=binary)


def _contents(inputs: Sequence[_Input], heads: Sequence[Head], binary: memoryview) -> list[Any]:
    found, begin = [], 0
    for each, head in zip(inputs, heads, strict=True):
        size = each.parameters.get("binary_data_size")
        if size is None:
            found.append(_listed(each.data, head))
            continue
        if type(size) is not int or size < 0 or bytes(each.data):
            rule = "must have data, or a binary_data_size of 0 or more, not both"
            raise invalid_rows([RowError(at=head.at, rule=rule)])
        if begin + size > len(binary):
            raise _wrong_length("It is shorter than its binary data should be.")
        found.append(values_of(head, binary[begin : begin + size]))
        begin += size
    if begin < len(binary):
        raise _wrong_length("It is longer than its tensors say.")
    return found


def _listed(data: msgspec.Raw, head: Head) -> Any:
    """Return the values of a JSON tensor, flat or nested as its shape is: an array, or a list of what is in it."""
    import numpy as np

    values = _json_values(data, head)
    if len(values) != head.count:
        raise invalid_rows([RowError(at=head.at, rule=f"must have {head.count} values, as its shape says")])
    kinds = set(map(type, values))
    if kinds <= {float}:
        return np.array(values, dtype=np.float64)
    if kinds <= {bool}:
        return np.array(values, dtype=bool)
    if kinds <= {int} and min(values) >= -(2**63):
        if max(values) < 2**63:
            return np.array(values, dtype=np.int64)
        return np.array(values, dtype=np.uint64) if min(values) >= 0 and max(values) < 2**64 else values
    return values


def _json_values(data: msgspec.Raw, head: Head) -> list[Any]:
    text = bytes(data).lstrip()
    is_nested = text[1:].lstrip()[:1] == b"["
    flat = _LISTS[head.datatype]
    try:
        rows: list[Any] = msgspec.json.decode(text, type=list[flat] if is_nested else flat)  # type: ignore[valid-type]
    except msgspec.DecodeError:
        rows = _plain_list(text, head)
    if len(head.shape) == 2 and is_nested:
        width = head.shape[1]
        if any(type(row) is not list or len(row) != width for row in rows):
            raise invalid_rows([RowError(at=head.at, rule=f"must have {width} values in each row, as its shape says")])
        return [value for row in rows for value in row]
    return rows


def _plain_list(text: bytes, head: Head) -> list[Any]:
    try:
        return msgspec.json.decode(text, type=list[Any])
    except msgspec.DecodeError:
        raise invalid_rows([RowError(at=head.at, rule="must have data: a list of its values")]) from None


def _texts(head: Head, data: bytes) -> list[str]:
    found: list[str] = []
    begin = 0
    while begin < len(data) and len(found) < head.count:
        end = begin + _LENGTH.size
        size = _LENGTH.unpack_from(data, begin)[0] if end <= len(data) else len(data)
        if end + size > len(data):
            break
        try:
            found.append(data[end : end + size].decode())
        except UnicodeDecodeError:
            raise invalid_rows([RowError(at=f"{head.at}[{len(found)}]", rule="must be UTF-8 text")]) from None
        begin = end + size
    if len(found) != head.count or begin != len(data):
        rule = f"must have {head.count} texts in its binary data, each behind its length of four bytes"
        raise invalid_rows([RowError(at=head.at, rule=rule)])
    return found


def _lowered(rule: str) -> str:
    return rule[:1].lower() + rule[1:].replace("`", "")


def _wrong_length(detail: str) -> RequestRefused:
    return RequestRefused(Problem(kind="wrong-length", detail=detail))
