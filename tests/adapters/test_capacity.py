from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters._capacity import fits, machine, used_memory_mib
from filiera.core.task import Resources

resources = st.builds(Resources, cpu=st.integers(1, 8), memory_mib=st.integers(0, 100), gpu=st.integers(0, 2))


@given(resources, st.lists(resources, max_size=4), resources)
def test_what_fits_stays_within_the_machine(wanted: Resources, running: list[Resources], total: Resources) -> None:
    """Beside others a task starts only while no sum exceeds what there is; alone it always may."""
    names = ("cpu", "memory_mib", "gpu")
    sums = [sum(getattr(r, name) for r in [wanted, *running]) for name in names]
    within = all(used <= getattr(total, name) for used, name in zip(sums, names, strict=True))
    assert fits(wanted, running, total) == (within or not running)


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
