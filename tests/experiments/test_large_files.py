"""Large files of which git keeps pointers: by git-lfs where it is installed, and by a filter of the same kind."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from filiera.errors import UsageError
from filiera.experiments import files
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.moving import Move, take_back
from filiera.experiments.starting import start
from tests.experiments import pointers
from tests.experiments.keeping import check_works
from tests.experiments.lab import LightLab, state_of

LARGE, LARGER, LARGEST = (word * 50_000 for word in (b"large\n", b"larger\n", b"largest\n"))


@pytest.fixture(params=["a filter", "git-lfs"])
def large(request: pytest.FixtureRequest, light: LightLab, tmp_path: Path) -> LightLab:
    """Return a lab with a committed file of which git keeps a pointer."""
    if request.param == "git-lfs":
        if shutil.which("git-lfs") is None:
            pytest.skip("git-lfs is not installed")
        light.git("lfs", "install", "--local")
        light.git("lfs", "track", "*.bin")
    else:
        kept = tmp_path / "kept"
        kept.mkdir()
        for word in ("clean", "smudge"):
            light.git("config", f"filter.large.{word}", f"{sys.executable} {pointers.__file__} {word} {kept}")
        light.git("config", "filter.large.required", "true")
        (light.root / ".gitattributes").write_text("*.bin filter=large -text\n")
    (light.root / "data.bin").write_bytes(LARGE)
    light.commit("a large file")
    assert light.git("show", "main:data.bin").startswith("version ")
    return light


def test_branches_keep_pointers_and_folders_files(large: LightLab) -> None:
    """Through all verbs; what main had not committed comes along and stays."""
    (large.root / "data.bin").write_bytes(LARGER)
    check_works(large)
    assert (large.root / "data.bin").read_bytes() == LARGER
    assert (large.folder_of("odd") / "data.bin").read_bytes() == LARGER
    assert large.git("show", "exp/odd:data.bin").startswith("version ")


def test_the_target_gets_the_file(large: LightLab) -> None:
    """Also where it has moved, so that what comes of merging is written into a folder of its own."""
    start(large.place(), "odd")
    (large.folder_of("odd") / "data.bin").write_bytes(LARGER)
    assert large.try_out("odd", "count").record is not None
    large.replace("flows/data.py", "WIDTH = 3", "WIDTH = 4")
    large.commit("wider")
    with large.opened():
        assert accept(large.place(), "odd", Acceptance()).is_evaluated_again
    assert (large.root / "data.bin").read_bytes() == LARGER
    assert large.git("status", "--porcelain") == ""


def test_what_a_killed_git_wrote_is_taken_back(large: LightLab) -> None:
    """Whole files are known by their pointers; those that somebody has changed stay."""
    before = large.git("rev-parse", "main")
    for name in ("mine.bin", "new.bin", "data.bin"):
        (large.root / name).write_bytes(LARGER)
    after = large.commit("go on")
    large.git("reset", "--quiet", "--soft", before)
    large.git("reset", "--quiet")
    (large.root / "mine.bin").write_bytes(LARGEST)
    take_back(large.place(), Move(branch="refs/heads/main", old=before, new=after))
    assert (large.root / "data.bin").read_bytes() == LARGE and not (large.root / "new.bin").exists()
    assert state_of(large) == (before, "", "?? mine.bin")


def test_new_ones_may_be_large(large: LightLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for what a branch would keep; a pointer is small."""
    monkeypatch.setattr(files, "LARGEST_NEW_BYTES", 1000)
    (large.root / "new.bin").write_bytes(LARGER)
    assert start(large.place(), "odd").record.is_carried
    (large.root / "new.csv").write_bytes(LARGER)
    with pytest.raises(UsageError, match=r"such as new\.csv"):
        start(large.place(), "other")
