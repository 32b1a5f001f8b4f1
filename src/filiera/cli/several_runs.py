"""``filiera run`` with several pipelines: what is asked for, how far all are, and how they ended."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from filiera.cli.output import print_json, shortened
from filiera.cli.run_command import as_data, print_problems, worst_exit_code
from filiera.cli.several_progress import SeveralProgress
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.project.launch import Launch, start_many
from filiera.project.project import Project
from filiera.project.runs import Run
from filiera.project.several import in_order, load_several, upstream

_FEW = 10
"""Of so many runs is told what they published and what is wrong; tracebacks, when there are no more runs at all."""


@dataclass(frozen=True, slots=True)
class _NotStarted:
    """A pipeline that reads what another one should have published."""

    pipeline: str
    why: str


def run_several(project: Project, wanted: list[str], options: argparse.Namespace) -> int:
    """Run the pipelines of these names and patterns together, and return the worst of their exit codes."""
    more = options.rest[len(wanted) - 1 :]
    if more:
        raise UsageError(
            f"Several pipelines run with their defaults, so {more[0]!r} cannot be given.",
            why="A parameter belongs to one pipeline.",
            do=f"filiera run {wanted[0]} {' '.join(more)}",
        )
    pipelines = load_several(project.config, wanted)
    groups, needs, fresh = in_order(pipelines), upstream(pipelines), frozenset(options.fresh)
    for pipeline in (later for group in groups[1:] for later in group):
        pipeline.trace()  # what is wrong with it is an error before any of them starts
    ended: dict[str, Run] = {}
    with SeveralProgress(project, [p.name for p in pipelines], quiet=options.json) as progress:
        for group in groups:
            able = [p for p in group if not _missing(needs[p.name], ended)]
            if able and all(done.status != "cancelled" for done in ended.values()):
                launches = [Launch(pipeline=pipeline, fresh=fresh) for pipeline in able]
                done = start_many(project, launches, listener=progress)
                ended |= {run.graph.pipeline: run for run in done}
    left = [_NotStarted(p.name, _missing(needs[p.name], ended)) for p in pipelines if p.name not in ended]
    if options.json:
        print_json([as_data(done) for done in ended.values()] + [_left_as_data(one) for one in left])
    else:
        _report(list(ended.values()), left)
    return worst_exit_code(ended.values())


def _missing(needed: Iterable[str], ended: Mapping[str, Run]) -> str:
    """Return which of the pipelines that are needed did not succeed; "" when all did."""
    return ", ".join(name for name in sorted(needed) if name not in ended or ended[name].status != "succeeded")


def _report(ended: list[Run], left: list[_NotStarted]) -> None:
    statuses = Counter(done.status for done in ended) + Counter({"not started": len(left)})
    told = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
    print(f"{len(ended) + len(left):,} pipelines: {told}")
    _print_some(
        f"{done.run_id} published {done.version.kind} {done.version.ref}"
        for done in ended
        if done.is_new_version and done.version
    )
    bad = [done for done in ended if done.status != "succeeded"]
    _print_some(f"{done.run_id} {done.status}: {done.state.message}" for done in bad)
    _print_some(f"{one.pipeline} not started: {one.why} did not succeed" for one in left)
    if len(ended) <= _FEW:
        for done in bad:
            print_problems(done)
    if bad:
        print(f"Do:  filiera show {bad[0].run_id}; filiera runs --state {bad[0].status}")


def _print_some(lines: Iterable[str]) -> None:
    """Print the first lines and say how many more there are."""
    found = list(lines)
    for line in found[:_FEW]:
        print(shortened(line, 300))
    if len(found) > _FEW:
        print(f"… and {len(found) - _FEW:,} more")


def _left_as_data(one: _NotStarted) -> dict[str, Any]:
    message = f"{one.why} did not succeed"
    return {"run": None, "pipeline": one.pipeline, "status": "not started", "message": message}
