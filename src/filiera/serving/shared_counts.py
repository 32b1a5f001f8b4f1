"""What the workers of one service share: each writes what it counts into a file, and any of them tells the sums."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from filiera.serving.metrics import GAUGES, Samples, merged

_SUFFIX = ".json"
_ENDED = "ended"
"""In place of a worker's name: those that are gone, together."""
_LOCK = "lock"
_PUBLISH_S = 0.5
_DECODER = msgspec.json.Decoder(dict[str, float])


class Counts(Protocol):
    """Knows what is counted elsewhere for the same service."""

    def with_others(self, samples: Samples) -> Samples:
        """Return *samples* of this process with what others have counted."""


class SharedCounts:
    """One worker's side of a folder of counts."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Share by *folder*, which exists; *worker* names this one among those alive and those that were."""
        self._folder = folder
        self._worker = worker

    def publish(self, samples: Samples) -> None:
        """Let the others know what this worker has counted so far."""
        _write(self._folder / f"{self._worker}{_SUFFIX}", samples)

    async def go_on_publishing(self, samples: Callable[[], Samples]) -> None:
        """Let the others know what this worker has counted, twice a second while that changes; until cancelled."""
        before: Samples = {}
        while True:
            await asyncio.sleep(_PUBLISH_S)
            if (now := samples()) != before:
                self.publish(now)
                before = now

    def leave(self, samples: Samples) -> None:
        """Let what this worker has counted be kept: it ends."""
        self.publish(samples)
        settle(self._folder, self._worker)

    def with_others(self, samples: Samples) -> Samples:
        """Return this worker's *samples* with what the others last published; what was told once is not lost later."""
        self.publish(samples)
        return summed(self._folder)


def summed(folder: Path) -> Samples:
    """Return what all workers, also those that are gone, have counted; nothing where there is no such folder."""
    if not folder.is_dir():
        return {}
    with _locked(folder, fcntl.LOCK_SH):
        return merged(map(_read, sorted(folder.glob(f"*{_SUFFIX}"))))


def workers_in(folder: Path) -> list[str]:
    """Return the names of the workers that have published and were not settled."""
    return sorted(file.stem for file in folder.glob(f"*{_SUFFIX}") if file.stem != _ENDED)


def settle(folder: Path, worker: str) -> None:
    """Keep what a worker that has ended counted, and forget what it measured of itself at the moment."""
    file, ended = folder / f"{worker}{_SUFFIX}", folder / f"{_ENDED}{_SUFFIX}"
    with _locked(folder, fcntl.LOCK_EX):
        counted = {name: value for name, value in _read(file).items() if not _is_gauge(name)}
        _write(ended, merged([_read(ended), counted]))
        file.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """For the block, let nobody read between two steps of settling: a count would be there twice, or not at all."""
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, how)
        yield


def _is_gauge(name: str) -> bool:
    return GAUGES.get(name.partition("{")[0], ("counter", ""))[0] == "gauge"


def _read(file: Path) -> Samples:
    try:
        return _DECODER.decode(file.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):  # not there yet; or left by a power cut
        return {}


def _write(file: Path, samples: Samples) -> None:
    beside = file.with_suffix(".part")
    beside.write_bytes(msgspec.json.encode(samples))
    beside.replace(file)
