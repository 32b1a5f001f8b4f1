"""``filiera log``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from filiera.cli.places import find_run, find_step
from filiera.core.events import StepCaught, StepFailed, StepStarted, StepSucceeded
from filiera.core.task import LOG_UNKNOWN, LogSpan
from filiera.core.value import dataclass
from filiera.engine.logs import read_log
from filiera.engine.rows import read_event
from filiera.project.project import Project
from filiera.project.runs import get_run, log_folder, shown_state

_LOOK_AGAIN_S = 0.2


def run(options: argparse.Namespace) -> int:
    """Print what the steps of a run wrote to standard output, standard error and logging, every attempt of them."""
    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    if step and not options.follow:
        find_step(project, row, step)
    log = _Log(project, row["run_id"], step)
    while True:
        is_over = not options.follow or shown_state(project, get_run(project, row["run_id"])) != "running"
        log.read_events()
        log.print_new(up_to_now=is_over)
        if is_over:
            break
        time.sleep(_LOOK_AGAIN_S)
    if not log.has_printed:
        print(f"{options.what}: nothing was printed by steps that ran in {row['run_id']}", file=sys.stderr)
    return 0


@dataclass
class _Attempt:
    """How far the output of one attempt has been printed."""

    title: str
    span: LogSpan
    printed_bytes: int = 0
    seen_bytes: int = 0  #: how much there was at the last look


class _Log:
    """The output of a run's steps, printed as it comes.

    While an attempt runs, its end is not known, and what lies behind it in the worker's file may be another step's. So
    only that is printed which was there at the look before: had the attempt ended by then, it would be recorded now.
    """

    def __init__(self, project: Project, run_id: str, step: str) -> None:
        self.has_printed = False
        self._project, self._run_id, self._step = project, run_id, step
        self._folder: Path = log_folder(project, run_id)
        self._since = 0
        self._open: dict[str, _Attempt] = {}

    def read_events(self) -> None:
        """Take note of attempts that have begun or ended since the last call."""
        where = {"run_id": self._run_id, "since": self._since}
        for row in self._project.records.read("events_of_run", where):
            self._since = row["seq"] + 1
            event = read_event(row["kind"], row["body"])
            if not isinstance(event, StepStarted | StepSucceeded | StepFailed | StepCaught) or not self._is_of(event):
                continue
            if isinstance(event, StepStarted):
                again = f", attempt {event.attempt}" if event.attempt > 1 else ""
                self._print_attempt(event.step, up_to_now=True)
                self._open[event.step] = _Attempt(f"── {event.step}{again} ──", event.log)
            elif event.log is not None and event.step in self._open:
                self._open[event.step].span = event.log
                self._print_attempt(event.step, up_to_now=True)
                del self._open[event.step]

    def _is_of(self, event: StepStarted | StepSucceeded | StepFailed | StepCaught) -> bool:
        """Tell whether an event is of the step that is asked for, or of one that it has become."""
        return self._step in ("", event.step) or event.step.startswith((f"{self._step}[", f"{self._step}."))

    def print_new(self, *, up_to_now: bool) -> None:
        """Print what the attempts still open have written."""
        for step in self._open:
            self._print_attempt(step, up_to_now=up_to_now)

    def _print_attempt(self, step: str, *, up_to_now: bool) -> None:
        attempt = self._open.get(step)
        if attempt is None:
            return
        content = read_log(self._folder, attempt.span)
        is_known = attempt.span.end != LOG_UNKNOWN
        limit = len(content) if is_known or up_to_now else attempt.seen_bytes
        attempt.seen_bytes = len(content)
        new = content[attempt.printed_bytes : limit]
        if not new:
            return
        if not attempt.printed_bytes:
            print(attempt.title, flush=True)
        attempt.printed_bytes += len(new)
        self.has_printed = True
        if sys.stdout.isatty():
            # What progress bars write over each other stands line by line.
            text = new.decode("utf-8", "replace")
            print(text.replace("\r\n", "\n").replace("\r", "\n"), end="", flush=True)
            return
        sys.stdout.buffer.write(new)
        sys.stdout.flush()
