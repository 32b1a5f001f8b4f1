"""Plain values and raw bytes: the two codecs that need no library."""

from __future__ import annotations

import dataclasses
import enum
import io
import threading
from collections.abc import Generator, Iterator
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from filiera.adapters.codecs.refusal import type_name, unreadable
from filiera.core import plain
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_ATOMS = frozenset({bool, int, float, str, type(None)})
_PROCESS_BOUND = (threading.Thread, type(threading.Lock()), type(threading.RLock()), ModuleType)
_NAMES_ONLY = (PurePosixPath, PureWindowsPath)
_PATH_TAGS = (b'{"$":"path"', b'{"$":"purepath"')  # quotes inside a text are escaped, so no text has these bytes
_GENERAL_ADVICE = (
    "Return plain data (numbers, text, lists, dictionaries, dataclasses), a table, an array, a model, a figure or "
    "a Path; several outputs as separate outputs of the step, not inside a dictionary."
)


class PlainCodec:
    """JSON bytes for numbers, text, dates, containers of them, dataclasses and enums: see ``filiera.core.plain``.

    A ``Path`` is refused, as deep inside as it may be: its text would outlive the file. A ``PurePosixPath`` or
    ``PureWindowsPath`` leads to nothing on disk and is a value like others.
    """

    name = "json/1"

    def handles(self, value: object) -> bool:
        kind = type(value)
        if kind in _ATOMS or kind in _CONTAINERS:
            return True
        if kind is bytes or isinstance(value, Path):
            return False
        if dataclasses.is_dataclass(value) or isinstance(value, enum.Enum | FunctionType | BuiltinFunctionType | type):
            return True
        return plain.is_plain(value)

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        try:
            content = plain.encode(value)
        except TypeError as error:
            raise _unstorable(value, str(error)) from error
        if any(tag in content for tag in _PATH_TAGS):
            _refuse_paths(value)
        writer.stream.write(content)

    def decode(self, reader: ArtifactReader) -> Any:
        content = reader.bytes()
        try:
            return plain.decode(content)
        except ValueError as error:
            if "not in a loaded module" in str(error):
                raise CodecError(
                    "A stored value needs a class that is not loaded.",
                    why=f"{error}: it was renamed or moved since, or its module is not imported here.",
                    do="Import that module before reading the value, or run the step that made the value again.",
                ) from error
            raise unreadable(self.name, error) from error


class BytesCodec:
    """The bytes themselves. A ``bytearray`` comes back as ``bytes``, which equals it."""

    name = "bytes/1"

    def handles(self, value: object) -> bool:
        return type(value) in (bytes, bytearray)

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        writer.stream.write(value)

    def decode(self, reader: ArtifactReader) -> bytes:
        return reader.bytes()


def _refuse_paths(value: object) -> None:
    """Raise CodecError for the first path inside *value* that may lead to a file."""
    for at, path in _paths_in(value, "value"):
        if type(path) not in _NAMES_ONLY:
            raise CodecError(
                f"A value of type {type_name(value)} cannot be stored.",
                why=f"{at} is the path {str(path)!r}: its text would be kept, not the file, which may be gone later.",
                do="Return the Path itself as an output of the step, several files as a folder, "
                "or str(path) if only the name is meant.",
            )


def _paths_in(value: Any, at: str) -> Iterator[tuple[str, PurePath]]:
    """Yield the paths inside a plain *value* with their places."""
    kind = type(value)
    if isinstance(value, PurePath):
        yield at, value
    elif kind is dict:
        for key, item in value.items():
            yield from _paths_in(key, f"a key of {at}")
            yield from _paths_in(item, f"{at}[{key!r}]")
    elif kind in (list, tuple):
        for position, item in enumerate(value):
            yield from _paths_in(item, f"{at}[{position}]")
    elif kind in (set, frozenset):
        for item in value:
            yield from _paths_in(item, f"an item of {at}")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.init:
                yield from _paths_in(getattr(value, field.name), f"{at}.{field.name}")


def _unstorable(value: object, why: str) -> CodecError:
    return CodecError(f"A value of type {type_name(value)} cannot be stored.", why=why, do=_advice(value))


def _advice(value: object) -> str:
    if isinstance(value, Generator | Iterator) and not isinstance(value, io.IOBase):
        return "Return a list: an iterator can be read only once, and only in this process."
    if isinstance(value, io.IOBase):
        return "Return the file's Path, or its content as bytes."
    if isinstance(value, FunctionType):
        return "Define the function at the top level of a module, or return what it computes."
    if isinstance(value, _PROCESS_BOUND):
        return "Return plain data instead: this belongs to the running process and cannot be sent elsewhere."
    if isinstance(value, dict | tuple | list | set) and type(value) not in _CONTAINERS:
        return f"Return it as a plain {_plain_base(value)}, or as a dataclass."
    if dataclasses.is_dataclass(value):
        return "Give the dataclass only fields with plain values; return the rest as separate outputs of the step."
    return _GENERAL_ADVICE


def _plain_base(value: object) -> str:
    return next(base.__name__ for base in type(value).__mro__ if base in _CONTAINERS)
