"""The index is never believed against the files, whatever happened to either."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import ProjectError
from filiera.project import index
from filiera.project.config import ProjectConfig, load
from filiera.project.index import pipelines
from filiera.project.index_file import Index, index_file, try_read, write

LONG = f"# {'x' * 20_000}\n"
"""So much text that an index is worth its while."""


def make(root: Path, files: Mapping[str, str]) -> ProjectConfig:
    """Write modules, each with one pipeline of the given name, and return the configuration."""
    (root / "flows").mkdir(parents=True, exist_ok=True)
    (root / "filiera.toml").write_text('[project]\nname = "many"\n')
    for module, name in files.items():
        put(root, module, name)
    return load(root)


def put(root: Path, module: str, name: str, *, more: str = LONG) -> None:
    (root / "flows" / f"{module}.py").write_text(f"{more}@pipeline(kind='data')\ndef {name}(): ...\n")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from now on."""
    names: list[str] = []
    content = index._content

    def noted(file: Path) -> bytes:
        names.append(file.name)
        return content(file)

    monkeypatch.setattr(index, "_content", noted)
    return names


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the files for written long ago."""
    monkeypatch.setattr(index, "_RACY_NS", -(10**12))


@pytest.mark.usefixtures("calm")
def test_only_files_that_changed_are_read(tmp_path: Path, read: list[str]) -> None:
    """The first look reads all, the next none, and after a change the changed one only."""
    config = make(tmp_path, {"a": "one", "b": "two", "c": "three"})
    for changed, expected in ((None, ["a.py", "b.py", "c.py"]), (None, []), ("b", ["b.py"]), (None, [])):
        if changed:
            put(tmp_path, changed, "second")
        read.clear()
        found = pipelines(config)
        assert read == expected
    assert list(found) == ["one", "second", "three"]


@pytest.mark.usefixtures("calm")
def test_a_file_with_a_new_time_and_its_old_content_is_not_parsed(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after checking out another branch and coming back: reading is enough."""
    config = make(tmp_path, {"a": "one", "b": "two"})
    found = pipelines(config)
    os.utime(tmp_path / "flows" / "a.py", (1, 1))
    read.clear()
    monkeypatch.delattr(index, "ast")
    assert (pipelines(config), read) == (found, ["a.py"])


@pytest.mark.usefixtures("calm")
def test_a_file_put_in_place_of_one_as_large_and_as_old_shows(tmp_path: Path) -> None:
    """The time of a change of any kind cannot be set back."""
    config = make(tmp_path, {"a": "one"})
    file, other = tmp_path / "flows" / "a.py", tmp_path / "other.py"
    os.utime(file, ns=(10**18, 10**18))
    assert list(pipelines(config)) == ["one"]
    other.write_text(file.read_text().replace("def one", "def two"))
    os.utime(other, ns=(10**18, 10**18))
    other.replace(file)
    assert list(pipelines(config)) == ["two"]


def test_a_file_just_written_is_read_again(tmp_path: Path, read: list[str]) -> None:
    """It could change once more within one tick of the disk's clock, keeping its size and its time."""
    config = make(tmp_path, {"a": "one"})
    pipelines(config)
    assert try_read(config) is not None
    pipelines(config)
    assert read == ["a.py", "a.py"]


changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.sampled_from(["one", "two", "six"]))), max_size=8
)


@settings(max_examples=25, deadline=None)
@given(steps=changes)
def test_what_is_found_is_what_is_there(
    steps: list[tuple[str, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Files come, go and change at any speed, to contents of one size: the index shows them as they are."""
    root = tmp_path_factory.mktemp("project")
    config, there = make(root, {}), dict[str, str]()
    for module, name in steps:
        file = root / "flows" / f"{module}.py"
        if name is None:
            file.unlink(missing_ok=True)
            there.pop(module, None)
        else:
            put(root, module, f"{name}_{module}")
            there[module] = f"{name}_{module}"
        assert list(pipelines(config)) == [there[module] for module in sorted(there)]


def _damage(kept: Path, how: str) -> None:
    content = kept.read_bytes()
    pieces = {"empty": b"", "cut": content[: len(content) // 2], "zeros": bytes(len(content))}
    pieces["bit"] = content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
    kept.write_bytes(pieces[how])


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("how", ["empty", "cut", "zeros", "bit"])
def test_a_damaged_index_is_made_anew(how: str, tmp_path: Path, read: list[str]) -> None:
    """As a power cut may leave it."""
    config = make(tmp_path, {"a": "one"})
    found = pipelines(config)
    kept = index_file(config).read_bytes()
    _damage(index_file(config), how)
    assert pipelines(config) == found
    assert (read, index_file(config).read_bytes()) == (["a.py", "a.py"], kept)


@pytest.mark.usefixtures("calm")
def test_an_index_of_another_version_is_made_anew(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of Filiera may see other pipelines in the same text."""
    config = make(tmp_path, {"a": "one"})
    with monkeypatch.context() as other:
        other.setattr("filiera.project.index_file.__version__", "9.9.9")
        pipelines(config)
        assert try_read(config) is not None
        other_file = index_file(config)
    other_file.rename(index_file(config))
    assert try_read(config) is None
    assert list(pipelines(config)) == ["one"]
    assert len(read) == 2


def test_projects_that_share_a_store_keep_their_own(tmp_path: Path) -> None:
    """By name and place."""
    configs = [make(tmp_path / folder, {"a": folder}) for folder in ("one", "two")]
    assert index_file(configs[0]).name != index_file(configs[1]).name


def test_a_store_that_cannot_be_written_is_no_matter(tmp_path: Path) -> None:
    """The files are read each time."""
    config = make(tmp_path, {"a": "one"})
    (tmp_path / ".filiera").write_text("a file where the store should be")
    assert list(pipelines(config)) == list(pipelines(config)) == ["one"]


def test_a_place_that_cannot_be_written_is_left_clean(tmp_path: Path) -> None:
    """What was written beside is removed when it cannot be put in place."""
    config = make(tmp_path, {})
    index_file(config).mkdir(parents=True)
    write(config, Index([], [], {}))
    assert [path.name for path in index_file(config).parent.iterdir()] == [index_file(config).name]


def test_a_small_project_has_no_index(tmp_path: Path) -> None:
    """Reading it costs less; looking at a project makes no store."""
    config = make(tmp_path, {})
    put(tmp_path, "a", "one", more="")
    assert list(pipelines(config)) == ["one"]
    assert not (tmp_path / ".filiera").exists()


def test_several_may_look_at_once(tmp_path: Path) -> None:
    """Each finds what is there, and what remains is whole."""
    config = make(tmp_path, {f"m{number}": f"p{number}" for number in range(20)})
    with ThreadPoolExecutor(max_workers=4) as threads:
        found = list(threads.map(lambda _: list(pipelines(config)), range(12)))
    assert all(sorted(names) == sorted(f"p{number}" for number in range(20)) for names in found)
    assert try_read(config) is not None
    assert [path.name for path in index_file(config).parent.iterdir()] == [index_file(config).name]


@pytest.mark.usefixtures("calm")
def test_a_problem_is_told_each_time(tmp_path: Path) -> None:
    """What is wrong with a file is never forgotten because of an index."""
    config = make(tmp_path, {"a": "one", "b": "two"})
    pipelines(config)
    put(tmp_path, "b", "one")
    for _ in range(2):
        with pytest.raises(ProjectError, match="Two pipelines are called 'one'"):
            pipelines(config)
    put(tmp_path, "b", "two")
    assert list(pipelines(config)) == ["one", "two"]
