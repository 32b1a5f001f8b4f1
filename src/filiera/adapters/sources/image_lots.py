"""Many images looked at in lots: the first ones here, those that follow by helper processes.

Reading, hashing and checking a small image is a few dozen microseconds of Python, for which threads of one process
would only wait for each other. A helper is told where the files of a lot lie, and sends their bytes back together with
what it found. It ends when this process does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from filiera.adapters.sources import image_help
from filiera.adapters.sources.archives import Member
from filiera.adapters.sources.entries import reading
from filiera.adapters.sources.image_facts import quiet_pillow
from filiera.adapters.sources.image_help import Asked, LotLooker, Seen
from filiera.errors import SourceError

_HERE_BYTES, _HERE = 1 << 22, 1 << 12  # so much is done before helpers have started
_LOT_BYTES, _LOT = 1 << 19, 1 << 8
_AHEAD = 2  # lots that wait for each helper
_PROGRAM = "from filiera.adapters.sources.image_help import help_out; help_out()"


def looks(
    members: Iterator[Member], max_pixels: int, known: Collection[str]
) -> Iterator[tuple[Sequence[Member], Seen]]:
    """Yield lots of files, in order, and what there is to say of them; *known* digests are not looked at.

    Raises:
        SourceError: A file cannot be read, or a helper died, as a decoder with a fault may do.
    """
    looker = LotLooker(max_pixels, known)
    pace = _Pace()
    with quiet_pillow():
        while (pace.size_bytes < _HERE_BYTES and pace.files < _HERE) and (lot := list(islice(members, pace.lot()))):
            try:
                seen = looker.look([_asked(member) for member in lot])
            except OSError as error:
                raise _unreadable(error) from error
            yield lot, pace.noted(seen)
    yield from _helped(members, pace, (max_pixels, list(known)))


class _Pace:
    """How many files are a lot, by how large files have been so far."""

    def __init__(self) -> None:
        self.files = self.size_bytes = 0

    def lot(self) -> int:
        """Return how many files the next lot has."""
        return max(1, min(_LOT, self.files, _LOT_BYTES * self.files // max(1, self.size_bytes)))

    def noted(self, seen: Seen) -> Seen:
        """Return what was seen, having learned from it."""
        self.files, self.size_bytes = self.files + len(seen.sizes), self.size_bytes + sum(seen.sizes)
        return seen


def _helped(members: Iterator[Member], pace: _Pace, told: Any) -> Iterator[tuple[Sequence[Member], Seen]]:
    """Yield lots of files, in order, and what helpers have seen; nobody is started when there is nothing to do."""
    slots = os.cpu_count() or 1
    waiting: deque[tuple[list[Member], Future[Seen]]] = deque()
    idle: list[_Helper] = []
    with ExitStack() as started, ThreadPoolExecutor(slots) as threads:

        def ask(lot: list[Asked]) -> Seen:
            helper = idle.pop() if idle else _Helper(started, told)
            seen = helper.ask(lot)
            idle.append(helper)
            return seen

        try:
            while (lot := list(islice(members, pace.lot()))) or waiting:
                if lot:
                    waiting.append((lot, threads.submit(ask, [_asked(member) for member in lot])))
                if not lot or len(waiting) > _AHEAD * slots:
                    first, future = waiting.popleft()
                    yield first, pace.noted(future.result())
        finally:
            for _, future in waiting:
                future.cancel()


class _Helper:
    def __init__(self, started: ExitStack, told: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-S", "-c", _PROGRAM]  # -S: what would be found out is known, and is a third of it
        self._process = started.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        )
        self._told = told

    def ask(self, lot: list[Asked]) -> Seen:
        """Return what the helper has seen of files. Raises SourceError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._told is not None:
                image_help.send(self._process.stdin, self._told)
                self._told = None
            seen = image_help.ask(self._process.stdin, self._process.stdout, lot)
        except BrokenPipeError:
            seen = None
        except OSError as error:
            raise _unreadable(error) from error
        if seen is None:
            raise _died(lot)
        return seen


def _unreadable(error: OSError) -> SourceError:
    try:
        with reading(Path(error.filename)):
            raise error
    except SourceError as told:
        return told


def _died(lot: Sequence[Asked]) -> SourceError:
    places = [file for file in lot if isinstance(file, str)]
    return SourceError(
        "A process that looks at images died.",
        why=f"Perhaps a decoder has a fault, or memory ran out. It looked at {len(lot):,} files"
        + (f", from {places[0]} to {places[-1]}." if places else "."),
        do="Run again; if it happens again, look for the file among these.",
    )


def _asked(member: Member) -> Asked:
    return member.place or member.read()
