"""Files are handed on once, when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from filiera.supervision.new_files import changes, look

LOOKS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"))


@given(known=LOOKS, before=LOOKS, now=LOOKS)
def test_a_file_is_ready_when_it_stays_and_is_not_known(
    known: dict[str, str], before: dict[str, str], now: dict[str, str]
) -> None:
    """Each file alone: new or changed, equal in two looks, still there."""
    found = changes(known, before, now)
    for path in "abcd":
        is_ready = path in now and now[path] == before.get(path) and now[path] != known.get(path)
        assert found.ready.get(path) == (now[path] if is_ready else None)
        assert (path in found.gone) == (path in known and path not in now)


def test_only_files_that_match_are_seen(tmp_path: Path) -> None:
    """Folders, hidden files, broken links and files elsewhere are not; a changed file looks different."""
    for name in ("in/a.csv", "in/b.txt", "in/.c.csv", "in/deep/d.csv", "out/e.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "in" / "folder.csv").mkdir()
    (tmp_path / "in" / "broken.csv").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    assert sorted(look(tmp_path, "in/*.csv")) == ["in/a.csv"]
    assert sorted(look(tmp_path, "in/**/*.csv")) == ["in/a.csv", "in/deep/d.csv"]
    assert look(tmp_path, "nowhere/*") == {}
    first = look(tmp_path, "in/*.csv")
    (tmp_path / "in" / "a.csv").write_text("xy")
    assert look(tmp_path, "in/*.csv") != first


def test_a_file_put_in_place_of_another_is_another(tmp_path: Path) -> None:
    """Though it has the same size and the same time, as files that are copied with their times do."""
    (tmp_path / "a").write_text("x")
    first = look(tmp_path, "a")
    times = (tmp_path / "a").stat()
    (tmp_path / "new").write_text("y")
    os.utime(tmp_path / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "a")
    assert look(tmp_path, "a") != first
