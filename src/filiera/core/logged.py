"""Metrics that a step logs while it runs: ``log_metric("loss", 0.31, step=12)``.

A metric logged over steps is a *curve*. Where points go while a step runs, ``filiera.engine.curves`` knows.
"""

from __future__ import annotations

import math
import operator
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextvars import ContextVar, Token
from itertools import chain
from typing import Any, NamedTuple, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.value import dataclass

LONGEST_NAME = 250
_SHORT_BYTES = 256
"""Columns up to here are kept as they are: packing them takes longer than it saves."""
_LARGEST_STEP = 2**53


class Point(NamedTuple):
    """One logged value."""

    step: int  #: which one it is: an epoch, an iteration, the number of a row
    value: float  #: NaN and infinities too
    at: float  #: when it was logged, in seconds since the epoch, UTC


class Log(Protocol):
    """Takes the points of one step."""

    def add(self, name: str, value: float, step: int | None) -> None:
        """Take a point; without a step it is the next of its name."""


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Log a value of a metric while a step runs: it is seen at once by ``filiera metrics RUN``, and kept with the run.

    A step found in the cache has the curves of the run that computed it. Called outside a run, and in a process that
    a step has started afresh, nothing happens.

    Args:
        name: What is measured, such as "loss" or "val/accuracy": 1 to 250 characters, none of which ends a line.
        value: A number, or what ``float()`` makes one of, such as a tensor of one element. NaN and infinities are kept.
        step: Where on the curve it lies, such as the epoch; by default one more than the last, from 0. A step that goes
            on from a checkpoint must say it: points of an earlier attempt from there on are dropped.

    Raises:
        TypeError: The value is no number, or the step is no integer.
        ValueError: There cannot be such a name or step.

    >>> log_metric("loss", 0.31, step=12)
    """
    if type(value) is not float:
        value = _number(name, value)
    if step is not None and type(step) is not int:
        step = operator.index(step)
    log = _own.get()
    if log is None:
        if len(_active) != 1:
            return
        log = _active[0]  # in a thread that the step has started, which has a context of its own
    log.add(name, value, step)


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a metric. Raises TypeError, ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a metric is a text, not {name!r}")
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise ValueError(f"the name of a metric has 1 to {LONGEST_NAME} printable characters, not {name[:300]!r}")


def require_step(step: int) -> None:
    """Refuse a step that is out of range. Raises ValueError."""
    if not -_LARGEST_STEP <= step <= _LARGEST_STEP:
        raise ValueError(f"the step of a metric lies between -2**53 and 2**53, not {step}")


def _number(name: str, value: Any) -> float:
    if not isinstance(value, str | bytes):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise TypeError(f"the value of metric {name!r} is no number: {value!r}")


def current() -> Log | None:
    """Return what takes the points of the step that runs in this context; None outside of steps."""
    return _own.get()


def begin(log: Log) -> Token[Log | None]:
    """Let *log* have what the step that runs now logs, until ``end`` is given what this returns."""
    _active.append(log)
    return _own.set(log)


def end(token: Token[Log | None]) -> None:
    """Note that the step has ended."""
    log = _own.get()
    _own.reset(token)
    if log is not None:
        _active.remove(log)


_own: ContextVar[Log | None] = ContextVar("filiera_metrics", default=None)
_active: list[Log] = []


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of one metric in the order in which they were logged, as three columns.

    >>> curve = Curve.of("loss", [Point(0, 0.5, 1e9), Point(1, float("nan"), 1e9 + 1)])
    >>> len(curve), curve.points()[0], curve.summary().last
    (2, Point(step=0, value=0.5, at=1000000000.0), nan)
    """

    name: str
    size: int  #: how many points
    steps: bytes  #: differences of one step to the one before, 8 bytes each, little-endian; perhaps packed
    values: bytes  #: 8 bytes each, IEEE 754; perhaps packed
    times: bytes  #: differences in milliseconds since the epoch, as the steps

    @classmethod
    def of(cls, name: str, points: Iterable[Point]) -> Curve:
        """Return the curve of these points; times are kept to the millisecond."""
        columns = Columns()
        for step, value, at in points:
            columns.add(step, value, round(at * 1000))
        return columns.curve(name)

    def __len__(self) -> int:
        return self.size

    def points(self) -> list[Point]:
        """Return the points, in order. Raises ValueError when the columns are damaged."""
        step = at_ms = 0
        found = []
        columns = zip(self._column("q", self.steps), self.column(), self._column("q", self.times), strict=True)
        for more, value, later_ms in columns:
            step, at_ms = step + more, at_ms + later_ms
            found.append(Point(step, value, at_ms / 1000))
        return found

    def column(self) -> array[Any]:
        """Return the values alone. Raises ValueError when they are damaged."""
        return self._column("d", self.values)

    def summary(self) -> Summary:
        """Return what lists show of it. Raises ValueError when the values are damaged."""
        return Summary.of(self.name, self.column())

    def _column(self, kind: str, content: bytes) -> array[Any]:
        column: array[Any] = array(kind)
        try:
            column.frombytes(content if 8 * self.size <= _SHORT_BYTES else zlib.decompress(content))
        except zlib.error as error:
            raise ValueError(f"a column of curve {self.name!r} is damaged: {error}") from error
        if sys.byteorder == "big":
            column.byteswap()
        return column


class Columns:
    """The points of a curve while it grows."""

    __slots__ = ("_at_ms", "_steps", "_values")

    def __init__(self) -> None:
        self._steps, self._values, self._at_ms = array("q"), array("d"), array("q")

    def add(self, step: int, value: float, at_ms: int) -> None:
        """Add a point, with its time in milliseconds since the epoch."""
        self._steps.append(step)
        self._values.append(value)
        self._at_ms.append(at_ms)

    def curve(self, name: str) -> Curve:
        """Return what there is by now."""
        steps, times = _differences(self._steps), _differences(self._at_ms)
        return Curve(name, len(steps), _packed(steps), _packed(array("d", self._values)), _packed(times))


@dataclass(frozen=True, slots=True)
class Curves:
    """All that one step has logged, by name."""

    curves: tuple[Curve, ...]

    def __iter__(self) -> Iterator[Curve]:
        return iter(self.curves)


@dataclass(frozen=True, slots=True)
class Summary:
    """What lists of runs show of a curve.

    >>> Summary.of("loss", [0.5, float("nan"), 0.25])
    Summary(name='loss', points=3, last=0.25, least=0.25, greatest=0.5)
    """

    name: str
    points: int  #: how many, at least 1
    last: float  #: logged last
    least: float  #: of those that are numbers; NaN when none is
    greatest: float  #: the same

    @classmethod
    def of(cls, name: str, values: Iterable[float]) -> Summary:
        """Return the summary of these values, of which there is at least one."""
        known = list(values)
        numbers = [value for value in known if not math.isnan(value)]
        return cls(name, len(known), known[-1], min(numbers, default=math.nan), max(numbers, default=math.nan))


@dataclass(frozen=True, slots=True)
class Logged:
    """What an attempt at a step has logged: the curves, stored, and their summaries."""

    curves: ArtifactRef
    summaries: tuple[Summary, ...]


def _differences(column: array[int]) -> array[int]:
    return array("q", map(operator.sub, column, chain((0,), column)))


def _packed(column: array[Any]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    content = column.tobytes()
    return content if len(content) <= _SHORT_BYTES else zlib.compress(content, 1)
