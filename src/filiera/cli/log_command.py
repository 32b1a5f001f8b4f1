"""``filiera log``."""

from __future__ import annotations

import argparse
import json
import sys
import time

from filiera.cli.places import find_run, find_step
from filiera.core.task import LogSpan
from filiera.engine.logs import read_log
from filiera.ports import Row
from filiera.project.launch import get_run, log_folder, shown_state
from filiera.project.project import Project

_LOOK_AGAIN_S = 0.2


def run(options: argparse.Namespace) -> int:
    """Print what the steps of a run wrote to standard output, standard error and logging."""
    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    printed: dict[str, int] = {}
    while True:
        is_over = not options.follow or shown_state(project, get_run(project, row["run_id"])) != "running"
        if step and not options.follow:
            steps = [find_step(project, row, step)]
        else:
            steps = [
                s for s in project.records.read("steps_of_run", {"run_id": row["run_id"]}) if step in ("", s["step"])
            ]
        for found in steps:
            _print_new(project, row["run_id"], found, printed)
        if is_over:
            if not printed:
                print(f"{options.what}: nothing was printed by steps that ran in {row['run_id']}", file=sys.stderr)
            return 0
        time.sleep(_LOOK_AGAIN_S)


def _print_new(project: Project, run_id: str, step: Row, printed: dict[str, int]) -> None:
    if not step["log"]:
        return
    file, start, end = json.loads(step["log"])
    place = f"{step['step']}#{step['attempt']}"
    content = read_log(log_folder(project, run_id), LogSpan(file=file, start=start, end=end))
    new = content[printed.get(place, 0) :]
    if not new:
        return
    if place not in printed:
        print(f"── {step['step']} ──", flush=True)
    printed[place] = len(content)
    sys.stdout.buffer.write(new)
    sys.stdout.flush()
