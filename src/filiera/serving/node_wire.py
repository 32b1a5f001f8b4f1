"""What passes between a serving graph and a node of it in another process: batches and answers, bit for bit."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from filiera.core.signature import Field
from filiera.serving.batch import Batch, Outputs

_LENGTH_BYTES = 8
_AT_ONCE_BYTES = 1 << 20


class Ask(msgspec.Struct):
    """A batch for a node."""

    number: int
    left_s: float | None  #: how long an answer is of use; None: as long as it takes
    height: int
    columns: list[Any]


class Told(msgspec.Struct):
    """What a node says: its answers, or that it failed on the rows."""

    number: int  #: of the question; 0: it is ready
    outputs: list[Any] = []
    failed: str = ""
    why: str = ""
    down: str = ""  #: the node that is not there
    died: bool = False  #: it has ended while it was asked
    late: str = ""  #: the node that was too late


def ask_of(number: int, batch: Batch, left_s: float | None) -> Ask:
    """Return a batch to be sent."""
    return Ask(number=number, left_s=left_s, height=batch.height, columns=[_packed(each) for each in batch.columns])


def read_ask(content: bytes) -> Ask:
    """Return the question that a message is."""
    return msgspec.msgpack.decode(content, type=Ask)


def batch_of(ask: Ask, fields: Sequence[Field]) -> Batch:
    """Return the batch that was sent."""
    columns = [_column(field, packed) for field, packed in zip(fields, ask.columns, strict=True)]
    return Batch(fields=fields, columns=columns, height=ask.height)


def packed_outputs(outputs: Outputs) -> list[Any]:
    """Return answers to be sent."""
    return [_packed(values) for values in outputs]


def outputs_of(packed: Sequence[Any]) -> Outputs:
    """Return the answers that were sent."""
    import numpy as np

    return tuple(_array(each) if isinstance(each, dict) else np.array(each, dtype=object) for each in packed)


def send(connection: socket.socket, message: Ask | Told) -> None:
    """Send a message. Raises OSError."""
    content = msgspec.msgpack.encode(message)
    connection.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


class Incoming:
    """The messages that come over a connection; one that is read in part when time is up is read on later."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._parts: list[bytes] = []  # of the message that is being read, its length first
        self._wanted = _LENGTH_BYTES
        self._has_length = False

    def receive(self) -> bytes:
        """Return the next message. Raises EOFError when the other side is gone, OSError, TimeoutError."""
        while True:
            while self._wanted:
                part = self._connection.recv(min(self._wanted, _AT_ONCE_BYTES))
                if not part:
                    raise EOFError
                self._parts.append(part)
                self._wanted -= len(part)
            content, self._parts = b"".join(self._parts), []
            self._has_length = not self._has_length
            self._wanted = int.from_bytes(content, "big") if self._has_length else _LENGTH_BYTES
            if not self._has_length:
                return content


def _packed(values: Any) -> Any:
    kind = getattr(values, "dtype", None)
    if kind is None:
        return [_plain(value) for value in values]
    if kind.hasobject:
        return [_plain(value) for value in values.tolist()]
    import numpy as np

    return {"type": kind.str, "shape": list(values.shape), "bytes": np.ascontiguousarray(values).tobytes()}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _array(packed: dict[str, Any]) -> Any:
    import numpy as np

    return np.frombuffer(bytearray(packed["bytes"]), dtype=packed["type"]).reshape(packed["shape"])


def _column(field: Field, packed: Any) -> Any:
    if isinstance(packed, dict):
        return _array(packed)
    read = {"date": dt.date.fromisoformat, "timestamp": dt.datetime.fromisoformat}.get(field.type)
    return packed if read is None else [None if value is None else read(value) for value in packed]
