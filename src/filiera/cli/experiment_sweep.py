"""``filiera experiment sweep``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from filiera.cli.experiment_names import named, setting
from filiera.cli.output import coloured, counted, print_json, print_table, shortened
from filiera.cli.progress import Showing
from filiera.cli.run_command import worst_exit_code
from filiera.core.events import Event, RunFinished
from filiera.core.runstate import RunState
from filiera.errors import UsageError
from filiera.experiments.place import Place
from filiera.experiments.ranking import deciding_metric
from filiera.experiments.running import Recorded, Wanted, default_pipeline
from filiera.experiments.running import run as run_experiment
from filiera.experiments.sweeping import Sweep, settings_of
from filiera.project.project import Project

_LONGEST_MESSAGE = 80
Row = tuple[Recorded, Mapping[str, str]]
"""A run, with the parameters that it was given."""


def run(options: argparse.Namespace) -> int:
    """Run a pipeline of an experiment many times, print a table, and return the worst end as an exit code."""
    if options.trials < 0:
        raise UsageError(f"--trials takes a whole number from 1 on, not {options.trials}.")
    place = Place(profile=options.profile)
    name = named(place, options.name)
    wanted = options.pipeline or default_pipeline(place, name)
    pipeline = place.project_in(place.ensure_worktree(name)).pipeline(wanted)
    grid, space, fixed = (_several(words) for words in (options.grid, options.space, options.set))
    sweep = Sweep(grid=grid, space=space, fixed=fixed, trials=options.trials, seed=options.seed)
    settings = settings_of(sweep, pipeline)
    with _Progress(place.project, len(settings), quiet=options.json) as progress:
        done = run_experiment(
            place, name, Wanted(pipeline=wanted, settings=settings, metric=options.metric), listener=progress
        )
    rows = _best_first(list(zip(done, settings, strict=True)))
    if options.json:
        print_json([_as_data(one, given) for one, given in rows])
    else:
        records = [one.record for one in done if one.record is not None]
        _report(name, options.metric or deciding_metric(records), rows, fixed)
    return worst_exit_code(one.run for one in done)


def _best_first(rows: list[Row]) -> list[Row]:
    """Return runs as they are recorded, the best first; those without a record last."""
    recorded = [(one, given) for one, given in rows if one.record is not None]
    recorded.sort(key=lambda row: row[0].record.id if row[0].record else "", reverse=True)
    return recorded + [(one, given) for one, given in rows if one.record is None]


def _several(words: Sequence[str]) -> dict[str, str]:
    found = list(map(setting, words))
    twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if twice:
        raise UsageError(f"Parameter {twice[0]!r} is given twice.", do="Say once which values it takes.")
    return dict(found)


def _report(name: str, metric: str, rows: Sequence[Row], fixed: Mapping[str, str]) -> None:
    varied = [parameter for parameter in rows[0][1] if parameter not in fixed]
    statuses = Counter(one.run.status for one, _ in rows)
    print(f"{len(rows):,} runs: {', '.join(f'{count:,} {status}' for status, count in statuses.items())}\n")
    header = [*varied, *([metric] if metric else []), "run", "state"]
    table = [_row(one, [given[key] for key in varied], metric) for one, given in rows]
    why = [shortened(one.run.state.message, _LONGEST_MESSAGE) for one, _ in rows]
    if any(why):
        header, table = [*header, "why"], [[*row, text] for row, text in zip(table, why, strict=True)]
    print_table(header, table, right=varied)
    kept = sum(one.record is not None for one, _ in rows)
    print(f"\ncommitted {kept:,} runs to exp/{name}" if kept else f"\nnothing was committed to exp/{name}")


def _row(one: Recorded, values: Sequence[str], metric: str) -> list[object]:
    found = None if one.record is None else one.record.metric(metric)
    measured = "" if found is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
    return [*values, *([measured] if metric else []), one.run.run_id, one.run.status]


def _as_data(one: Recorded, given: Mapping[str, str]) -> dict[str, Any]:
    record = one.record
    return {
        "run": one.run.run_id,
        "status": one.run.status,
        "message": one.run.state.message,
        "parameters": given if record is None else record.parameters,
        "record": None if record is None else record.id,
        "published": None if one.run.version is None else one.run.version.ref,
        "metrics": {} if record is None else record.metrics,
    }


class _Progress(Showing):
    """A line for each run of a sweep as it ends."""

    def __init__(self, project: Project, total: int, *, quiet: bool) -> None:
        super().__init__(project, quiet=quiet)
        self._total, self._ended = total, 0

    def waits(self, state: RunState) -> None:
        """Show how many have ended."""
        if not self.screen.is_quiet:
            self.screen.draw(self._drawn, self._drawn)

    def __call__(self, event: Event, state: RunState) -> None:
        """Print how a run has ended."""
        if self.screen.is_quiet:
            return
        if isinstance(event, RunFinished):
            self._ended += 1
            detail = state.message or counted({"succeeded": state.count("succeeded"), "hit": state.count("hit")})
            status = coloured(state.status.ljust(9), state.status)
            self.screen.line(f"  {self._ended:,} of {self._total:,}  {status}  {shortened(detail, 160)}")
        self.screen.draw(self._drawn, self._drawn)

    def _drawn(self) -> str:
        return f"  [{self._ended:,}/{self._total:,} runs]"
