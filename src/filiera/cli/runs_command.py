"""``filiera runs``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Any

from filiera.cli.compared import Asked, Compared
from filiera.cli.output import how_long, print_json, print_table, shortened, when
from filiera.cli.show_command import parameters_of, run_data
from filiera.errors import UsageError, did_you_mean
from filiera.ports import Row
from filiera.project.listing import NEWEST, Wanted, find_runs, place_of
from filiera.project.metrics import summaries_of_run
from filiera.project.project import Project
from filiera.project.runs import get_run, shown_state

DEFAULT_LIMIT = 20
_STATES = ("running", "waiting", "succeeded", "failed", "rejected", "cancelled", "interrupted")


def run(options: argparse.Namespace) -> int:
    """Print the newest runs; one whose driver died is shown as interrupted."""
    _check(options)
    project = Project.open(profile=options.profile)
    wanted = Wanted(pipeline=options.pipeline, state=options.state, search=options.search)
    before = place_of(get_run(project, options.before)) if options.before else NEWEST
    page = find_runs(project, wanted, before=before, limit=options.limit)

    def values_of(row: Row) -> dict[str, Any]:
        logged = summaries_of_run(project, row["run_id"])
        return {**parameters_of(row), **{name: summary.last for name, summary in logged.items()}}

    compared = Compared(page.rows, values_of, Asked(columns=options.columns, sort=options.sort, what="runs"))
    if options.json:
        print_json([{**run_data(project, row), **_columns(compared.values(row))} for row in compared.found])
    elif page.rows:
        header = ["run", "state", "done", "hits", "started", "took", *compared.names, "message"]
        lines = [_line(project, row, compared.cells(row)) for row in compared.found]
        print_table(header, lines, right=("done", "hits", "took", *compared.names))
    elif options.search or options.before:
        print("There are no such runs.")
    else:
        which = f"{options.state} runs" if options.state else "runs"
        of = f" of {options.pipeline}" if options.pipeline else ""
        print(f"There are no {which}{of}.  Do:  filiera pipelines, then filiera run PIPELINE")
    if page.older and not options.json:
        print(f"older: {_same_before(options, page.older[1])}")
    return 0


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as JSON data; nothing where none were asked for."""
    return {"columns": values} if values else {}


def _check(options: argparse.Namespace) -> None:
    if options.state and options.state not in _STATES:
        why = f"There are: {', '.join(_STATES)}.{did_you_mean(options.state, _STATES)}"
        raise UsageError(f"There is no state {options.state!r}.", why=why)
    if options.search and options.pipeline:
        raise UsageError(
            f"The runs of {options.pipeline} are listed by its name.",
            why="--search looks for pipelines by a part of their name.",
            do="Give one of the two.",
        )
    check_limit(options.limit)


def check_limit(limit: int) -> None:
    """Refuse a page that is empty or too long. Raises UsageError."""
    if not 1 <= limit <= 10_000:
        raise UsageError(f"--limit takes 1 to 10000, not {limit}.")


def _same_before(options: argparse.Namespace, run_id: str) -> str:
    """Return the command that lists the next page."""
    words = ["filiera", "runs", *([options.pipeline] if options.pipeline else [])]
    for name in ("state", "search", "columns", "profile"):
        if value := getattr(options, name):
            words += [f"--{name}", value]
    words += ["--limit", str(options.limit)] if options.limit != DEFAULT_LIMIT else []
    return shlex.join([*words, "--before", run_id])


def _line(project: Project, row: Row, compared: list[str]) -> list[str]:
    return [
        row["run_id"],
        shown_state(project, row),
        f"{row['steps_done']}/{row['steps_total']}",
        row["steps_hit"],
        when(row["started_at"]),
        how_long(row["finished_at"] - row["started_at"]) if row["finished_at"] else "",
        *compared,
        shortened(row["failure"], 80),
    ]
