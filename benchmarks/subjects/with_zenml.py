"""ZenML on its local defaults: ``with_zenml.py chain|one STEPS START``; prints seconds inside the run call."""

import sys
import time

import work
from zenml import pipeline, step

add_one = step(work.add_one)
note_start = step(enable_cache=False)(work.note_start)


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
    scenario, steps, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if scenario == "one":
        one()
        return
    chain(steps=1, start=-1)
    before = time.perf_counter()
    run = chain(steps=steps, start=start)
    took = time.perf_counter() - before
    last = run.steps[f"add_one_{steps}"] if steps > 1 else run.steps["add_one"]
    assert last.output.load() == start + steps
    print(took)


if __name__ == "__main__":
    main()
