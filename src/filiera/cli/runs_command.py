"""``filiera runs``."""

from __future__ import annotations

import argparse

from filiera.cli.output import how_long, print_json, print_table, when
from filiera.errors import UsageError
from filiera.project.launch import shown_state
from filiera.project.project import Project

_STATES = ("running", "succeeded", "failed", "rejected", "cancelled", "interrupted")


def run(options: argparse.Namespace) -> int:
    """Print the newest runs; one whose driver died is shown as interrupted."""
    if options.state and options.state not in _STATES:
        raise UsageError(f"There is no state {options.state!r}.", why=f"There are: {', '.join(_STATES)}.")
    if not 1 <= options.limit <= 10_000:
        raise UsageError(f"--limit takes 1 to 10000, not {options.limit}.")
    project = Project.open(profile=options.profile)
    wanted = "running" if options.state == "interrupted" else options.state
    query = "find_runs" + ("_of_pipeline" if options.pipeline else "") + ("_in_state" if wanted else "")
    where = {
        "pipeline": options.pipeline,
        "state": wanted,
        "before_at": 1e18,
        "before_id": "",
        "limit": options.limit,
    }
    rows = [(row, shown_state(project, row)) for row in project.records.read(query, where)]
    rows = [(row, state) for row, state in rows if options.state in ("", state)]
    if options.json:
        print_json(
            [
                {
                    "run": row["run_id"],
                    "pipeline": row["pipeline"],
                    "state": state,
                    "started_at": row["started_at"],
                    "finished_at": row["finished_at"],
                    "steps_total": row["steps_total"],
                    "steps_done": row["steps_done"],
                    "steps_hit": row["steps_hit"],
                    "message": row["failure"],
                }
                for row, state in rows
            ]
        )
        return 0
    if not rows:
        print("No runs yet.  Do:  filiera pipelines, then filiera run PIPELINE")
        return 0
    table = [
        [
            row["run_id"],
            state,
            f"{row['steps_done']}/{row['steps_total']}",
            row["steps_hit"],
            when(row["started_at"]),
            how_long(row["finished_at"] - row["started_at"]) if row["finished_at"] else "",
            row["failure"],
        ]
        for row, state in rows
    ]
    print_table(["run", "state", "done", "hits", "started", "took", "message"], table, right=("done", "hits"))
    return 0
