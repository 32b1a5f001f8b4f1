"""What an exception in a step becomes: a failure made of words, which nothing needs to be able to rebuild."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.core.task import Failure, FailureKind
from filiera.errors import FilieraError, StoreError

if TYPE_CHECKING:
    from traceback import TracebackException

_OURS = str(Path(__file__).parents[1]) + os.sep
_MACHINERY = (*(f"{_OURS}{part}{os.sep}" for part in ("engine", "core", "adapters")), "<frozen importlib")
_MAX_MESSAGE = 10_000
_MAX_TRACEBACK = 100_000


def failure_from(error: BaseException, kind: FailureKind) -> Failure:
    """Return the failure that *error* is, of *kind* unless the error itself says better. Never raises."""
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return Failure(kind="exit", error=name, message=f"the step called sys.exit({_text(error)})")
    if isinstance(error, MemoryError):
        message = f"Python found no memory for the step. {_text(error)}".strip()
        return Failure(kind="memory", error=name, message=message, traceback=_user_traceback(error))
    if isinstance(error, StoreError) and kind == "codec":
        kind = "raised"  # the value is fine, the disk is not: trying again may help
    return Failure(
        kind=kind,
        error=name,
        message=_shorten(_text(error), _MAX_MESSAGE),
        traceback=_shorten(_user_traceback(error), _MAX_TRACEBACK),
        bases=tuple(f"{base.__module__}:{base.__qualname__}" for base in type(error).__mro__[:-1]),
    )


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as second:  # noqa: BLE001  the class is the user's; whatever its __str__ raises is told, not raised
        return f"(its text cannot be shown: __str__ raised {type(second).__name__})"
    return _storable(text)


def _user_traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it, without our frames and those of the import system."""
    from traceback import TracebackException

    try:
        told = TracebackException(type(error), error, error.__traceback__)
        _trim(told, (*_MACHINERY, _OURS))
        if not told.stack:
            if isinstance(error, FilieraError):
                return ""  # its message is meant for people and says all
            # A step of ours made a mistake: show it.
            told = TracebackException(type(error), error, error.__traceback__)
            _trim(told, _MACHINERY)
        return _storable("".join(told.format()))
    except Exception as second:  # noqa: BLE001  as in _text: an exception class can make even its traceback unprintable
        return f"(its traceback cannot be shown: {type(second).__name__})"


def _trim(told: TracebackException, unwanted: tuple[str, ...]) -> None:
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(unwanted)]
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _trim(other, unwanted)


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _shorten(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    return f"{text[: size // 2]}\n… ({len(text) - size} characters cut) …\n{text[-size // 2 :]}"
