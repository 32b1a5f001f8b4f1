"""Steps for the tests of executing."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from filiera.errors import SourceError


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Settings:
    colour: Colour
    depth: int = 1


@dataclass(frozen=True)
class Verdict:
    blocks: bool
    summary: str = "too few rows"


class TableWithColumns:
    """Answers every attribute, as a table whose columns are attributes does."""

    def __getattr__(self, name: str) -> list[int]:
        if name.startswith("__"):
            raise AttributeError(name)
        return [1, 2]


class WrappedStep:
    """Stands for a step object, which holds the plain function."""

    def __init__(self, function: Any) -> None:
        self.function = function


def give(value: Any) -> Any:
    return value


def same(a: Any, b: Any) -> bool:
    return a is b


def depth(settings: Settings) -> int:
    return settings.depth + settings.colour.value


def verdicts() -> tuple[Verdict, Verdict, Verdict]:
    return Verdict(blocks=True), Verdict(blocks=False, summary="fine"), Verdict(blocks=True, summary="f1 too low")


def table() -> TableWithColumns:
    return TableWithColumns()


def fail_deep() -> None:
    try:
        _inner(0)
    except ZeroDivisionError as error:
        raise LookupError("outer") from error


def fail_with_ours() -> None:
    raise SourceError("No file 'x.csv'.", why="It was moved.", do="Look for it.")


def fail_with_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def run_out_of_memory() -> None:
    raise MemoryError


def recurse() -> None:
    recurse()


def fail_with(message: str) -> None:
    raise ValueError(message)


def interrupt() -> None:
    raise KeyboardInterrupt


def _inner(zero: int) -> float:
    return 1 / zero


wrapped = WrappedStep(give)


class Holder:
    @staticmethod
    def nested(value: int) -> int:
        return value + 1


def stream(to: int) -> Iterator[bytes]:
    """Yield large items, or one and then an error."""
    if to < 0:
        yield b"some"
        raise ValueError("no more")
    for number in range(to):
        yield b"%d" % number * 5000


def stream_odd() -> Iterator[object]:
    """Yield what no codec takes."""
    yield 1
    yield {object()}


def kind_of(value: Any) -> list[str]:
    """Return the names of the types of a list and its first item."""
    return [type(value).__name__, type(value[0]).__name__]
