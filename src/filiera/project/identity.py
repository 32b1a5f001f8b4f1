"""Who is driving: a process named so that another one, later, with the same number is not taken for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

LEASE_S = 60.0
"""On another host, a driver that has not said anything for so long is dead."""


def process_start(pid: int) -> str:
    """Return when a process of this host began, as the kernel counts; '' when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "alive" if not Path("/proc/self/stat").exists() and answers(pid) else ""
    fields = stat[stat.rindex(")") + 2 :].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def answers(pid: int) -> bool:
    """Tell whether there is a process of this number, be it as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def me() -> str:
    """Return this process as JSON: host, boot, number, start time."""
    return identity_of(os.getpid())


def identity_of(pid: int) -> str:
    """Return a process of this host as JSON, as ``me`` does."""
    return json.dumps(
        {"host": os.uname().nodename, "boot": _boot(), "pid": pid, "start": process_start(pid)}, sort_keys=True
    )


def is_alive(driver: str, *, last_seen_at: float, now: float) -> bool:
    """Tell whether the process that ``me`` named still runs; on another host, whether it spoke within the lease."""
    named = json.loads(driver)
    if named["host"] != os.uname().nodename:
        return now - last_seen_at < LEASE_S
    return bool(named["boot"] == _boot() and named["start"] and process_start(named["pid"]) == named["start"])


def pid_of(driver: str) -> int | None:
    """Return the process number if the driver is on this host, else None."""
    named = json.loads(driver)
    return int(named["pid"]) if named["host"] == os.uname().nodename else None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
