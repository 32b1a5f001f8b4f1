"""Put a message into a service's queue when its clock or its files say so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filiera.errors import StoreError
from filiera.ports import Clock
from filiera.supervision.new_files import changes, look
from filiera.supervision.queue import MessageQueue
from filiera.supervision.schedule import Cron, Every, due
from filiera.supervision.service import Service

LOOK_S = 1.0
_SHARE = 0.02  #: so much of the time at most is spent looking for files
_MOST_AT_ONCE = 500
_FOREVER = float("inf")


class Prompter:
    """The triggers of one service. Each of their messages is put once, and noted together with what it was put for."""

    def __init__(
        self, service: Service, queue: MessageQueue, *, root: Path, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        """Raise UsageError for triggers that are none."""
        self._queue, self._root, self._clock, self._tell = queue, root, clock, tell
        given = service.triggers
        self._times: dict[str, Cron | Every] = {}
        if given.cron:
            self._times[f"cron {given.cron} {given.timezone}"] = Cron(given.cron, given.timezone)
        if given.every_s:
            self._times[f"every {given.every_s:g}"] = Every(given.every_s)
        self._pattern = given.files
        self._marks: dict[str, str] | None = None
        self._before: dict[str, str] = {}
        self._look_at = 0.0

    def step(self) -> None:
        """Put what is due. Raises StoreError; then nothing was put, and the next call tries again."""
        if not self._times and not self._pattern:
            return
        now = self._clock()
        if self._marks is None:
            self._marks = self._queue.marks()
        for subject, times in self._times.items():
            self._tick(subject, times, now, self._marks)
        if self._pattern and now >= self._look_at:
            self._look(self._marks)

    def next_at(self) -> float:
        """Return when ``step`` must be called again."""
        times = [self._look_at] if self._pattern else []
        for subject, when in self._times.items():
            if self._marks and subject in self._marks:
                times.append(when.after(float(self._marks[subject])))
        return min(times, default=_FOREVER)

    def _tick(self, subject: str, times: Cron | Every, now: float, marks: dict[str, str]) -> None:
        if subject not in marks:  # it begins today: nothing was missed
            self._note([], subject, now, marks)
            return
        tick = due(times, float(marks[subject]), now)
        if tick is None:
            return
        self._note([b"{}"], subject, tick.at, marks)
        if tick.missed:
            missed = f"{tick.missed:,}" if tick.missed < 1000 else "1,000 or more"
            self._tell(f"{subject}: {missed} times were missed; called once now for all of them")

    def _note(self, bodies: list[bytes], subject: str, at: float, marks: dict[str, str]) -> None:
        self._queue.put(bodies, origin=subject.partition(" ")[0], marks={subject: repr(at)})
        marks[subject] = repr(at)

    def _look(self, marks: dict[str, str]) -> None:
        started_s = time.perf_counter()
        known = {subject.removeprefix("file "): mark for subject, mark in marks.items() if subject.startswith("file ")}
        try:
            seen = look(self._root, self._pattern)
        except OSError as error:
            raise StoreError(f"The files {self._pattern} cannot be looked at: {error}.") from error
        found = changes(known, self._before, seen)
        for part in _parts(sorted(found.ready)):
            noted = {f"file {path}": found.ready[path] for path in part}
            self._queue.put([json.dumps({"path": path}).encode() for path in part], origin="files", marks=noted)
            marks |= noted
        if found.gone:
            gone = [f"file {path}" for path in found.gone]
            self._queue.forget(gone)
            for subject in gone:
                del marks[subject]
        self._before = seen
        self._look_at = self._clock() + max(LOOK_S, (time.perf_counter() - started_s) / _SHARE)


def _parts(paths: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), _MOST_AT_ONCE):
        yield paths[start : start + _MOST_AT_ONCE]
