"""What no file of the repository may say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from filiera.core.products import check_name
from tests.architecture.tree import ROOT

# Written in pieces, so that this file does not say them either.
FORBIDDEN = {
    "a folder of one machine": r"(?<![\w.~-])/wo" r"rk/|/ro" r"ot/",
    "the host of a package index": r"py" r"pi\.org|python" r"hosted\.org|registry\.npm" r"js|deb\.deb" r"ian\.org",
    "unfinished business": r"\bTO" r"DO\b|\bFIX" r"ME\b|\bXX" r"X\b",
}


def tracked_texts() -> dict[str, str]:
    """Return the text of every file that version control knows, by its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    if not files:
        pytest.skip("not a checkout")
    found = {}
    for path in files:
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content[:8000]:
            found[str(path.relative_to(ROOT))] = content.decode("utf-8", errors="replace")
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_says(what: str) -> None:
    """No file names a place that exists on one machine only, an index to install from, or work left undone."""
    found = {path: re.findall(FORBIDDEN[what], text) for path, text in tracked_texts().items()}
    assert {path: hits for path, hits in found.items() if hits} == {}


def test_the_demo_has_a_folder_that_can_name_a_project() -> None:
    """`make demo` makes a project, whose name is its folder's."""
    (folder,) = re.findall(r"filiera demo (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert check_name(Path(folder).name, "project")


def test_decisions_are_numbered_in_a_row() -> None:
    """A decision has a number of its own, in its name and in its title, and none is left out."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [page.read_text(encoding="utf-8").partition(".")[0] for page in pages]
    assert titles == [f"# {number}" for number in range(1, len(pages) + 1)]
    assert [page.name[:5] for page in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
