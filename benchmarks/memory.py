"""The most memory that the processes of a command take, looked at from outside while they run. Linux only."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_EVERY_S = 0.005
_KIB = 1024


@dataclass(kw_only=True, slots=True)
class Peaks:
    """Peaks in bytes by process: first the one that was started, then those below it, in order of appearance.

    *own* is what the process has for itself and has not given back (``Anonymous`` less ``LazyFree``, shared memory):
    what it costs the machine. *resident* (``VmHWM``) also counts pages that the system takes back when it needs them:
    of files that are mapped, as of libraries and of tables in the store, which it holds once for all processes.
    """

    own: dict[int, int] = field(default_factory=dict)
    resident: dict[int, int] = field(default_factory=dict)

    def look(self, process: int) -> None:
        """Note what a process takes now."""
        try:
            now, ever = (_sizes(_PROC / str(process) / name) for name in ("smaps_rollup", "status"))
        except (FileNotFoundError, ProcessLookupError):
            return
        own = now.get("Anonymous", 0) - now.get("LazyFree", 0) + now.get("Pss_Shmem", 0)
        self.own[process] = max(self.own.get(process, 0), own)
        self.resident[process] = max(self.resident.get(process, 0), ever.get("VmHWM", 0))


def _sizes(file: Path) -> dict[str, int]:
    """Return the sizes in bytes that a file of the system tells by name."""
    lines = (line.partition(":") for line in file.read_text(encoding="utf-8").splitlines())
    return {name: int(value.split()[0]) * _KIB for name, _, value in lines if value.endswith("kB")}


def watch(process: subprocess.Popen[str]) -> Peaks:
    """Look at a process and those below it until it ends."""
    peaks = Peaks()
    if not _PROC.is_dir():
        return peaks
    below: list[int] = []
    looks = 0
    while process.poll() is None:
        if looks % 10 == 0:
            below = _below(process.pid)
        looks += 1
        for found in (process.pid, *below):
            peaks.look(found)
        time.sleep(_EVERY_S)
    return peaks


def _below(process: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = []
    for tasks in (_PROC / str(process) / "task").glob("*/children"):
        try:
            children = [int(child) for child in tasks.read_text(encoding="utf-8").split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += [child, *_below(child)]
    return found
