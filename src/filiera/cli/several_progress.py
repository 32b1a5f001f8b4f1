"""The progress of several runs: of a few, each with its steps; of many, how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from filiera.cli.output import coloured, counted, shortened
from filiera.cli.progress import RunProgress, Showing, what_runs
from filiera.core.events import Event, RunFinished, StepCaught, StepHit, StepSkipped, StepSucceeded
from filiera.core.runstate import RunState
from filiera.project.project import Project

_STEPS_SHOWN_OF = 10
"""With more runs than this their steps are not shown."""
_LISTED = 200
"""With more runs than this only those are that did not succeed, ..."""
_MOST_WRONG = 50
"""... and so many of them."""
_LONGEST_DETAIL = 160


class SeveralProgress(Showing):
    """Listens to the events of several runs."""

    def __init__(self, project: Project, pipelines: Sequence[str], *, quiet: bool) -> None:
        super().__init__(project, quiet=quiet)
        self._width = max(map(len, pipelines))
        self._total = len(pipelines)
        self._runs: dict[str, RunProgress] = {}
        if self._total <= _STEPS_SHOWN_OF:
            self._runs = {
                name: RunProgress(self.screen, prefix=f"{name.ljust(self._width)}  ", shows_logs=not self._is_here)
                for name in pipelines
            }
        self._ended: Counter[str] = Counter()
        self._steps = 0

    def waits(self, state: RunState) -> None:
        """Show what the running steps have printed."""
        if not self.screen.is_quiet:
            for run in self._runs.values():
                run.show_logs(self._log_dir)
            self.screen.draw(self._drawn, self._drawn)

    def __call__(self, event: Event, state: RunState) -> None:
        """Print what an event of one of the runs means."""
        if self.screen.is_quiet:
            return
        if isinstance(event, StepHit | StepSucceeded | StepSkipped | StepCaught):
            self._steps += 1
        if isinstance(event, RunFinished):
            self._end(state)
        elif self._runs:
            self._runs[state.pipeline].show(event, state, self._log_dir)
        self.screen.draw(self._drawn, self._drawn)

    def _end(self, state: RunState) -> None:
        status = state.status
        self._ended[status] += 1
        is_wrong = status != "succeeded"
        wrong = self._ended.total() - self._ended["succeeded"]
        if (self._total > _LISTED and not is_wrong) or (is_wrong and wrong > _MOST_WRONG):
            return
        detail = state.message or counted({"succeeded": state.count("succeeded"), "hit": state.count("hit")})
        what = f"{coloured(status.ljust(9), status)}  {shortened(detail, _LONGEST_DETAIL)}"
        self.screen.line(f"  {state.pipeline.ljust(self._width)}  {what}")

    def _drawn(self) -> str:
        wrong = "".join(f", {count:,} {status}" for status, count in self._ended.items() if status != "succeeded")
        now = what_runs(list(self._runs.values()))
        return f"  [{self._ended.total():,}/{self._total:,} runs{wrong}] {self._steps:,} steps done; {now}".rstrip("; ")
