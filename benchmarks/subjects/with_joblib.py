"""joblib: ``with_joblib.py SCENARIO SIZE START``; prints seconds inside what it runs."""

import sys
import time

import work
from joblib import Memory, Parallel, delayed

memory = Memory("cache", verbose=0)


def _chain(steps: int, start: int) -> int:
    add_one = memory.cache(work.add_one)
    number = start
    for _ in range(steps):
        number = add_one(number)
    return number


def chain(steps: int, start: int) -> list[float]:
    """Call a memorised function once to warm the process, then so many times, each with the number before."""
    _chain(1, start - 1)
    before = time.perf_counter()
    result = _chain(steps, start)
    took = time.perf_counter() - before
    assert result == start + steps
    return [took]


def fan_out(width: int, start: int) -> list[float]:
    """Call a function for each of so many numbers in two processes, without and with a cache.

    The processes are started by the first call and stay for the others.
    """
    took = []
    memorised = memory.cache(work.add_one)
    for function, first in ((work.add_one, start), (work.add_one, start + 500_000), (memorised, start)):
        before = time.perf_counter()
        result = Parallel(n_jobs=2)(delayed(function)(number) for number in range(first, first + width))
        took.append(time.perf_counter() - before)
        assert result == list(range(first + 1, first + width + 1))
    return took


def table(rows: int, start: int) -> list[float]:
    """Make three tables, each kept."""
    import tables

    make_table, scale, divide = (
        memory.cache(function) for function in (tables.make_table, tables.scale, tables.divide)
    )
    divide(scale(make_table(2, -1)))
    before = time.perf_counter()
    divide(scale(make_table(rows, start)))
    return [time.perf_counter() - before]


def one(size: int, start: int) -> list[float]:
    """Run one step, always."""
    memory.cache(work.note_start).call(1)
    return []


SCENARIOS = {"chain": chain, "fan-out": fan_out, "table": table, "one": one}

if __name__ == "__main__":
    print(*SCENARIOS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3])))
