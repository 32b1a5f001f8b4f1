"""A path with named parts says which files are meant and what their columns hold."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sources.file_paths import FilePaths, file_paths, is_file_paths
from filiera.errors import SourceError


def found(path: str, root: Path) -> FilePaths:
    return file_paths({"type": "images", "path": path}, root)


def labels(pattern: str, path: str) -> dict[str, str] | None:
    return FilePaths(base=Path(), pattern=pattern, is_archive=False).labels(path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("", "any/thing", {}),
        ("*.png", "a.png", {}),
        ("*.png", "b/a.png", None),
        ("**/*.png", "a.png", {}),
        ("**/*.png", "c/b/a.png", {}),
        ("**", "c/b/a.png", {}),
        ("{split}/{label}/*", "train/cat/1.png", {"split": "train", "label": "cat"}),
        ("{split}/{label}/*", "train/1.png", None),
        ("{label}_{speaker}_{take}.wav", "7_jackson_32.wav", {"label": "7", "speaker": "jackson", "take": "32"}),
        ("{label}/**", "cat/deep/1.png", {"label": "cat"}),
        ("a?[12].png", "ax2.png", {}),
        ("a?[!12].png", "ax2.png", None),
        ("[{]x}.png", "{x}.png", {}),
        ("(a+).png", "(a+).png", {}),
    ],
)
def test_pattern(pattern: str, path: str, expected: dict[str, str] | None) -> None:
    """What the documentation promises."""
    assert labels(pattern, path) == expected


@given(pattern=st.text("ab*?.[]!", max_size=8), name=st.text("ab.!]", min_size=1, max_size=6))
def test_one_name_is_matched_as_a_shell_does(pattern: str, name: str) -> None:
    """For a single name without ** and escapes, the standard library is the oracle."""
    if "**" not in pattern and pattern:
        assert (labels(pattern, name) is not None) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("x/{path}/*", "a column of that name"),
        ("x/{a}/{a}", "a name of its own"),
        ("x/{}/*", "a name of its own"),
        ("x/{1a}/*", "a name of its own"),
        ("", "needs a text"),
        ("x/{a}/{b}.png", ""),
        ("${HERE}/{a}/*", ""),
    ],
)
def test_named_parts_are_columns(path: str, problem: str) -> None:
    """A part that would be no column, or one that is there, is refused before anything is read."""
    said = is_file_paths(path, reserved=("path", "digest"))
    assert problem in said
    assert bool(problem) == bool(said)


def test_base_is_what_has_no_wildcard(tmp_path: Path) -> None:
    """A folder, or an archive with what stands behind its name."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images.zip").touch()
    assert found("images/{label}/*", tmp_path).pattern == "{label}/*"
    assert not found("images", tmp_path).is_archive
    inside = found("images.zip/train/*.png", tmp_path)
    assert (inside.base, inside.pattern, inside.is_archive) == (tmp_path / "images.zip", "train/*.png", True)
    assert found("images.zip/train", tmp_path).pattern == "train/**"
    assert found("images.zip", tmp_path).pattern == ""
    odd = tmp_path / "{odd} [1]"
    odd.mkdir()
    assert found("*.png", odd).base == odd


def test_missing_folder_is_told(tmp_path: Path) -> None:
    """The part without wildcards must be there."""
    with pytest.raises(SourceError, match="There is no"):
        found("nothing/*.png", tmp_path)
