"""What the machine has, what tasks take of it, and what they really use."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from filiera.core.task import Resources

_MIB = 1 << 20


def machine(cpu: int) -> Resources:
    """Return *cpu* processor slots with the memory and the GPUs of this machine or container."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no control group, or one without a limit ("max")
        memory_bytes = min(memory_bytes, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    gpu = 0
    with suppress(OSError):
        gpu = sum(1 for _ in Path("/proc/driver/nvidia/gpus").iterdir())
    return Resources(cpu=cpu, memory_mib=memory_bytes // _MIB, gpu=gpu)


def fits(wanted: Resources, running: Collection[Resources], total: Resources) -> bool:
    """Tell whether a task may start beside those *running*; one that wants more than there is runs, alone.

    >>> total = Resources(cpu=2, memory_mib=100)
    >>> fits(Resources(cpu=2), [], total), fits(Resources(cpu=2), [Resources()], total)
    (True, False)
    """
    if not running:
        return True
    return (
        wanted.cpu + sum(r.cpu for r in running) <= total.cpu
        and wanted.memory_mib + sum(r.memory_mib for r in running) <= total.memory_mib
        and wanted.gpu + sum(r.gpu for r in running) <= total.gpu
    )


def used_memory_mib(groups: Iterable[int]) -> dict[int, int]:
    """Return the memory in MiB that the processes of each process group in *groups* hold for themselves.

    Pages mapped from files do not count: they are a cache that the kernel takes back when it needs to, and tables are
    mapped. Without ``/proc`` every group holds 0.
    """
    used = dict.fromkeys(groups, 0)
    try:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return used
    for pid in pids:
        try:
            group = os.getpgid(pid)
            if group in used:
                used[group] += _private_memory_mib(pid)
        except (ProcessLookupError, FileNotFoundError):
            continue  # it ended meanwhile
    return used


def _private_memory_mib(pid: int) -> int:
    kib = 0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            kib += int(line.split()[1])
    return kib // 1024
