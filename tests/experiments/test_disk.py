"""A disk that is full at any moment of a verb: it is said so, nothing is half done, and with room the verb succeeds.

A real file system of limited size holds the repository, its worktrees and its store. How much room a verb finds on it
decides where it stops.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.disks import fill, mounted
from tests.experiments.keeping import blob, check_kept, check_records
from tests.experiments.lab import LightLab, state_of
from tests.experiments.test_kill import DONE_BEFORE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at mounts")
VERBS = ("start", "run", "sync", "accept", "drop", "restore")
MOST_PAGES = 80
"""All verbs find the room that they need when so many pages of 4 KiB are free."""


@dataclass
class Prepared:
    """A repository in which a verb can begin."""

    lab: LightLab
    words: tuple[str, ...]
    written: dict[str, str]  #: content → where it was written

    def write(self, folder: Path, file: str) -> None:
        content = f"{folder} {file}\n".encode() * 200
        (folder / file).write_bytes(content)
        self.written[blob(content)] = f"{folder}/{file}"

    def do(self, *words: str) -> None:
        done = self.lab.command("experiment", *words)
        assert done.returncode == 0, done.stderr


def prepared(disk: Path, light: Path, verb: str) -> Prepared:
    """Bring about what a verb needs, on a disk."""
    found = Prepared(LightLab.copied(light, disk), ("experiment", verb, "odd"), {})
    lab = found.lab
    found.write(lab.root, "mine.md")
    if verb == "start":
        return found
    found.do("start", "odd", "--dirty", "ignore")
    folder = lab.folder_of("odd")
    found.write(folder, "idea.md")
    if verb in ("accept", "sync"):
        lab.edit("odd", "flows/data.py", "WIDTH = 3", "WIDTH = 4")
        found.do("run", "odd", "--pipeline", "count")
    if verb == "sync":
        found.write(lab.root, "theirs.md")
        lab.git("add", "theirs.md")
        lab.git("commit", "--quiet", "-m", "go on")
    if verb == "restore":
        found.do("drop", "odd", "--force")
    options = {"run": ("--pipeline", "count"), "drop": ("--force",)}
    found.words += options.get(verb, ())
    return found


def check_full(folder: Path, light: Path, verb: str, pages: int) -> int:
    """Do a verb where so many pages are free, and once more where there is room; return how the first one ended."""
    with mounted("tmpfs", folder / f"{verb}-{pages}", "-t", "tmpfs", "-o", "size=12m") as disk:
        os.environ["FILIERA_WORKTREES"] = str(disk / "worktrees")
        begun = prepared(disk, light, verb)
        lab = begun.lab
        before = state_of(lab)
        reserve = disk / "reserve"
        reserve.write_bytes(b"\1" * 4096 * pages)
        filler = fill(disk)
        reserve.unlink()
        done = lab.command(*begun.words)
        filler.unlink()
        assert done.returncode in (0, 5), done.stderr
        assert done.returncode == 0 or done.stderr.startswith("filiera: No space is left"), done.stderr
        is_moved = verb == "accept" and lab.git("rev-parse", "main") != before[0]
        assert is_moved or state_of(lab) == before
        check_kept(lab, begun.written)
        mended = lab.command("experiment", "doctor", "--repair")
        assert mended.returncode == 0, mended.stdout
        again = lab.command(*begun.words)
        is_ended = verb in ("restore", "drop") and DONE_BEFORE[verb] in again.stderr
        is_done = done.returncode == 0 or is_moved or is_ended
        assert again.returncode == 0 or is_done, again.stderr
        assert (lab.place().worktree("odd") is None) == (verb in ("accept", "drop"))
        assert not is_moved or lab.git("rev-parse", "main^1") == before[0]
        assert verb == "accept" or state_of(lab) == before
        check_kept(lab, begun.written)
        check_records(lab)
        assert lab.git("fsck", "--no-progress", "--no-dangling") == ""
        assert lab.command("experiment", "doctor").returncode == 0
        return done.returncode


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lab that has published."""
    folder = tmp_path_factory.mktemp("light")
    assert LightLab(folder).run("count").status == "succeeded"
    return folder


def test_the_disk_is_full(tmp_path: Path, light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of verbs and of how much room there is, from none to almost enough; the seed is printed."""
    monkeypatch.setenv("FILIERA_WORKTREES", "")  # each disk has its own; the variable is given back in the end
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for verb in ("start", "accept", chance.choice(VERBS)):
        pages = chance.randrange(MOST_PAGES)
        print(verb, pages, "pages", check_full(tmp_path, light, verb, pages))


@pytest.mark.campaign
@pytest.mark.parametrize("verb", VERBS)
def test_the_disk_has_ever_more_room(verb: str, tmp_path: Path, light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for each number of pages in turn, until the verb fits."""
    monkeypatch.setenv("FILIERA_WORKTREES", "")
    ended = [check_full(tmp_path, light, verb, pages) for pages in range(MOST_PAGES)]
    assert ended[0] == 5 and ended[-1] == 0
    print(f"{verb}: {ended.count(5)} of {MOST_PAGES} were refused")


def test_folders_are_left_alone_that_are_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an experiment that cannot begin leaves is removed, but never what was there before."""
    monkeypatch.setenv("FILIERA_WORKTREES", str(tmp_path / "worktrees"))
    lab = LightLab(tmp_path)
    mine = lab.place().worktrees / "odd/mine.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    done = lab.command("experiment", "start", "odd")
    assert done.returncode == 4 and "is in the way" in done.stderr
    assert mine.read_text() == "mine\n" and not lab.place().branches()
    shutil.rmtree(mine.parent)
    assert lab.command("experiment", "start", "odd").returncode == 0
