"""Steps that the contract of executors runs: importable wherever Filiera is installed, so in any worker too."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

from filiera.core import checkpoint
from filiera.core.value import dataclass
from filiera.errors import NotRetryable


@dataclass(frozen=True)
class Doubt:
    """A verdict that blocks."""

    blocks: bool = True
    summary: str = "too few rows"


class Hopeless(NotRetryable):
    """Another attempt cannot help."""


def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


def identity(value: object) -> object:
    """Return *value*."""
    return value


def total(parts: dict[str, list[int]]) -> int:
    """Return the sum of all numbers in *parts*."""
    return sum(sum(numbers) for numbers in parts.values())


def pair() -> tuple[int, str]:
    """Return two values."""
    return 1, "one"


def nothing() -> None:
    """Return nothing."""


def fail(message: str) -> None:
    """Raise ValueError."""
    raise ValueError(message)


def give_up() -> None:
    """Raise what is not to be retried."""
    raise Hopeless("there is no such thing")


def count(to: int, then_fail: bool) -> Iterator[int]:
    """Yield numbers from 0, then raise ValueError or not."""
    yield from range(to)
    if then_fail:
        raise ValueError("no more")


def climb(to: int) -> int:
    """Get one step further than the last attempt; fail below the top."""
    height = int(checkpoint.load(0)) + 1
    checkpoint.save(height)
    if checkpoint.load() < to:
        raise ValueError(f"only at {height}")
    return height


def leave(code: int) -> None:
    """Call ``sys.exit``."""
    sys.exit(code)


def doubt() -> Doubt:
    """Return a verdict that blocks."""
    return Doubt()


def unstorable() -> object:
    """Return what no codec takes."""
    return object()


def speak(word: str) -> None:
    """Write to each of the three ways out."""
    print(f"{word} on stdout")
    print(f"{word} on stderr", file=sys.stderr)
    logging.getLogger("contract").warning("%s by logging", word)


def spoil_surroundings(folder: str) -> None:
    """Change what a process has only one of, and leave it changed."""
    os.chdir(folder)
    os.environ["FILIERA_CONTRACT"] = "spoilt"
    os.environ.pop("PATH", None)


def read_surroundings() -> tuple[str, bool, bool]:
    """Return the current folder and whether the variables are there that ``spoil_surroundings`` sets and removes."""
    return os.getcwd(), "FILIERA_CONTRACT" in os.environ, "PATH" in os.environ  # noqa: PTH109


def crash() -> None:
    """Read memory that is not there."""
    import ctypes

    ctypes.string_at(0)


def end_process(code: int) -> None:
    """End the process without Python noticing."""
    os._exit(code)


def end_if(value: int, end: int) -> int:
    """Return *value*, or end the process when that is *end*."""
    if value == end:
        os._exit(3)
    return value


def hang() -> None:
    """Wait for a signal that never comes."""
    import signal

    while True:
        signal.pause()


def take_memory(size_mib: int) -> None:
    """Fill memory, then wait."""
    block = bytearray(size_mib << 20)
    block[::4096] = b"x" * len(block[::4096])
    hang()
