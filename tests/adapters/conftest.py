"""Real disks for the tests of adapters."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.disks import DiskWithoutPower, mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 768 KiB."""
    with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", "size=768k") as folder:
        yield folder


@pytest.fixture
def disk_without_power(tmp_path: Path) -> Iterator[DiskWithoutPower]:
    """An ext4 disk that writes nothing on its own for five minutes."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("making a disk needs root and mkfs.ext4")
    image = tmp_path / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(16 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(str(image), tmp_path / "disk", "-o", "loop,commit=300") as folder:
        yield DiskWithoutPower(folder, image)
