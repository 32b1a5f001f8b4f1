"""What the workers of one service share: each writes what it counts into a file, and any of them tells the sums."""

from __future__ import annotations

from pathlib import Path

import msgspec

from filiera.serving.metrics import GAUGES, Samples, merged

_SUFFIX = ".json"
_DECODER = msgspec.json.Decoder(dict[str, float])


class SharedCounts:
    """One worker's side of a folder of counts."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Share by *folder*, which exists; *worker* names this one among those alive and those that were."""
        self._folder = folder
        self._worker = worker

    def publish(self, samples: Samples) -> None:
        """Let the others know what this worker has counted so far."""
        _write(self._folder / f"{self._worker}{_SUFFIX}", samples)

    def with_others(self, samples: Samples) -> Samples:
        """Return this worker's *samples* with what the others last published; what was told once is not lost later."""
        self.publish(samples)
        mine = f"{self._worker}{_SUFFIX}"
        files = sorted(file for file in self._folder.glob(f"*{_SUFFIX}") if file.name != mine)
        return merged([samples, *map(_read, files)])


def settle(folder: Path, worker: str) -> None:
    """Keep what a worker that has ended counted, and forget what it measured of itself at the moment."""
    file = folder / f"{worker}{_SUFFIX}"
    if file.exists():
        _write(file, {name: value for name, value in _read(file).items() if not _is_gauge(name)})


def _is_gauge(name: str) -> bool:
    return GAUGES.get(name.partition("{")[0], ("counter", ""))[0] == "gauge"


def _read(file: Path) -> Samples:
    try:
        return _DECODER.decode(file.read_bytes())
    except FileNotFoundError:
        return {}


def _write(file: Path, samples: Samples) -> None:
    beside = file.with_suffix(".part")
    beside.write_bytes(msgspec.json.encode(samples))
    beside.replace(file)
