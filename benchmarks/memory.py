"""The most memory that the processes of a command take, looked at from outside while they run. Linux only."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_EVERY_S = 0.004
_KIB = 1024


@dataclass(kw_only=True, slots=True)
class Peaks:
    """Peaks in bytes by process: first the one that was started, then those below it, in order of appearance.

    *own* is what the process has for itself (``RssAnon`` and ``RssShmem``), which is what it costs the machine.
    *resident* (``VmHWM``) also counts the pages of files it has mapped, as of its libraries and of tables in the
    store: the system holds these once for all processes, and takes them back when it needs the memory.
    """

    own: dict[int, int] = field(default_factory=dict)
    resident: dict[int, int] = field(default_factory=dict)

    def look(self, process: int) -> None:
        """Note what a process takes now."""
        try:
            lines = (_PROC / str(process) / "status").read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return
        found = {
            name: int(value.split()[0]) * _KIB
            for name, _, value in (line.partition(":") for line in lines[10:])
            if value.endswith("kB")
        }
        own = found.get("RssAnon", 0) + found.get("RssShmem", 0)
        self.own[process] = max(self.own.get(process, 0), own)
        self.resident[process] = max(self.resident.get(process, 0), found.get("VmHWM", 0))


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
