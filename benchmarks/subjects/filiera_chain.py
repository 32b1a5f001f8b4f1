"""Filiera: ``filiera_chain.py STEPS START`` in a project that ``run.py`` made; prints seconds inside the run call."""

import sys
import time

from chains import chain


def main() -> None:
    """Run the chain once to warm the process, then for the measurement."""
    steps, start = int(sys.argv[1]), int(sys.argv[2])
    chain.run()
    before = time.perf_counter()
    run = chain.run(steps=steps, start=start)
    took = time.perf_counter() - before
    assert run.value(f"add_one-{steps}") == start + steps
    print(took)


if __name__ == "__main__":
    main()
