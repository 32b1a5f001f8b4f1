"""Real disks that are full or lose power, and processes without root's privileges, for tests of the stores."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

DROP_PRIVILEGES = """
import ctypes, os, sys
if os.geteuid() == 0:  # root may write anywhere: give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110
    assert libc.capset(header, sets) == 0
"""


def run_unprivileged(code: str, *arguments: str | Path) -> str:
    """Return what Python prints that runs *code* and must, like an ordinary user, obey the permissions of files."""
    return run_python(DROP_PRIVILEGES + code, *arguments)


def run_python(code: str, *arguments: str | Path) -> str:
    """Return what another Python process prints that runs *code* with *arguments*."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def own_mounts() -> None:
    """Give this process a view of mounts of its own, so that none outlives it or is seen elsewhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(0x0002_0000) != 0:  # CLONE_NEWNS
        pytest.skip("mounting is not permitted here")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def mounted(source: str, target: Path, *options: str) -> Iterator[Path]:
    """Mount a file system for the block; skip the test where that is not permitted."""
    own_mounts()
    target.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, source, target], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield target
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk that holds *folder* to the last byte; return the file to remove to make room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size_bytes in (4096, 1):
            try:
                while True:
                    stream.write(b"\0" * size_bytes)
            except OSError:
                continue
    return filler


class DiskWithoutPower:
    """A disk whose power can be cut: what was not synced by then is lost."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image

    @contextmanager
    def after_power_cut(self) -> Iterator[Path]:
        """Give the disk as it would be found after a power cut now."""
        copy = self._image.with_suffix(".cut")
        shutil.copyfile(self._image, copy)  # only what has reached the device, not what its file system still holds
        with mounted(str(copy), copy.with_suffix(".mnt"), "-o", "loop") as folder:
            yield folder
