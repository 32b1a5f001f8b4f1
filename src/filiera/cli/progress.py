"""A run's progress: one line per step as it ends; in a terminal, a last line of what is running now."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import Self

from filiera.cli.output import coloured, counted, how_long, shortened
from filiera.cli.screen import Screen
from filiera.cli.tail import Tail
from filiera.core.events import (
    Event,
    RunResumed,
    RunStarted,
    StepBlocked,
    StepCancelled,
    StepCaught,
    StepExtended,
    StepFailed,
    StepHit,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from filiera.core.runstate import ENDED, RunState
from filiera.core.task import Failure, LogSpan
from filiera.core.value import dataclass
from filiera.project.project import Project

MOST_LISTED = 10
"""Of a step that has become more than so many others, these have no lines of their own, unless something is wrong."""
_MANY = 200
"""A run with more lines than this shows only those that say something is wrong."""
_MOST_WRONG = 50
"""So many of these are shown of a run."""
_LONGEST_DETAIL = 160
_GOOD = frozenset({"succeeded", "hit", "skipped"})
_WRONG = frozenset({"failed", "retrying", "rejected", "caught"})
Report = StepHit | StepSucceeded | StepFailed | StepCaught | StepSkipped | StepBlocked | StepCancelled | StepWaiting
"""Events that have a line."""


@dataclass(slots=True)
class _Fold:
    """A step that has become too many others for a line each."""

    name: str
    total: int
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = [f"{self.counts['hit']:,} hits"] if self.counts["hit"] else []
        told += [f"{self.counts[word]:,} {word}" for word in ("caught", "failed", "rejected") if self.counts[word]]
        return ", ".join([f"{self.name} {self.counts.total():,}/{self.total:,}", *told])


class RunProgress:
    """Prints the events of one run."""

    def __init__(self, screen: Screen, *, prefix: str = "", shows_logs: bool = True) -> None:
        self.running: dict[str, float] = {}  #: names of what runs now, and since when
        self.folds: dict[str, _Fold] = {}  #: what is shown by its counts, by the names of the steps that became it
        self._screen = screen
        self._prefix = prefix
        self._shows_logs = shows_logs
        self._hidden: set[str] = set()  #: steps that have become others below a fold
        self._lines = self._wrong = self._width = 0
        self._logs: dict[str, Tail] = {}

    def show(self, event: Event, state: RunState, log_dir: Path) -> None:
        """Print what an event means."""
        match event:
            case RunStarted() | RunResumed():
                self._expect([name for name, _ in event.steps])
            case StepExtended():
                self._extend(event, state)
            case StepStarted():
                self._start(event, state)
            case StepHit() | StepSkipped() | StepBlocked() | StepCancelled() | StepWaiting():
                self._report(event, state)
            case StepSucceeded() | StepFailed() | StepCaught():
                self.running.pop(event.step, None)
                self._end_log(event.step, event.log, log_dir)
                self._report(event, state)

    def show_logs(self, log_dir: Path) -> None:
        """Print what the running steps have printed."""
        for step in list(self._logs):
            self._show_log(step, log_dir)

    def _expect(self, names: list[str]) -> None:
        self._lines += len(names)
        self._width = max(self._width, *map(len, names), 0)

    def _extend(self, event: StepExtended, state: RunState) -> None:
        name = event.step
        self.running.pop(name, None)
        if self._fold_of(name, state) is not None or state.steps[name].parent in self._hidden:
            self._hidden.add(name)
        elif len(event.steps) > MOST_LISTED:
            self.folds[name] = _Fold(name, len(event.steps))
        else:
            self._expect([child for child, _ in event.steps])

    def _start(self, event: StepStarted, state: RunState) -> None:
        self.running[event.step] = time.monotonic()
        if self._shows_logs and self._lines <= _MANY and not self._is_folded(event.step, state):
            self._logs[event.step] = Tail(event.log)

    def _report(self, event: Report, state: RunState) -> None:
        word, detail = _told(event)
        fold = self._fold_of(event.step, state)
        if fold is not None and word != "retrying":
            fold.counts[word] += 1
        if word in _GOOD or word in ("blocked", "cancelled"):
            if self._lines > _MANY or self._is_folded(event.step, state):
                return
        elif word in _WRONG:
            self._wrong += 1
            if self._wrong > _MOST_WRONG:
                if self._wrong == _MOST_WRONG + 1:
                    self._screen.line(f"  {self._prefix}… what else goes wrong is counted and not listed here")
                return
        own = self.folds.get(event.step)
        if own is not None and word == "succeeded":
            detail = f"{own.total:,} steps: {counted(own.counts)}; {detail}"
        stage = state.steps[event.step].stage.ljust(9)
        what = f"{coloured(word.ljust(9), word)}  {shortened(detail, _LONGEST_DETAIL)}"
        self._screen.line(f"  {self._prefix}{event.step.ljust(self._width)}  {stage}  {what}")

    def _fold_of(self, step: str, state: RunState) -> _Fold | None:
        return self.folds.get(state.steps[step].parent)

    def _is_folded(self, step: str, state: RunState) -> bool:
        parent = state.steps[step].parent
        return parent in self.folds or parent in self._hidden

    def _end_log(self, step: str, log: LogSpan | None, log_dir: Path) -> None:
        if step in self._logs:
            if log is not None:
                self._logs[step].end = log.end
            self._show_log(step, log_dir)
            del self._logs[step]

    def _show_log(self, step: str, log_dir: Path) -> None:
        for line in self._logs[step].lines(log_dir):
            self._screen.line(f"  {self._prefix}{step.ljust(self._width)}  │ {line}")


class Showing:
    """What shows runs as they go on; a context manager that leaves the terminal clean."""

    def __init__(self, project: Project, *, quiet: bool) -> None:
        # Steps in this process print to the terminal themselves, and may ask their debugger's questions there.
        self._is_here = project.config.profile.executor == "inline"
        self.screen = Screen(is_quiet=quiet, may_draw=not self._is_here)
        self._aside = only_messages() if quiet else nullcontext()
        self._log_dir = Path()

    def __enter__(self) -> Self:
        self._aside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._aside.__exit__(kind, error, trace)
        self.screen.clear()

    def begins(self, log_dir: Path) -> None:
        """Remember where the steps' output is."""
        self._log_dir = log_dir

    def says(self, line: str) -> None:
        """Print a line that belongs to no step; what is indented are details, for who looks on."""
        if line.startswith(" "):
            self.screen.aside(f"  {line}")
        else:
            self.screen.line(f"  {line}")


class Progress(Showing):
    """Listens to a run's events and prints them."""

    def __init__(self, project: Project, *, quiet: bool) -> None:
        super().__init__(project, quiet=quiet)
        self._run = RunProgress(self.screen, shows_logs=not self._is_here)

    def waits(self, state: RunState) -> None:
        """Show what the running steps have printed."""
        if not self.screen.is_quiet:
            self._run.show_logs(self._log_dir)
            self._draw(state)

    def __call__(self, event: Event, state: RunState) -> None:
        """Print what an event means."""
        if not self.screen.is_quiet:
            self._run.show(event, state, self._log_dir)
            self._draw(state)

    def _draw(self, state: RunState) -> None:
        def drawn() -> str:
            return f"  [{state.count(*ENDED):,}/{len(state.steps):,}] {what_runs([self._run])}"

        def told() -> str:
            is_long = self._run.folds or len(state.steps) > _MANY
            return drawn() if is_long else ""

        self.screen.draw(drawn, told)


def only_messages() -> AbstractContextManager[object]:
    """Return a context in which what is printed goes to standard error: standard output is for the JSON."""
    return redirect_stdout(sys.stderr)


def what_runs(runs: list[RunProgress]) -> str:
    """Return what is under way in a few words: maps by their counts, then steps with how long they run."""
    folds = [str(fold) for run in runs for fold in run.folds.values() if fold.counts.total() < fold.total]
    now = time.monotonic()
    shown = folds[:2]
    running = [(name, since) for run in runs for name, since in run.running.items()]
    if not folds:
        shown += [f"{name} {how_long(now - since)}" for name, since in running[:3]]
        shown += [f"and {len(running) - 3} more"] if len(running) > 3 else []
    return ", ".join(shown)


def _told(event: Report) -> tuple[str, str]:
    """Return in a word what became of a step, and the rest of its line."""
    match event:
        case StepHit():
            return ("rejected" if event.blocked else "hit"), event.blocked or event.reason
        case StepSucceeded():
            return ("rejected" if event.blocked else "succeeded"), event.blocked or how_long(event.duration_s)
        case StepFailed():
            what = _first_line(event.failure)
            if event.retry_in_s is None:
                return "failed", what
            return "retrying", f"{what} (attempt {event.attempt}; again in {how_long(event.retry_in_s)})"
        case StepCaught():
            return "caught", f"{_first_line(event.failure)} (goes on with the value that catch gives)"
        case StepSkipped():
            return "skipped", event.reason
        case StepBlocked():
            return "blocked", f"by {event.by}"
        case StepWaiting():
            return "waiting", event.question
        case StepCancelled():
            return "cancelled", ""


def _first_line(failure: Failure) -> str:
    return f"{failure.error}: {failure.message.partition(chr(10))[0]}"
