"""The lock of what is shipped."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from filiera.errors import ProjectError, UsageError
from filiera.project.shipping import locks
from filiera.project.shipping.locks import asked_for, lock, owners_of
from tests.wheels import make_wheel


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on the path, into which ``put`` installs."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def put(folder: Path, name: str, version: str = "1.0", *, needs: tuple[str, ...] = (), origin: str = "") -> None:
    """Install a distribution that needs others, from an index or an address."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    (info / "RECORD").write_text(f"{name}.py,,\n")
    (folder / f"{name}.py").write_text("")
    if origin:
        (info / "direct_url.json").write_text(origin)


def test_a_lock_has_all_that_is_needed_and_no_more(installed: Path) -> None:
    """Needs of needs come along, those of extras that were asked for, and none for other machines or Pythons."""
    put(installed, "root", needs=("near>=1", 'extra-one; extra == "more"', 'other; sys_platform == "never"'))
    put(installed, "near", needs=("far", "root", "absent"))
    for name in ("far", "extra-one", "other", "stranger"):
        put(installed, name)
    assert lock(["root"], None).lines == ("far==1.0", "near==1.0", "root==1.0")
    assert lock(["Root[more]"], None).names == ("extra-one", "far", "near", "root")


def test_the_lock_of_this_place_is_closed(tmp_path: Path) -> None:
    """For what is really installed here: nothing that something in it needs is left out."""
    names = set(lock(["scikit-learn", "hypothesis"], None).names)
    assert {"scikit-learn", "numpy", "scipy", "hypothesis"} <= names
    for name in names:
        for need in map(locks.Requirement, metadata.requires(name) or []):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert locks.canonicalize_name(need.name) in names


def test_what_no_index_has_comes_along(installed: Path, tmp_path: Path) -> None:
    """A working copy needs a wheel of the same version; a wheel that it was installed from is found by itself."""
    local = make_wheel(tmp_path / "a b", "local", "1.0")
    put(installed, "local", origin=f'{{"url": "{local.as_uri()}", "archive_info": {{}}}}')
    put(
        installed,
        "far",
        origin='{"url": "https://example.org/far.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
    )
    put(installed, "copy", origin='{"url": "file:///home/ada/copy", "dir_info": {"editable": true}}')
    with pytest.raises(ProjectError, match=r"copy 1\.0 cannot be installed elsewhere") as told:
        lock(["copy"], None)
    assert "pip wheel --no-deps --wheel-dir wheels /home/ada/copy" in told.value.do
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "copy", "2.0")
    (wheels / "broken.whl").write_bytes(b"")
    with pytest.raises(ProjectError):
        lock(["copy"], wheels)
    wheel = make_wheel(wheels, "copy", "1.0")
    assert lock(["copy"], wheels).wheels == (wheel,)
    assert lock(["copy"], wheels).lines == ("copy==1.0",)
    assert lock(["local"], None).wheels == (local,)
    local.unlink()
    with pytest.raises(ProjectError, match=r"local 1\.0 cannot"):
        lock(["local"], None)
    assert lock(["far"], None).lines == ("far @ git+https://example.org/far.git@abc",)


def test_a_lock_knows_whether_an_index_is_needed(installed: Path, tmp_path: Path) -> None:
    """Only when each distribution comes along is none asked."""
    put(installed, "one", needs=("two",))
    put(installed, "two")
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "one", "1.0")
    assert not lock(["one"], wheels).is_whole
    make_wheel(wheels, "two", "1.0")
    assert lock(["one"], wheels).is_whole
    with pytest.raises(UsageError, match="There is no folder"):
        lock(["one"], tmp_path / "none")


def test_requirements_of_the_project_are_asked_for(tmp_path: Path) -> None:
    """Names and extras count; what is an option, an address or a comment does not."""
    file = tmp_path / "requirements.txt"
    assert asked_for(file) == set()
    file.write_text("# tools\nPolars>=1 --hash=sha256:0\nblake3[x]; python_version > '3'\n-r other.txt\n--no-index\n")
    assert asked_for(file) == {"Polars", "blake3[x]"}


def test_modules_have_owners() -> None:
    """Names of modules lead to distributions, also where they differ; others lead nowhere."""
    assert owners_of(["sklearn", "json", "no_such_module"]) == {"scikit-learn"}
