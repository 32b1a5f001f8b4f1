"""Filiera, in a project that ``run.py`` made: ``with_filiera.py SCENARIO SIZE START``; prints seconds in run calls."""

import statistics
import sys
import time

import filiera.project.launch  # noqa: F401  the peers' programs import theirs before they measure, too


def timed(pipeline, **values) -> float:
    """Return the seconds inside one run call."""
    before = time.perf_counter()
    pipeline.run(**values)
    return time.perf_counter() - before


def chain(steps: int, start: int) -> list[float]:
    """Run one step to warm the process, then the chain for the measurement."""
    from pipelines import chain

    chain.run(start=start - 1)
    before = time.perf_counter()
    run = chain.run(steps=steps, start=start)
    took = time.perf_counter() - before
    assert run.value(f"add_one-{steps}" if steps > 1 else "add_one") == start + steps
    return [took]


def fan_out(width: int, start: int) -> list[float]:
    """Fan out in a process that has run nothing yet, and once more in the same one."""
    from pipelines import fan_out

    return [timed(fan_out, width=width, start=start), timed(fan_out, width=width, start=start + 500_000)]


def table(rows: int, start: int) -> list[float]:
    """Make three tables, each kept."""
    from table_pipelines import table

    table.run()
    return [timed(table, rows=rows, start=start)]


def fits(epochs: int, start: int) -> list[float]:
    """Fit eight models in a process that has run nothing yet."""
    from pipelines import fits

    return [timed(fits, count=8, epochs=epochs, start=start)]


def runs(count: int, start: int) -> list[float]:
    """Run three steps so many times, each with other numbers: as one call, and as one run call after the other."""
    from pipelines import chain

    chain.run(start=start - 1)
    values = [{"steps": 3, "start": start + 10 * number} for number in range(2 * count)]
    before = time.perf_counter()
    found = chain.run_many(values[:count])
    together = time.perf_counter() - before
    assert {run.status for run in found} == {"succeeded"}
    before = time.perf_counter()
    for one in values[count:]:
        chain.run(**one)
    return [together, time.perf_counter() - before]


def many(count: int, start: int) -> list[float]:
    """Launch so many pipelines of three steps together; return seconds per step."""
    from many_pipelines import make_pipelines

    from filiera.project.launch import Launch, start_many
    from filiera.project.project import Project

    launches = [Launch(pipeline=made) for made in make_pipelines(count, start)]
    project = Project.open()
    before = time.perf_counter()
    found = start_many(project, launches)
    took = time.perf_counter() - before
    assert {run.status for run in found} == {"succeeded"}
    return [took / (3 * count)]


def growth(steps: int, start: int) -> list[float]:
    """Return seconds per step of a run of a thousandth of the steps, and of a run of all of them."""
    from pipelines import chain

    chain.run()
    few = max(steps // 1000, 1)
    small = [timed(chain, steps=few, start=start + 1000 * number) for number in range(5)]
    return [statistics.median(small) / few, timed(chain, steps=steps, start=start + 100_000) / steps]


SCENARIOS = {
    "chain": chain,
    "fan-out": fan_out,
    "table": table,
    "fits": fits,
    "runs": runs,
    "many": many,
    "growth": growth,
}

if __name__ == "__main__":
    print(*SCENARIOS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3])))
