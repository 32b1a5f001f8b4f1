"""The words in which codecs refuse a value or bytes, and what they need to find out that they must."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from filiera.core.plain import name_of
from filiera.errors import CodecError, FilieraError


def type_name(value: object) -> str:
    """Return the dotted name of the value's class; builtins without their module.

    >>> type_name(3), type_name(io.StringIO())
    ('int', '_io.StringIO')
    """
    return name_of(type(value)).replace(":", ".").removeprefix("builtins.")


def is_loaded(value: object, module: str, *classes: str) -> bool:
    """Tell whether *value* is an instance of one of the *classes* of *module*, which is never imported to find out."""
    found = sys.modules.get(module)
    if found is None:
        return False
    kinds = tuple(kind for name in classes if isinstance(kind := getattr(found, name, None), type))
    return isinstance(value, kinds)


def unstorable(value: object, *, why: str, do: str) -> CodecError:
    """Return the error for a *value* that has no faithful, deterministic bytes."""
    return CodecError(f"A value of type {type_name(value)} cannot be stored.", why=why, do=do)


def unreadable(codec: str, error: BaseException | str) -> CodecError:
    """Return the error for bytes that are not what *codec* writes."""
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return CodecError(
        f"These bytes are not what codec {codec!r} writes.",
        why=reason.splitlines()[0] if reason else "",
        do="Run the step that made them again, with the same versions of the libraries if they changed.",
    )


def needs(library: str) -> Any:
    """Return the module *library*, which a value was made by. Raises CodecError with the extra to install."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise not_installed(library.partition(".")[0]) from error


def not_installed(library: str) -> CodecError:
    """Return the error for a value that needs a *library* which is not installed."""
    return CodecError(
        f"This model needs {library}, which is not installed.",
        why=f"It was made with {library}, and is stored in its format.",
        do=f"pip install 'filiera[{library}]'",
    )


@contextmanager
def reading(codec: str) -> Iterator[None]:
    """Turn whatever a library raises on malformed bytes into a CodecError; our own errors travel as they are."""
    try:
        yield
    except FilieraError:
        raise
    except Exception as error:
        raise unreadable(codec, error) from error


@contextmanager
def watched(target: BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream to write *target* through; if writing fails, raise that very OSError.

    Libraries written in Rust or C++ turn it into an error of their own, without its number.
    """
    stream = _WatchedStream(target)
    try:
        yield cast(BinaryIO, stream)
    except BaseException:
        if stream.failure is not None:
            raise stream.failure from None
        raise


class _WatchedStream(io.RawIOBase):
    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._target.tell()

    def write(self, content: Any, /) -> int:
        try:
            self._target.write(content)
        except OSError as error:
            self.failure = self.failure or error
            raise
        return memoryview(content).nbytes
