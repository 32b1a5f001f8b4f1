"""The pipelines of the benchmark's project: a chain of any length, and one step."""

import trivial

from filiera import pipeline, step

add_one = step(trivial.add_one)
note_start = step(cache=False)(trivial.note_start)


@pipeline(kind="data")
def chain(steps: int = 1, start: int = -1):
    """Add one, so many times."""
    number = start
    for _ in range(steps):
        number = add_one(number)
    return number


@pipeline(kind="data")
def one():
    """Write down when the step began."""
    return note_start(1)
