"""Pipelines that only record: trials, metrics, runs."""

import time
from dataclasses import dataclass
from typing import Annotated

from filiera import log_metric, pipeline, step
from filiera.model.tune import Float, Search, tune


@dataclass(frozen=True)
class Point:
    """What is searched."""

    x: Annotated[float, Float(-10, 10)]
    y: Annotated[float, Float(-10, 10)]


@step
def bowl(point: Point) -> float:
    """Return the height of a bowl."""
    return (point.x - 2) ** 2 + point.y**2


@pipeline(kind="model")
def study(trials: int, seed: int):
    """Try so many points."""
    _, found = tune(bowl, Point, Search(trials=trials, sampler="random", seed=seed, goal="minimize"))
    return found


@step
def five(a: int, b: int, c: float, d: str, e: bool) -> int:
    """Log five metrics."""
    for name in ("m0", "m1", "m2", "m3", "m4"):
        log_metric(name, a * 0.5)
    return a


@pipeline(kind="model")
def recorded(a: int, b: int = 1, c: float = 0.5, d: str = "x", e: bool = True):
    """Record five parameters and five metrics."""
    return five(a, b, c, d, e)


@step(cache=False)
def points(count: int) -> float:
    """Log so many points and return the seconds this takes."""
    start = time.perf_counter()
    for number in range(count):
        log_metric("loss", number * 0.001, number)
    return time.perf_counter() - start


@pipeline(kind="model")
def curve(count: int):
    """Log one curve."""
    return points(count)
