from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters._capacity import Capacity, gpu_devices, machine, used_memory_mib
from filiera.core.task import Resources

resources = st.builds(Resources, cpu=st.integers(1, 8), memory_mib=st.integers(0, 100), gpu=st.integers(0, 2))


@given(resources, st.lists(st.tuples(st.booleans(), resources), max_size=12))
def test_no_more_is_promised_than_there_is(total: Resources, moves: list[tuple[bool, Resources]]) -> None:
    """Whatever starts and ends, no sum exceeds what there is, no GPU is two tasks', and in the end all is back."""
    devices = tuple(f"GPU-{number}" for number in range(total.gpu))
    capacity = Capacity(total, devices)
    running: list[tuple[Resources, tuple[str, ...]]] = []
    for is_start, wanted in moves:
        if not is_start and running:
            capacity.give_back(*running.pop())
        elif capacity.has(wanted):
            assert capacity.refusal(wanted) == ""
            running.append((wanted, capacity.take(wanted)))
        held = [device for _, taken in running for device in taken]
        assert len(set(held)) == len(held) == sum(wanted.gpu for wanted, _ in running)
        for name in ("cpu", "memory_mib", "gpu"):
            assert sum(getattr(wanted, name) for wanted, _ in running) <= getattr(total, name)
    while running:
        capacity.give_back(*running.pop())
    assert capacity.has(total)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Resources(cpu=3), "3 cpu slots and there are 2"),
        (Resources(memory_mib=101), "101 MiB of memory and there are 100"),
        (Resources(gpu=1), "1 GPUs and there are 0"),
    ],
)
def test_more_than_there_is_is_refused(wanted: Resources, words: str) -> None:
    """A task that could never start is told so, with both numbers."""
    capacity = Capacity(Resources(cpu=2, memory_mib=100))
    assert not capacity.has(wanted)
    assert words in capacity.refusal(wanted)
    assert capacity.refusal(capacity.total) == ""


def test_gpus_used_before_are_preferred() -> None:
    """A warm worker sees certain GPUs: where they are free, the task gets these."""
    capacity = Capacity(Resources(gpu=3), ("0", "1", "2"))
    assert capacity.take(Resources(gpu=1), preferred=[("1", "2"), ("2",)]) == ("2",)
    assert capacity.take(Resources(gpu=2), preferred=[("1", "2")]) == ("0", "1")


@pytest.mark.parametrize(
    ("limited", "expected"),
    [("", ()), ("2,0", ("2", "0")), ("-1", ()), ("0,-1,1", ("0",)), ("GPU-a, GPU-b", ("GPU-a", "GPU-b"))],
)
def test_gpus_of_a_limited_process(limited: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody has limited this process to some GPUs, the workers share those."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", limited)
    assert gpu_devices() == expected
    assert machine(1).gpu == len(expected)


def test_machine_has_memory() -> None:
    """The memory of the machine is known, and the slots are those asked for."""
    total = machine(3)
    assert total.cpu == 3
    assert total.memory_mib > 100


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_group_includes_its_children() -> None:
    """What a process and its children fill counts; other groups do not, and a group that is gone holds nothing."""
    child = "x = b'x' * (30 << 20); print(1, flush=True); input()"
    parent = f"import subprocess, sys; x = b'x' * (30 << 20); subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = used_memory_mib([process.pid, os.getpgrp()])
        assert 60 <= used[process.pid] < 120
        process.communicate(b"\n")
    assert used_memory_mib([process.pid]) == {process.pid: 0}
