"""A run's progress: one line per step as it ends; in a terminal, a last line of what is running now."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from types import TracebackType

from filiera.cli.output import coloured, how_long, mute, shortened
from filiera.core.events import (
    Event,
    RunResumed,
    RunStarted,
    StepBlocked,
    StepCancelled,
    StepFailed,
    StepHit,
    StepStarted,
    StepSucceeded,
)
from filiera.core.runstate import ENDED, RunState
from filiera.core.task import LOG_UNKNOWN, LogSpan
from filiera.engine.logs import read_log
from filiera.project.project import Project

_MANY = 200
_LONGEST_DETAIL = 160
_REDRAW_S = 0.1
_KNOWN_AFTER_S = 0.2
"""Much longer than the end of an attempt takes to be recorded and told."""


class _Tail:
    """The output of one attempt, read as it grows.

    What lies behind its end in the worker's file is another step's. While the end is not known, only that is read which
    was there a moment ago: had the attempt ended by then, it would be known now.
    """

    def __init__(self, span: LogSpan) -> None:
        self._span = span
        self._read_bytes = 0
        self._seen_bytes, self._seen_at = 0, time.monotonic()
        self._rest = b""
        self.end = LOG_UNKNOWN

    def lines(self, log_dir: Path) -> list[str]:
        """Return the whole lines written since the last call; the last, unfinished one once the attempt has ended."""
        *whole, self._rest = (self._rest + self._new(log_dir)).split(b"\n")
        if self.end != LOG_UNKNOWN and self._rest:
            whole.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def _new(self, log_dir: Path) -> bytes:
        now = time.monotonic()
        if self.end == LOG_UNKNOWN and now < self._seen_at + _KNOWN_AFTER_S:
            return b""
        start = self._span.start + self._read_bytes
        there = read_log(log_dir, LogSpan(file=self._span.file, start=start, end=self.end))
        new = there if self.end != LOG_UNKNOWN else there[: max(self._seen_bytes - self._read_bytes, 0)]
        self._seen_bytes, self._seen_at = self._read_bytes + len(there), now
        self._read_bytes += len(new)
        return new


class Progress:
    """Listens to a run's events and prints them; a context manager that leaves the terminal clean."""

    def __init__(self, project: Project, *, quiet: bool) -> None:
        self._quiet = quiet
        # Steps in this process print to the terminal themselves, and may ask their debugger's questions there.
        self._is_here = project.config.profile.executor == "inline"
        self._live = sys.stdout.isatty() and not quiet and not self._is_here
        self._aside = redirect_stdout(sys.stderr) if quiet else nullcontext()  # standard output is for the JSON
        self._width = 0
        self._drawn_at = 0.0
        self._started: dict[str, float] = {}
        self._log_dir = Path()
        self._logs: dict[str, _Tail] = {}

    def __enter__(self) -> Progress:
        self._aside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._aside.__exit__(kind, error, trace)
        self._clear()

    def begins(self, log_dir: Path) -> None:
        """Remember where the steps' output is."""
        self._log_dir = log_dir

    def waits(self, state: RunState) -> None:
        """Show what the running steps have printed."""
        if not self._quiet:
            for step in list(self._logs):
                self._show_log(step, len(state.steps) > _MANY)
            self._draw(state)

    def __call__(self, event: Event, state: RunState) -> None:
        """Print what an event means."""
        if self._quiet:
            return
        match event:
            case RunStarted() | RunResumed():
                self._width = max(len(name) for name, _ in event.steps)
            case StepStarted():
                self._started[event.step] = time.monotonic()
                if not self._is_here:
                    self._logs[event.step] = _Tail(event.log)
            case StepHit():
                word = "rejected" if event.blocked else "hit"
                self._line(state, event.step, word, event.blocked or event.reason)
            case StepSucceeded():
                self._end_log(event.step, event.log, state)
                word = "rejected" if event.blocked else "succeeded"
                self._line(state, event.step, word, event.blocked or how_long(event.duration_s))
            case StepFailed():
                self._end_log(event.step, event.log, state)
                what = f"{event.failure.error}: {event.failure.message.partition(chr(10))[0]}"
                if event.retry_in_s is None:
                    self._line(state, event.step, "failed", what)
                else:
                    again = f"{what} (attempt {event.attempt}; again in {how_long(event.retry_in_s)})"
                    self._line(state, event.step, "retrying", again)
            case StepBlocked():
                self._line(state, event.step, "blocked", f"by {event.by}")
            case StepCancelled():
                self._line(state, event.step, "cancelled", "")
        self._draw(state)

    def _end_log(self, step: str, log: LogSpan | None, state: RunState) -> None:
        if step in self._logs:
            self._logs[step].end = log.end if log is not None else LOG_UNKNOWN
            self._show_log(step, len(state.steps) > _MANY)
            del self._logs[step]

    def _show_log(self, step: str, is_silent: bool) -> None:
        lines = self._logs[step].lines(self._log_dir)
        if lines and not is_silent:
            self._clear()
            for line in lines:
                self._say(f"  {step.ljust(self._width)}  │ {line}\n")

    def _line(self, state: RunState, step: str, word: str, detail: str) -> None:
        if len(state.steps) > _MANY and word in ("succeeded", "hit"):
            return
        self._clear()
        stage = state.steps[step].stage.ljust(9)
        what = f"{coloured(word.ljust(9), word)}  {shortened(detail, _LONGEST_DETAIL)}"
        self._say(f"  {step.ljust(self._width)}  {stage}  {what}".rstrip() + "\n")

    def _draw(self, state: RunState) -> None:
        now = time.monotonic()
        if not self._live or now - self._drawn_at < _REDRAW_S:
            return
        self._drawn_at = now
        running = [step.name for step in state.steps.values() if step.status == "running"]
        done = state.count(*ENDED)
        from shutil import get_terminal_size  # it loads three libraries, for screens only

        names = ", ".join(f"{name} {how_long(now - self._started.get(name, now))}" for name in running[:3])
        more = f" and {len(running) - 3} more" if len(running) > 3 else ""
        self._clear()
        # A line that wraps could not be cleared.
        self._say(shortened(f"  [{done}/{len(state.steps)}] {names}{more}", get_terminal_size().columns - 1))

    def _clear(self) -> None:
        if self._live:
            self._say("\r\033[K")

    def _say(self, text: str) -> None:
        try:
            print(text, end="", flush=True)
        except OSError as error:  # who read along has gone, or a disk is full; the run goes on
            mute()
            self._quiet, self._live = True, False
            if not isinstance(error, BrokenPipeError):
                print(f"Standard output cannot be written: {error.strerror}. The run goes on.", file=sys.stderr)
