"""Pipelines of every shape for the tests of the engine, over steps that note when they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filiera.core.approval import approve
from filiera.core.options import Cache
from filiera.core.pipeline import pipeline
from filiera.core.shapes import loop, when
from filiera.core.step import step
from filiera.errors import NotRetryable
from tests.engine.steps_to_run import CALLS, MOOD


@step
def numbers(count: int) -> list[int]:
    CALLS.append("numbers")
    return list(range(count))


@step
def double(x: int) -> int:
    CALLS.append(f"double {x}")
    if x in MOOD.get("bad", ()):
        raise ValueError(f"cannot double {x}")
    return 2 * x


@step
def multiply(x: int, y: int, offset: int = 0) -> int:
    CALLS.append(f"multiply {x} {y}")
    return x * y + offset


@step
def total(values: list[int | None]) -> int:
    CALLS.append("total")
    return sum(value for value in values if value is not None)


@step
def is_large(x: int) -> bool:
    CALLS.append(f"is_large {x}")
    return x > 10


@step
def halve(x: int) -> int:
    CALLS.append(f"halve {x}")
    return x // 2


@pipeline(kind="data")
def mapped(count: int = 3) -> int:
    return total(double.map(numbers(count)))


@pipeline(kind="data")
def mapped_twice(count: int = 3) -> int:
    return total(double.map(double.map(numbers(count))))


@pipeline(kind="data")
def of_a_list(items: list[int] = [1, 2, 3]) -> int:  # noqa: B006  read only
    return total(double.map(items))


@pipeline(kind="data")
def crossed(offset: int = 0) -> int:
    return total(multiply.product([1, 2], numbers(3), offset=offset))


@pipeline(kind="data")
def uneven(count: int = 2) -> int:
    return total(multiply.map(numbers(count), double.map(numbers(3))))


@pipeline(kind="data")
def tolerant(share: float = 0.5) -> int:
    return total(double.with_options(min_success=share).map(numbers(4)))


@pipeline(kind="data")
def slowly(count: int = 5) -> int:
    return total(double.with_options(concurrency=1).map(numbers(count)))


@pipeline(kind="data")
def branched(x: int = 20) -> int:
    return double(when(is_large(x), lambda: halve(x), lambda: double(x)))


@pipeline(kind="data")
def shrunk(x: int = 100) -> int:
    return double(loop(halve, x, until=lambda n: is_small(n), at_most=10))


@step
def is_small(x: int) -> bool:
    return x <= 10


@step(dynamic=True)
def plan(count: int) -> int:
    CALLS.append("plan")
    return total([double(number) for number in range(count)])


@pipeline(kind="data")
def planned(count: int = 3) -> int:
    return double(plan(count))


@step(dynamic=True)
def plan_deeply(depth: int) -> int:
    return plan_deeply(depth - 1) if depth else double(21)


@pipeline(kind="data")
def planned_deeply(depth: int = 3) -> int:
    return halve(plan_deeply(depth))


@step(dynamic=True)
def plan_maps(count: int) -> list[int]:
    return double.map(numbers(count))


@pipeline(kind="data")
def planned_maps(count: int = 3) -> int:
    return total(plan_maps(count))


@step(catch=-1)
def caught(x: int) -> int:
    CALLS.append("caught")
    raise ValueError("never works")


@pipeline(kind="data")
def catching() -> int:
    return double(caught(1))


@pipeline(kind="data", on_failure="finish")
def finishing(x: int = 5) -> tuple[int, int]:
    return halve(double(x)), halve(double(100))


@pipeline(kind="data", on_failure="stop")
def stopping(x: int = 5) -> tuple[int, int]:
    return halve(double(x)), halve(double(100))


@step(retries=5, retry_delay_s=0, never_retry=(KeyError,))
def picky(kind: str) -> int:
    CALLS.append("picky")
    raise {"key": KeyError, "final": NotRetryable, "lookup": LookupError}[kind]("no")


@pipeline(kind="data")
def fussy(kind: str = "key") -> int:
    return picky(kind)


@step(cache=Cache(ignore=("verbose",)))
def quiet(x: int, verbose: bool) -> int:
    CALLS.append("quiet")
    return x


@step(cache=Cache(max_age_s=60))
def short_lived(x: int) -> int:
    CALLS.append("short_lived")
    return x


def _parity(x: int) -> str:
    return str(x % 2)


@step(cache=Cache(key=_parity))
def by_parity(x: int) -> int:
    CALLS.append("by_parity")
    return x % 2


@pipeline(kind="data")
def cached(x: int = 1, verbose: bool = False) -> int:
    return multiply(quiet(x, verbose), by_parity(x))


@pipeline(kind="data")
def expiring(x: int = 1) -> int:
    return short_lived(x)


@pipeline(kind="data")
def asking(x: int = 4) -> int:
    return halve(approve(double(x), "Is it good?"))


@step
def stream(count: int) -> Iterator[int]:
    for number in range(count):
        CALLS.append(f"yield {number}")
        yield number


@step
def add_up(parts: Iterable[int]) -> int:
    return sum(parts)


@pipeline(kind="data")
def streamed(count: int = 3) -> int:
    return add_up(stream(count))


@pipeline(kind="data")
def streamed_and_mapped(count: int = 3) -> int:
    return total(double.map(stream(count)))


@pipeline(kind="data")
def twins() -> list[int]:
    return [double(7) for _ in range(5)]


@step(priority=1)
def urgent(x: int) -> int:
    CALLS.append(f"urgent {x}")
    return x


@pipeline(kind="data")
def hurried() -> list[int]:
    return [double(1), double(2), urgent(3)]


@step(limits=("licence",))
def licensed(x: int) -> int:
    CALLS.append(f"licensed {x}")
    return x


@pipeline(kind="data")
def limited() -> int:
    return total([licensed(number) for number in range(4)])


@pipeline(kind="data", timeout_s=100)
def hasty() -> int:
    return halve(double(1))
