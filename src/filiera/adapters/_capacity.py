"""What the machine has, what tasks take of it, and what they really use."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from filiera.core.task import Resources

_MIB = 1 << 20


def machine(cpu: int) -> Resources:
    """Return *cpu* processor slots with the memory and the GPUs of this machine or container."""
    return Resources(cpu=cpu, memory_mib=_memory_bytes() // _MIB, gpu=len(gpu_devices()))


@functools.cache
def _memory_bytes() -> int:
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits()])


def gpu_devices() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    limited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if limited is not None:
        names = [name.strip() for name in limited.split(",")]
        return tuple(itertools.takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    return tuple(map(str, range(_count_gpus())))


@functools.cache
def _count_gpus() -> int:
    try:
        return sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))  # noqa: PTH208
    except OSError:
        return 0


class Capacity:
    """What the machine has, and what of it the running tasks leave. More than there is is never promised.

    >>> capacity = Capacity(Resources(cpu=2, memory_mib=100))
    >>> capacity.take(Resources(cpu=2)), capacity.has(Resources())
    ((), False)
    """

    def __init__(self, total: Resources, devices: tuple[str, ...] = ()) -> None:
        self.total = total
        self._cpu, self._memory_mib, self._devices = total.cpu, total.memory_mib, list(devices)

    def refusal(self, wanted: Resources) -> str:
        """Return why a task can never start here, or "" when it can."""
        total = self.total
        if wanted.cpu > total.cpu:
            return f"it asks for {wanted.cpu} cpu slots and there are {total.cpu}; set workers in the profile"
        if wanted.memory_mib > total.memory_mib:
            return f"it asks for {wanted.memory_mib} MiB of memory and there are {total.memory_mib}"
        if wanted.gpu > total.gpu:
            return f"it asks for {wanted.gpu} GPUs and there are {total.gpu}"
        return ""

    def has(self, wanted: Resources) -> bool:
        """Tell whether a task may start beside those running."""
        return wanted.cpu <= self._cpu and wanted.memory_mib <= self._memory_mib and wanted.gpu <= len(self._devices)

    @property
    def is_used_up(self) -> bool:
        """Tell whether no task at all may start."""
        return self._cpu < 1

    def take(self, wanted: Resources, *, preferred: Iterable[tuple[str, ...]] = ()) -> tuple[str, ...]:
        """Take what a task needs, which is there, and return its GPUs: one of the *preferred* sets if that is free."""
        self._cpu -= wanted.cpu
        self._memory_mib -= wanted.memory_mib
        if not wanted.gpu:
            return ()
        free = set(self._devices)
        sets = [devices for devices in preferred if len(devices) == wanted.gpu and free.issuperset(devices)]
        chosen = sets[0] if sets else tuple(self._devices[: wanted.gpu])
        self._devices = [device for device in self._devices if device not in chosen]
        return chosen

    def took_again(self, wanted: Resources, devices: tuple[str, ...]) -> bool:
        """Take what a task needs and these GPUs; return False when something of it is not free."""
        if not self.has(wanted) or not set(self._devices).issuperset(devices):
            return False
        self.take(wanted, preferred=(devices,))
        return True

    def give_back(self, wanted: Resources, devices: tuple[str, ...]) -> None:
        """Give back what a task took."""
        self._cpu += wanted.cpu
        self._memory_mib += wanted.memory_mib
        self._devices += devices


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


def _group_limits() -> Iterator[int]:
    """Yield the memory limits in bytes of the control groups that this process is in."""
    folder = Path("/sys/fs/cgroup")
    try:
        own = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::/")]
    except OSError:
        return
    path = folder / own[0][4:] if own else folder
    for group in (path, *path.parents):
        with suppress(OSError, ValueError):  # no such group here, or one without a limit ("max")
            yield int((group / "memory.max").read_text())
        if group == folder:
            return
