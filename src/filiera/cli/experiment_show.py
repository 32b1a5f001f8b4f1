"""``filiera experiment show``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from filiera.cli.compared import drop_columns, estimate
from filiera.cli.experiment_names import named
from filiera.cli.output import print_facts, print_json, print_table, shortened, when
from filiera.core.products import ProductRef
from filiera.experiments.place import Place
from filiera.experiments.ranking import deciding_metric
from filiera.experiments.records import RunRecord
from filiera.experiments.showing import Shown, show

_FILES = 10
_RUNS = 20
_REASON = 100


def run(options: argparse.Namespace) -> int:
    """Print how an experiment began and stands, its runs, and what may be done next."""
    place = Place(profile=options.profile)
    found = show(place, named(place, options.name))
    if options.json:
        print_json(found.data)
        return 0
    print_facts(dict(_facts(found)))
    if found.runs:
        print()
        _print_runs(found.runs)
    commands = list(found.next)
    if commands:
        print("\nnext:", *(f"  {command}" for command in commands), sep="\n")
    return 0


def _facts(found: Shown) -> Iterator[tuple[str, str]]:
    one, start = found.listed, found.start
    yield "experiment", one.name
    yield "state", found.state + (f", process {one.holder} works on it" if one.holder is not None else "")
    yield "branch", f"exp/{one.name} at {one.commit[:12]}"
    if start is None:
        yield "began", "not by filiera experiment start: no record says how"
    else:
        came = ", with changes that were not committed" if start.is_carried else ""
        yield "began", f"{when(start.at)} by {start.by}, from {start.base[:12]}{came}"
        yield "target", f"{start.target.removeprefix('refs/heads/')}, {_standing(found)}"
        yield "datasets", ", ".join(str(ProductRef(*map(str, pin))) for pin in start.pins.items()) or "none"
    yield "folder", str(one.worktree or "none: the next run makes it anew")
    if found.busy:
        yield "git", f"in the middle of something there: {found.busy}"
    if found.uncommitted:
        more = f" and {len(found.uncommitted) - _FILES:,} more" if len(found.uncommitted) > _FILES else ""
        yield "uncommitted", ", ".join(found.uncommitted[:_FILES]) + more
    if one.summary.is_stale:
        yield "stale", f"files or data are others than those of {one.summary.newest}"


def _standing(found: Shown) -> str:
    standing = found.listed.standing
    if standing is None:
        return "which is gone"
    if standing.is_merged:
        return "which has it"
    return f"{standing.ahead:,} {'commit' if standing.ahead == 1 else 'commits'} ahead, {standing.behind:,} behind"


def _print_runs(runs: Sequence[RunRecord]) -> None:
    """Print the newest runs with what they were given and came to; of a rejected one, why."""
    shown = runs[:_RUNS]
    metric = deciding_metric(runs)
    columns = {
        "run": [run.run_id for run in shown],
        "state": [run.status for run in shown],
        "parameters": [", ".join(f"{name}={value}" for name, value in run.parameters.items()) for run in shown],
        **(
            {metric: [estimate(run.metrics[metric]) if metric in run.metrics else "" for run in shown]}
            if metric
            else {}
        ),
        "published or why not": [run.published or shortened(run.message, _REASON) for run in shown],
        "ended": [when(run.at) for run in shown],
        "by": [run.by for run in shown],
    }
    drop_columns(columns, ["by", "ended"])
    print_table(list(columns), list(zip(*columns.values(), strict=True)))
    if len(runs) > len(shown):
        print(f"… {len(runs) - len(shown):,} older runs: --json")
