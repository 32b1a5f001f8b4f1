"""Search spaces as types: a dataclass whose fields say where to search."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from filiera.core import plain
from filiera.core.parameters import value_fits
from filiera.core.value import dataclass
from filiera.errors import UsageError


@dataclass(frozen=True, slots=True)
class Float:
    """Numbers from *low* to *high*, both included.

    >>> Float(1e-4, 1e-1, log=True)
    Float(low=0.0001, high=0.1, log=True, step=None)
    """

    low: float
    high: float
    log: bool = False  #: as likely between 0.001 and 0.01 as between 0.01 and 0.1; above 0 only
    step: float | None = None  #: only low, low + step, …; not with *log*

    def __post_init__(self) -> None:
        finite = math.isfinite(self.low) and math.isfinite(self.high) and math.isfinite(self.high - self.low)
        if not finite or self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"low <= high, both finite, and low > 0 with log=True: {self}")
        if self.step is not None and (self.log or not self.step > 0):
            raise ValueError(f"a step is above 0, and there is none with log=True: {self}")

    def draw(self, chance: random.Random) -> float:
        """Return one of the numbers."""
        if self.step is not None:
            return self.options()[chance.randrange(len(self.options()))]
        if self.log:
            return min(self.high, max(self.low, math.exp(chance.uniform(math.log(self.low), math.log(self.high)))))
        return chance.uniform(self.low, self.high)

    def options(self) -> list[float]:
        """Return all numbers of a grid. Raises UsageError when there is no step."""
        if self.step is None:
            raise UsageError(f"{self} has no end of numbers, so there is no grid.", do="Give it a step, or a Choice.")
        return [self.low + n * self.step for n in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)]

    def holds(self, value: Any) -> bool:
        """Tell whether a value is among them."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers from *low* to *high*, both included.

    >>> Int(2, 32)
    Int(low=2, high=32, log=False, step=1)
    """

    low: int
    high: int
    log: bool = False  #: as likely between 1 and 10 as between 10 and 100; from 1 on only
    step: int = 1  #: only low, low + step, …; 1 with *log*

    def __post_init__(self) -> None:
        if not all(type(number) is int for number in (self.low, self.high, self.step)):
            raise ValueError(f"whole numbers only: {self}")
        if self.low > self.high or self.step < 1 or (self.log and (self.low < 1 or self.step != 1)):
            raise ValueError(f"low <= high and step >= 1, and with log=True low >= 1 and step = 1: {self}")

    def draw(self, chance: random.Random) -> int:
        """Return one of the numbers."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(chance.uniform(low, high)))))
        return chance.randrange(self.low, self.high + 1, self.step)

    def options(self) -> list[int]:
        """Return all of them."""
        return list(range(self.low, self.high + 1, self.step))

    def holds(self, value: Any) -> bool:
        """Tell whether a value is among them."""
        return type(value) is int and self.low <= value <= self.high


class Choice:
    """One of a few plain values, in no order.

    >>> Choice("gini", "entropy")
    Choice('gini', 'entropy')
    """

    __slots__ = ("values",)

    def __init__(self, *values: Any) -> None:
        if not values or not all(map(plain.is_plain, values)):
            raise ValueError(f"a choice is among plain values, such as numbers and texts, not {values}")
        self.values = values

    def draw(self, chance: random.Random) -> Any:
        """Return one of the values."""
        return self.values[chance.randrange(len(self.values))]

    def options(self) -> list[Any]:
        """Return all of them."""
        return list(self.values)

    def holds(self, value: Any) -> bool:
        """Tell whether a value is among them."""
        return any(type(value) is type(one) and value == one for one in self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and plain.encode(self.values) == plain.encode(other.values)

    def __hash__(self) -> int:
        return hash(plain.encode(self.values))

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"


Range = Float | Int | Choice


class Space:
    """The fields of a dataclass that are searched, each with where: ``depth: Annotated[int, Int(2, 32)]``.

    Fields without a range keep their default.

    Raises:
        UsageError: It is no dataclass, has nothing to search, a field with neither range nor default, or a range of
            values that do not fit its field.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise UsageError(f"A search space is a dataclass, not {kind!r}.", do=_DO)
        hints = get_type_hints(kind, include_extras=True)
        self.ranges: dict[str, Range] = {}
        for field in dataclasses.fields(kind):
            found = _range_of(hints[field.name])
            if found is not None:
                _require_fit(kind, field.name, found, get_args(hints[field.name])[0])
                self.ranges[field.name] = found
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING and field.init:
                raise UsageError(f"{kind.__name__}.{field.name} has neither a range nor a default.", do=_DO)
        if not self.ranges:
            raise UsageError(f"{kind.__name__} has nothing to search.", do=_DO)

    def make(self, values: Mapping[str, Any]) -> Any:
        """Return the dataclass with these values of the fields that are searched. Raises whatever the class raises."""
        return self.kind(**values)

    def values(self, made: Any) -> dict[str, Any]:
        """Return the values of the fields that are searched. Raises UsageError for one that is out of range."""
        found = {name: getattr(made, name) for name in self.ranges}
        for name, value in found.items():
            if not self.ranges[name].holds(value):
                raise UsageError(f"{self.kind.__name__}.{name} is {value!r}, which is not in {self.ranges[name]}.")
        return found

    def draw(self, seed: str) -> dict[str, Any]:
        """Return random values, the same for the same *seed*."""
        chance = random.Random(seed)
        return {name: one.draw(chance) for name, one in self.ranges.items()}

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield all combinations; the last field changes fastest. Raises UsageError when there is no end of them."""
        options = [one.options() for one in self.ranges.values()]
        for combination in itertools.product(*options):
            yield dict(zip(self.ranges, combination, strict=True))

    def grid_size(self) -> int:
        """Return how many combinations there are. Raises UsageError when there is no end of them."""
        return math.prod(len(one.options()) for one in self.ranges.values())


_DO = "Write fields such as  depth: Annotated[int, Int(2, 32)]  into a dataclass at the top level of a module."


def _range_of(hint: Any) -> Range | None:
    if get_origin(hint) is not Annotated:
        return None
    return next((one for one in get_args(hint)[1:] if isinstance(one, Float | Int | Choice)), None)


def _require_fit(kind: type, name: str, found: Range, wanted: Any) -> None:
    options = found.options() if isinstance(found, Choice) else [found.low, found.high]
    for option in options:
        value = float(option) if isinstance(found, Float) else option
        if not value_fits(value, wanted):
            shown = getattr(wanted, "__name__", wanted)
            raise UsageError(f"{kind.__name__}.{name} is of type {shown}, but {found} has {value!r}.")
