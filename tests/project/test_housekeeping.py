"""One process keeps house at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import StoreBusy, StoreError
from filiera.project.housekeeping import alone
from tests.adapters.disks import run_python


def test_the_lock_is_held_by_one(tmp_path: Path) -> None:
    """While it is held, others are refused, in this process and elsewhere; then it is free, whatever happened."""
    with pytest.raises(ZeroDivisionError), alone(tmp_path):
        with pytest.raises(StoreBusy, match="keeps house"), alone(tmp_path):
            pass
        code = """
from pathlib import Path; import sys
from filiera.errors import StoreBusy
from filiera.project.housekeeping import alone
try:
    with alone(Path(sys.argv[1])): print("held")
except StoreBusy: print("busy")
"""
        assert run_python(code, tmp_path) == "busy\n"
        raise ZeroDivisionError
    with alone(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """The kernel gives the lock of a process that was killed to the next one."""
    code = """
import os, signal, sys; from pathlib import Path
from filiera.project.housekeeping import alone
if os.fork() == 0:
    with alone(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)
os.wait()
"""
    run_python(code, tmp_path)
    with alone(tmp_path):
        pass


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Without a folder there is no lock."""
    with pytest.raises(StoreError), alone(tmp_path / "missing"):
        pass
