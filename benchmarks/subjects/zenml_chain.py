"""ZenML on its local defaults: ``zenml_chain.py STEPS START``, or ``one``; prints seconds inside the run call."""

import sys
import time

import trivial
from zenml import pipeline, step

add_one = step(trivial.add_one)
note_start = step(enable_cache=False)(trivial.note_start)


@pipeline(enable_cache=True)
def chain(steps: int, start: int) -> None:
    """Add one, so many times."""
    number = start
    for _ in range(steps):
        number = add_one(number)


@pipeline(enable_cache=False)
def one() -> None:
    """Write down when the step began."""
    note_start(1)


def main() -> None:
    """Run the chain once to warm the process, then for the measurement."""
    if sys.argv[1] == "one":
        one()
        return
    steps, start = int(sys.argv[1]), int(sys.argv[2])
    chain(steps=1, start=-1)
    before = time.perf_counter()
    run = chain(steps=steps, start=start)
    took = time.perf_counter() - before
    last = run.steps[f"add_one_{steps}"] if steps > 1 else run.steps["add_one"]
    assert last.output.load() == start + steps
    print(took)


if __name__ == "__main__":
    main()
