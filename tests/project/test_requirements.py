from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import ProjectError
from filiera.project.requirements import logical_lines, read_requirements
from tests.wheels import make_wheel

NAMES = st.from_regex(r"[a-z]{1,8}==[0-9]{1,3}(\.[0-9]){0,2}", fullmatch=True)


def lines_of(folder: Path, text: str) -> tuple[str, ...]:
    """Return what a requirements file with this text asks for."""
    (folder / "requirements.txt").write_text(text)
    return read_requirements(folder / "requirements.txt").lines


@given(
    pins=st.lists(NAMES, max_size=5),
    noise=st.lists(st.sampled_from(["", "  ", "# a note", "\t# another # note"]), max_size=5),
)
def test_only_what_is_asked_for_counts(pins: list[str], noise: list[str]) -> None:
    """Comments, blank lines, blanks and the way lines are broken change nothing."""
    plain = "\n".join(pins)
    noisy = "\r\n".join([*noise, *(f"  {pin}   # why\r\n{''.join(noise[:1])}" for pin in pins)])
    assert list(logical_lines(noisy)) == list(logical_lines(plain)) == pins


def test_an_address_is_no_comment() -> None:
    """A # begins a comment only after a blank."""
    assert list(logical_lines("lamp @ https://example.org/lamp.whl#sha256=0 # lamp")) == [
        "lamp @ https://example.org/lamp.whl#sha256=0"
    ]


def test_included_files_count_by_their_lines(tmp_path: Path) -> None:
    """What a file includes is as if it stood there; bounds are told from wishes; all files read are named."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("-c bounds.txt\nlamp\n")
    (tmp_path / "more" / "bounds.txt").write_text("lamp<2\n")
    (tmp_path / "requirements.txt").write_text("--no-index\n-r more/base.txt\nroom\n")
    found = read_requirements(tmp_path / "requirements.txt")
    assert found.lines == ("--no-index", "constraint lamp<2", "lamp", "room")
    assert [file.name for file in found.files] == ["requirements.txt", "base.txt", "bounds.txt"]
    assert lines_of(tmp_path, "--no-index\n--requirement=more/base.txt\n-rmore/base.txt") == (
        "--no-index",
        *("constraint lamp<2", "lamp") * 2,
    )


@pytest.mark.parametrize("form", ["wheels/{}", "./wheels/{}", "lamp @ file://{folder}/wheels/{}"])
def test_a_wheel_counts_by_its_content(form: str, tmp_path: Path) -> None:
    """Another wheel under the same name is another wish."""
    wheel = make_wheel(tmp_path / "wheels", "lamp", "1.0")
    line = form.format(wheel.name, folder=tmp_path)
    before = lines_of(tmp_path, line)
    make_wheel(tmp_path / "wheels", "lamp", "1.0", modules={"lamp": "VERSION = 'other'"})
    assert before[0].startswith(line)
    assert lines_of(tmp_path, line) != before


@pytest.mark.parametrize("line", ["-e .", "--editable ./lib", "./lib", ".", "lib @ file://{folder}/lib"])
def test_folders_are_refused(line: str, tmp_path: Path) -> None:
    """What is in a folder can change under the same line."""
    (tmp_path / "lib").mkdir()
    with pytest.raises(ProjectError, match="asks for a folder") as caught:
        lines_of(tmp_path, line.format(folder=tmp_path))
    assert "wheel" in caught.value.do


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, no text, a folder, a circle: each is said in our words."""
    with pytest.raises(ProjectError, match=r"There is no .*none.txt"):
        read_requirements(tmp_path / "none.txt")
    with pytest.raises(ProjectError, match=r"There is no .*gone.txt"):
        lines_of(tmp_path, "-r gone.txt")
    with pytest.raises(ProjectError, match=r"There is no .*gone.whl"):
        lines_of(tmp_path, "./gone.whl")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match="not UTF-8"):
        read_requirements(tmp_path / "binary.txt")
    with pytest.raises(ProjectError, match="cannot be read: Is a directory"):
        read_requirements(tmp_path)
    with pytest.raises(ProjectError, match="includes itself"):
        lines_of(tmp_path, "-r requirements.txt")


def test_lock_files_count_whole(tmp_path: Path) -> None:
    """A lock is made by a tool: every byte of it counts, and of the project that uv locked."""
    (tmp_path / "pylock.toml").write_text("lock-version = '1.0'")
    (tmp_path / "uv.lock").write_text("version = 1")
    with pytest.raises(ProjectError, match=r"There is no .*pyproject.toml"):
        read_requirements(tmp_path / "uv.lock")
    (tmp_path / "pyproject.toml").write_text("[project]")
    before = {name: read_requirements(tmp_path / name).lines for name in ("pylock.toml", "uv.lock")}
    (tmp_path / "pylock.toml").write_text("lock-version = '1.0' ")
    (tmp_path / "pyproject.toml").write_text("[project] ")
    assert all(read_requirements(tmp_path / name).lines != lines for name, lines in before.items())
