"""Universal binary JSON as XGBoost writes it, read strictly: <https://ubjson.org/type-reference>, numbers big-endian.

A reader of our own, because what XGBoost reads by itself may crash the process. Bytes that this reader takes mean the
same to both: nothing is skipped, repeated, padded or left over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

_MAX_DEPTH = 32
_NUMBERS: Mapping[bytes, str] = {
    b"i": ">i1",
    b"U": ">u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
_CONSTANTS: Mapping[bytes, Any] = {b"Z": None, b"T": True, b"F": False}


def read(content: bytes) -> Any:
    """Return what the bytes say: dictionaries, strings, numbers, lists, and NumPy arrays of numbers of one type.

    Raises:
        ValueError: They are no such JSON, or something follows it.
    """
    reader = _Reader(content)
    found = reader.value(reader.take(1), 0)
    if reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at} bytes follow the value")
    return found


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self._content):
            raise ValueError(f"{count} bytes are announced at {self.at} of {len(self._content)}")
        taken = self._content[self.at : end]
        self.at = end
        return taken

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        readers: Mapping[bytes, Callable[[int], Any]] = {b"S": self._text, b"{": self._object, b"[": self._array}
        if marker not in readers:
            raise ValueError(f"no value starts with {marker!r}, as at {self.at - 1}")
        return readers[marker](depth)

    def _number(self, marker: bytes) -> int | float:
        import numpy as np

        return np.frombuffer(self.take(np.dtype(_NUMBERS[marker]).itemsize), _NUMBERS[marker])[0].item()  # type: ignore[no-any-return]

    def _length(self) -> int:
        if self.take(1) != b"L":
            raise ValueError(f"no length at {self.at - 1}")
        length: int = struct.unpack(">q", self.take(8))[0]
        return length

    def _text(self, depth: int = 0) -> str:
        return self.take(self._length()).decode()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._content[self.at : self.at + 1] != b"}":
            name = self._text()
            if name in found:
                raise ValueError(f"{name!r} occurs twice")
            found[name] = self.value(self.take(1), depth + 1)
        self.take(1)
        return found

    def _array(self, depth: int) -> Any:
        import numpy as np

        kind = ""
        if self._content[self.at : self.at + 1] == b"$":
            marker = self.take(2)[1:]
            if marker not in _NUMBERS:
                raise ValueError(f"an array of {marker!r} at {self.at}")
            kind = _NUMBERS[marker]
        if self.take(1) != b"#":
            raise ValueError(f"an array without its length at {self.at - 1}")
        count = self._length()
        if kind:
            return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind)
        if count > len(self._content):
            raise ValueError(f"an array of {count} items at {self.at}")
        return [self.value(self.take(1), depth + 1) for _ in range(count)]
