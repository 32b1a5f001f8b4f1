"""``filiera metrics``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filiera.cli.output import print_json, print_table
from filiera.cli.places import find_run, find_step
from filiera.cli.terminal_plots import plot, sparkline
from filiera.cli.visible import steer
from filiera.core.charts import short
from filiera.errors import UsageError, did_you_mean
from filiera.project.metrics import StepCurve, curves_of_run, write_curves
from filiera.project.project import Project
from filiera.project.runs import get_run, shown_state

_LOOK_AGAIN_S = 0.5
_CLEAR = "\033[H\033[J"


def run(options: argparse.Namespace) -> int:
    """Print what the steps of runs have logged, as it is now or as it comes."""
    project = Project.open(profile=options.profile)
    if options.follow and len(options.what) > 1:
        raise UsageError("--follow takes one run.", do="Open another terminal for the other one.")
    found = _find(project, options)
    if options.follow:
        found = _follow(project, options, found)
    elif options.json:
        print_json([_data(one) for one in found])
    elif not found:
        print(f"{' '.join(options.what)}: nothing was logged.  Do:  filiera.log_metric(name, value) in a step")
    else:
        _print(found, is_one=bool(options.name))
    if options.open:
        _write(found, Path(options.open))
    return 0


def _find(project: Project, options: argparse.Namespace) -> list[StepCurve]:
    found: list[StepCurve] = []
    for what in options.what:
        row, step = find_run(project, what)
        if step and not options.follow:
            find_step(project, row, step)
        found += curves_of_run(project, row["run_id"], step=step)
    names = dict.fromkeys(one.curve.name for one in found)
    for name in options.name:
        if name not in names and not options.follow:
            why = f"There are: {', '.join(names) or 'none'}.{did_you_mean(name, names)}"
            raise UsageError(f"No metric {name!r} was logged.", why=why)
    return [one for one in found if not options.name or one.curve.name in options.name]


def _write(found: Sequence[StepCurve], file: Path) -> None:
    try:
        write_curves(found, file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written.", why=error.strerror or str(error)) from error
    print(f"wrote {file}", file=sys.stderr)


def _print(found: Sequence[StepCurve], *, is_one: bool) -> None:
    """Print a line per curve; of those asked for by name also a plot."""
    runs = {one.run_id for one in found}
    header = ["step", "metric", "points", "last", "least", "greatest", "curve"]
    rows = [_line(one) for one in found]
    if len(runs) > 1:
        header.insert(0, "run")
        rows = [[one.run_id, *row] for one, row in zip(found, rows, strict=True)]
    print_table(header, rows, right=("points", "last", "least", "greatest"))
    for one in found if is_one else ():
        points = [(point.step, point.value) for point in one.curve.points()]
        print(f"\n{one.run_id}/{one.step}  {one.curve.name}\n{plot(points) or 'no value is a finite number'}")


def _line(one: StepCurve) -> list[Any]:
    summary, values = one.curve.summary(), one.curve.column()
    numbers = map(short, (summary.last, summary.least, summary.greatest))
    return [one.step, one.curve.name, f"{summary.points:,}", *numbers, sparkline(values)]


def _data(one: StepCurve) -> dict[str, Any]:
    points = one.curve.points()
    return {
        "run": one.run_id,
        "step": one.step,
        "metric": one.curve.name,
        "steps": [point.step for point in points],
        "values": [point.value for point in points],
        "at": [point.at for point in points],
    }


def _follow(project: Project, options: argparse.Namespace, found: list[StepCurve]) -> list[StepCurve]:
    """Print until the run ends: in a terminal the table again and again, else a line per new point."""
    run_id = find_run(project, options.what[0])[0]["run_id"]
    is_terminal = sys.stdout.isatty() and not options.json
    printed: dict[tuple[str, str], int] = {}
    while True:
        is_over = shown_state(project, get_run(project, run_id)) != "running"
        found = _find(project, options)
        if is_terminal:
            steer(_CLEAR)
            _print(found, is_one=bool(options.name))
        else:
            _print_new(found, printed)
        if is_over:
            return found
        time.sleep(_LOOK_AGAIN_S)


def _print_new(found: Sequence[StepCurve], printed: dict[tuple[str, str], int]) -> None:
    for one in found:
        place = one.step, one.curve.name
        points = one.curve.points()
        start = printed.get(place, 0)
        for point in points[start if start <= len(points) else 0 :]:
            print(f"{one.step}  {one.curve.name}  {point.step}  {point.value!r}", flush=True)
        printed[place] = len(points)
