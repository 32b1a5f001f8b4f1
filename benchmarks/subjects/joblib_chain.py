"""joblib.Memory: ``joblib_chain.py STEPS START``, or ``one``; prints seconds inside the chain."""

import sys
import time

import trivial
from joblib import Memory

memory = Memory("cache", verbose=0)
add_one = memory.cache(trivial.add_one)


def chain(steps: int, start: int) -> int:
    """Call a memorised function so many times, each with what the one before returned."""
    number = start
    for _ in range(steps):
        number = add_one(number)
    return number


def main() -> None:
    """Run the chain once to warm the process, then for the measurement."""
    if sys.argv[1] == "one":
        memory.cache(trivial.note_start).call(1)
        return
    steps, start = int(sys.argv[1]), int(sys.argv[2])
    chain(1, -1)
    before = time.perf_counter()
    result = chain(steps, start)
    took = time.perf_counter() - before
    assert result == start + steps
    print(took)


if __name__ == "__main__":
    main()
