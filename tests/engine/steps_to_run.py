"""Steps and pipelines for the tests of planning and driving; each call is noted."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from filiera.core.pipeline import pipeline
from filiera.core.step import step
from filiera.core.task import Resources

CALLS: list[str] = []
"""Names of the steps that ran in this process, in order."""

MOOD: dict[str, Any] = {}
"""What a test wants a step to do this time, outside of its arguments."""


@dataclass(frozen=True)
class Verdict:
    blocks: bool
    summary: str = "3 checks failed"


def _note(name: str) -> None:
    CALLS.append(name)


@step
def first(x: int) -> int:
    _note("first")
    return x + 1


@step
def parity(x: int) -> int:
    _note("parity")
    return x % 2


@step
def last(x: int) -> str:
    _note("last")
    return f"{x}!"


@step
def big(x: int) -> bytes:
    _note("big")
    return bytes([x % 256]) * 10_000


@step
def size(content: bytes) -> int:
    _note("size")
    return len(content)


@step(retries=2, retry_delay_s=0)
def flaky(x: int) -> int:
    _note("flaky")
    MOOD["failures"] = MOOD.get("failures", 0) - 1
    if MOOD["failures"] >= 0:
        raise ValueError(f"not yet: {x}")
    return x


@step
def broken(x: int) -> int:
    _note("broken")
    raise ValueError("broken:\nwith details")


@step(retries=3, retry_delay_s=0)
def unstorable(x: int) -> Any:
    _note("unstorable")
    return object()


@step(cache=False)
def now(x: int) -> int:
    _note("now")
    return MOOD.get("now", x)


@step
def check(x: int) -> Verdict:
    _note("check")
    return Verdict(blocks=x > 10)


@step
def check_oddly(x: int) -> Verdict:
    return Verdict(blocks=True, summary="a lone \udcff")


@step
def publish(x: int, verdict: Verdict) -> int:
    _note("publish")
    return x


@step
def two(x: int) -> tuple[int, int]:
    _note("two")
    return x, -x


@step
def nothing(x: int) -> None:
    _note("nothing")


@step
def add(a: int, b: int) -> int:
    _note("add")
    return a + b


@step
def many(items: list[Any]) -> int:
    _note("many")
    return len(items)


@step
def interrupted(x: int) -> int:
    _note("interrupted")
    raise KeyboardInterrupt


@step(timeout_s=0.2)
def hang(x: int) -> int:
    time.sleep(60)
    return x


@step(retries=1, retry_delay_s=0)
def killed(x: int) -> int:
    os.kill(os.getpid(), 9)
    return x


@step(resources=Resources(cpu=2))
def wide(x: int) -> int:
    return x


@step(retries=1, retry_delay_s=0)
def behave(name: str, manner: str, inputs: list[Any]) -> Any:
    """Do as *manner* says: succeed, succeed at the second try, fail, or say that the run must stop."""
    _note(name)
    if manner == "fail" or (manner == "flaky" and CALLS.count(name) == 1):
        raise ValueError(name)
    return Verdict(blocks=True) if manner == "reject" else [name, len(inputs)]


@step(cache=False)
def behave_anew(name: str, manner: str, inputs: list[Any]) -> Any:
    """Do the same every time."""
    _note(name)
    return [name, len(inputs)]


@pipeline(kind="data")
def chain(x: int = 1) -> Any:
    return last(parity(first(x)))


@pipeline(kind="data")
def with_blob(x: int = 1) -> Any:
    return size(big(x))


@pipeline(kind="data")
def retried(x: int = 1) -> Any:
    return last(flaky(x))


@pipeline(kind="data")
def forked(x: int = 1) -> Any:
    bad = last(parity(broken(first(x))))
    return bad, last(parity(first(x + 10)))


@pipeline(kind="data")
def stores_nothing(x: int = 1) -> Any:
    return last(unstorable(x))


@pipeline(kind="data")
def uncached(x: int = 1) -> Any:
    return last(now(first(x)))


@pipeline(kind="data")
def checked(x: int = 1) -> Any:
    value = first(x)
    return last(publish(value, check(value))), parity(value)


@pipeline(kind="data")
def oddly_checked(x: int = 1) -> Any:
    return check_oddly(x)


@pipeline(kind="data")
def split(x: int = 3) -> Any:
    a, b = two(first(x))
    nothing(a)
    return add(a, b), add(b, a)


@pipeline(kind="data")
def containers(x: int = 3) -> Any:
    a = first(x)
    return many([a, (a, {"k": parity(a)}), 5])


@pipeline(kind="data")
def fan(width: int = 300) -> Any:
    return many([first(i) for i in range(width)])


@pipeline(kind="data")
def stopped(x: int = 1) -> Any:
    return last(interrupted(first(x))), parity(x)


@pipeline(kind="data")
def accidents(x: int = 1) -> Any:
    return last(hang(x)), last(killed(x)), last(wide(first(x)))
