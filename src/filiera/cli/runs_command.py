"""``filiera runs``."""

from __future__ import annotations

import argparse

from filiera.cli.output import how_long, print_json, print_table, shortened, when
from filiera.cli.show_command import run_data
from filiera.errors import UsageError, did_you_mean
from filiera.ports import Row
from filiera.project.project import Project
from filiera.project.runs import shown_state

_STATES = ("running", "succeeded", "failed", "rejected", "cancelled", "interrupted")


def run(options: argparse.Namespace) -> int:
    """Print the newest runs; one whose driver died is shown as interrupted."""
    if options.state and options.state not in _STATES:
        why = f"There are: {', '.join(_STATES)}.{did_you_mean(options.state, _STATES)}"
        raise UsageError(f"There is no state {options.state!r}.", why=why)
    if not 1 <= options.limit <= 10_000:
        raise UsageError(f"--limit takes 1 to 10000, not {options.limit}.")
    project = Project.open(profile=options.profile)
    rows = _find(project, options.pipeline, options.state, options.limit)
    if options.json:
        print_json([run_data(project, row) for row in rows])
    elif rows:
        header = ["run", "state", "done", "hits", "started", "took", "message"]
        print_table(header, [_line(project, row) for row in rows], right=("done", "hits", "took"))
    else:
        which = f"{options.state} runs" if options.state else "runs"
        of = f" of {options.pipeline}" if options.pipeline else ""
        print(f"There are no {which}{of}.  Do:  filiera pipelines, then filiera run PIPELINE")
    return 0


def _find(project: Project, pipeline: str, state: str, limit: int) -> list[Row]:
    query = "find_runs" + ("_of_pipeline" if pipeline else "") + ("_in_state" if state else "")
    where = {"pipeline": pipeline, "state": state, "before_at": 1e18, "before_id": "", "limit": limit}
    rows = project.records.read(query, where)
    if state == "interrupted":  # also those that nobody could record as such, because their driver died
        rows = [*rows, *project.records.read(query, {**where, "state": "running"})]
        rows.sort(key=lambda row: (row["started_at"], row["run_id"]), reverse=True)
    return [row for row in rows if state in ("", shown_state(project, row))][:limit]


def _line(project: Project, row: Row) -> list[str]:
    return [
        row["run_id"],
        shown_state(project, row),
        f"{row['steps_done']}/{row['steps_total']}",
        row["steps_hit"],
        when(row["started_at"]),
        how_long(row["finished_at"] - row["started_at"]) if row["finished_at"] else "",
        shortened(row["failure"], 80),
    ]
