"""Any number of pipelines of three steps, each of its own name."""

import work

from filiera import pipeline, step
from filiera.core.pipeline import Pipeline

add_one = step(work.add_one)


def make_pipelines(count: int, start: int) -> list[Pipeline]:
    """Return so many pipelines, which begin with different numbers."""
    return [_make_pipeline(number, start + 10 * number) for number in range(count)]


def _make_pipeline(number: int, first: int) -> Pipeline:
    def three():
        return add_one(add_one(add_one(first)))

    three.__name__ = three.__qualname__ = f"three_{number}"
    return pipeline(kind="data")(three)
