"""The pipelines of the benchmark's project: a chain of any length, a fan-out, fits, three steps, and one."""

import work

from filiera import pipeline, step

add_one = step(work.add_one)
fit = step(work.fit)
note_start = step(cache=False)(work.note_start)


@pipeline(kind="data")
def chain(steps: int = 1, start: int = -1):
    """Add one, so many times."""
    number = start
    for _ in range(steps):
        number = add_one(number)
    return number


@pipeline(kind="data")
def fan_out(width: int = 2, start: int = -2):
    """Add one to each of so many numbers."""
    return add_one.map(list(range(start, start + width)))


@pipeline(kind="data")
def fits(count: int = 2, epochs: int = 1, start: int = -2):
    """Fit so many models."""
    return fit.map(list(range(start, start + count)), epochs=epochs)


@pipeline(kind="data")
def one():
    """Write down when the step began."""
    return note_start(1)
