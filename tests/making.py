"""What is dear to make, such as a project with trained models, is made once for all processes that share the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import copied


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a copy, for this process, of the folder that *make* fills; whichever process asks first has it made.

    Args:
        factory: Tells where this session's folders are; beside it lie those of the other processes.
        name: Of the folder; everybody who gives it gets the same.
        make: Makes the folder that it is given, in this process or by others.
    """
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made"
    shared.mkdir(exist_ok=True)
    whole, partial = shared / name, shared / f"{name}.partial"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(whole)
    return copied(whole, factory.mktemp(name) / name)
