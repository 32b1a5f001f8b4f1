"""A module's distribution is found as ``importlib.metadata`` finds it, only faster."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

import filiera
from filiera.core.distributions import distribution_of, versions_in


def install(site: Path, name: str, version: str, files: tuple[str, ...], *, direct_url: str = "") -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    if direct_url:
        (info / "direct_url.json").write_text(direct_url)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("module", ["blake3", "pytest", "_pytest", "hypothesis"])
def test_version_is_that_of_the_metadata(module: str) -> None:
    """Names and versions agree with the standard library's slower answer."""
    name = importlib.metadata.packages_distributions()[module][0]
    assert distribution_of(module) == (name.lower(), importlib.metadata.version(name))


@pytest.mark.parametrize(("module", "name"), [("sklearn", "scikit-learn"), ("dateutil", "python-dateutil")])
def test_module_may_have_another_name_than_its_distribution(module: str, name: str) -> None:
    """``sklearn`` comes from scikit-learn."""
    assert distribution_of(module) == (name, importlib.metadata.version(name))


def test_unknown_name_is_searched_in_all_records(site: Path) -> None:
    """A module with any name is found by the files that its distribution brought."""
    install(site, "Big_Bundle", "3.1.post1", ("small_tool.py", "other/__init__.py", "fast.cpython-311.so"))
    expected = ("big-bundle", "3.1.post1")
    assert [distribution_of(module) for module in ("small_tool", "other", "fast")] == [expected] * 3
    assert distribution_of("small") is None


def test_same_name_is_not_enough(site: Path) -> None:
    """A distribution that is called like the module but does not bring it is not taken for its home."""
    install(site, "tricky", "1", ("something_else/__init__.py",))
    install(site, "tricky_home", "2", ("tricky/__init__.py",))
    assert distribution_of("tricky") == ("tricky-home", "2")


def test_namespace_has_the_versions_of_all(site: Path) -> None:
    """A namespace package changes when any of its distributions does."""
    install(site, "space_one", "1.0", ("space/one/__init__.py",))
    install(site, "space_two", "2.0", ("space/two/__init__.py",))
    assert distribution_of("space") == ("space-one+space-two", "1.0+2.0")


def test_editable_distribution_has_no_version_to_trust(site: Path) -> None:
    """Code under an editable installation changes while its version does not."""
    install(site, "loose", "1", ("loose.py",), direct_url='{"url": "file:///x", "dir_info": {"editable": true}}')
    install(site, "fixed", "1", ("fixed.py",), direct_url='{"url": "file:///x", "dir_info": {}}')
    assert distribution_of("loose") is None
    assert distribution_of("fixed") == ("fixed", "1")


def test_editable_distribution_without_its_files_in_the_record(site: Path) -> None:
    """An editable installation lists a link, not the modules: nothing is found, which means the same."""
    install(site, "linked", "1", ("_linked.pth",), direct_url='{"dir_info": {"editable": true}}')
    assert distribution_of("linked") is None


def test_first_folder_of_the_path_wins(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two installed versions the one that an import would find counts."""
    install(site, "twice", "1", ("twice.py",))
    install(tmp_path / "front", "twice", "2", ("twice.py",))
    assert distribution_of("twice") == ("twice", "1")
    monkeypatch.syspath_prepend(str(tmp_path / "front"))
    assert distribution_of("twice") == ("twice", "2")


def test_old_metadata_without_record(site: Path) -> None:
    """Packages of a Linux distribution have an ``egg-info`` file or folder and no record."""
    (site / "aged-0.9-py3.11.egg-info").write_text("Metadata-Version: 1.0\n")
    (site / "bundle-2.0.egg-info").mkdir()
    (site / "bundle-2.0.egg-info" / "top_level.txt").write_text("stale\nstuff\n")
    assert distribution_of("aged") == ("aged", "0.9")
    assert distribution_of("stale") == ("bundle", "2.0")


def test_path_may_name_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives and folders that do not exist are on many paths."""
    monkeypatch.setattr(sys, "path", ["", "/no/such/folder", __file__, *sys.path])
    assert distribution_of("no_such_module_anywhere") is None


def test_filiera_has_its_own_version() -> None:
    """Built-in steps stand under Filiera's version, installed or run from a checkout."""
    assert distribution_of("filiera") == ("filiera", filiera.__version__)


def test_the_lock_asks_for_what_is_there(site: Path) -> None:
    """Versions, or the address of what came from elsewhere; working copies are comments, torn notes count as none."""
    git = '{"url": "https://x/y", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'
    install(site, "Some_Tool", "1.0", ("some.py",))
    install(site, "from_git", "1.0", ("git.py",), direct_url=git)
    install(site, "from_file", "1.0", ("file.py",), direct_url='{"url": "file:///x/y.whl", "archive_info": {}}')
    install(site, "working", "1.0", ("_w.pth",), direct_url='{"url": "file:///w", "dir_info": {"editable": true}}')
    install(site, "nowhere", "1.0", ("_n.pth",), direct_url='{"dir_info": {"editable": true}}')
    install(site, "torn", "1.0", ("torn.py",), direct_url='{"url')
    assert versions_in([str(site)]) == [
        "# nowhere==1.0 is a working copy: ",
        "# working==1.0 is a working copy: file:///w",
        "from-file @ file:///x/y.whl",
        "from-git @ git+https://x/y@abc",
        "some-tool==1.0",
        "torn==1.0",
    ]
