"""A disk that is full, or fails to sync, at whichever call: it is said, nothing is half written, runs go on later."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from filiera.adapters.flight_locks import FlightLocks
from filiera.errors import StoreFull
from tests.adapters.disks import fill, mounted
from tests.crash.killing import Battlefield, reference
from tests.projects import digests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes and mounts")
SAMPLE = 3
ALL_PAGES = 270
"""A run finds all the room that it needs when so many pages of 4 KiB are free."""


@dataclass
class Peace:
    """What an undisturbed run makes, and how many calls of each kind it makes."""

    digests: dict[str, list[str]]
    versions: list[str]
    calls: dict[str, int]


def run_failing(field: Battlefield, kind: str, number: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Return how ``filiera`` ended while a call failed."""
    options = field.project.surroundings()
    options["env"] = {**options["env"], "PYTHONPATH": field.path}
    command = [sys.executable, "-m", "tests.faults.failing", kind, str(number), str(field.project.root / ".filiera")]
    return subprocess.run([*command, *words], **options, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    folder = tmp_path_factory.mktemp("peace")
    made, versions, _ = reference(folder / "reference")
    calls = {}
    for kind in ("write", "sync"):
        done = run_failing(Battlefield(folder / kind), kind, 0, "run", "counts")
        assert done.returncode == 0, done.stderr
        calls[kind] = int(done.stderr.split()[-1])
    return Peace(made, versions, calls)


def check_end(field: Battlefield, done: subprocess.CompletedProcess[str]) -> None:
    """Assert that a command which met a fault said so, in our words, and that nothing counts as done that is not."""
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1, 5), said
    assert "Traceback" not in said
    # A commit that was written but could not be synced is told as lost, and may be there all the same.
    assert field.shown("counts-1") == "succeeded" or done.returncode != 0, said
    if done.returncode == 5:
        assert done.stderr.startswith("filiera: "), said


def check_goes_on(field: Battlefield, peace: Peace) -> None:
    """Assert that the run, gone on with, ends like an undisturbed one."""
    shown = field.shown("counts-1")
    if shown != "succeeded":
        done = field.project.command(*(("run", "counts") if shown == "not begun" else ("resume", "counts-1")))
        assert done.returncode == 0, done.stdout + done.stderr
    field.check()
    assert digests(field.state("counts-1")) == peace.digests
    assert field.versions() == peace.versions


def check_fault(folder: Path, peace: Peace, kind: str, number: int) -> None:
    field = Battlefield(folder / f"{kind}-{number}")
    done = run_failing(field, kind, number, "run", "counts")
    field.check(may_lack=kind == "sync")
    check_end(field, done)
    check_goes_on(field, peace)


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_call_fails(tmp_path: Path, peace: Peace, kind: str) -> None:
    """A sample of the calls at which no space is left, or that do not reach the disk; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    for number in random.Random(seed).sample(range(1, peace.calls[kind] + 1), SAMPLE):
        print(kind, number, "of", peace.calls[kind])
        check_fault(tmp_path, peace, kind, number)


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_each_call_fails(tmp_path: Path, peace: Peace, kind: str) -> None:
    """No space is left from each write on in turn; each wait for the disk in turn fails."""
    for number in range(1, peace.calls[kind] + 1):
        check_fault(tmp_path, peace, kind, number)


def check_small_disk(folder: Path, peace: Peace, pages: int) -> None:
    with mounted("tmpfs", folder / f"disk-{pages}", "-t", "tmpfs", "-o", "size=6m") as disk:
        field = Battlefield(folder / f"project-{pages}", store=disk / "store")
        reserve = disk / "reserve"
        reserve.write_bytes(b"\1" * 4096 * pages)
        filler = fill(disk)
        reserve.unlink()
        done = field.project.command("run", "counts")
        filler.unlink()
        field.check()
        check_end(field, done)
        check_goes_on(field, peace)


def test_the_disk_is_small(tmp_path: Path, peace: Peace) -> None:
    """A sample of how much room a real disk has, from none to almost enough; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    for pages in random.Random(seed).sample(range(ALL_PAGES), SAMPLE):
        print(pages, "pages")
        check_small_disk(tmp_path, peace, pages)


@pytest.mark.campaign
def test_the_disk_has_ever_more_room(tmp_path: Path, peace: Peace) -> None:
    """A real disk with room for each number of pages in turn, until a run fits."""
    for pages in range(ALL_PAGES):
        check_small_disk(tmp_path, peace, pages)


def test_a_key_is_taken_on_a_full_disk(tmp_path: Path) -> None:
    """Where the table of keys cannot grow the disk is said to be full: the process is not killed for it."""
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m") as disk:
        locks = FlightLocks(disk / "flights")
        try:
            filler = fill(disk)
            with pytest.raises(StoreFull, match="No space is left to write"):
                locks.try_take("a" * 64)
            filler.unlink()
            assert locks.try_take("a" * 64)
        finally:
            locks.close()
