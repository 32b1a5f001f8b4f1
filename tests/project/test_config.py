from __future__ import annotations

import os
from pathlib import Path

import pytest

from filiera.errors import FilieraError, ProjectError, SourceError, UsageError
from filiera.project.config import find_root, load

WHOLE = """\
[project]
name = "shop"
flows = ["flows", "more.steps"]
profile = "team"

[catalog.orders]
type = "csv"
path = "orders.csv"

[profile.local]
[profile.team]
store = "../shared"
executor = "inline"
workers = 3
"""


@pytest.fixture(autouse=True)
def _no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILIERA_PROFILE", raising=False)


def write(folder: Path, text: str | bytes) -> Path:
    """Write ``filiera.toml`` and return its folder."""
    (folder / "filiera.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refused(folder: Path, text: str | bytes) -> FilieraError:
    """Return the error that a configuration gives; every message names the file."""
    with pytest.raises(FilieraError) as error:
        load(write(folder, text))
    assert str(folder / "filiera.toml") in str(error.value)
    return error.value


def test_all_that_can_be_said(tmp_path: Path) -> None:
    """Name, packages, sources, and the profile that the file prefers; paths start at the project."""
    config = load(write(tmp_path, WHOLE))
    assert (config.root, config.name, config.flows) == (tmp_path, "shop", ("flows", "more.steps"))
    assert (config.profile.name, config.profile.executor, config.profile.workers) == ("team", "inline", 3)
    assert config.profile.store == tmp_path / "../shared"
    assert config.entry("orders") == {"type": "csv", "path": "orders.csv"}


def test_an_empty_file_is_a_project(tmp_path: Path) -> None:
    """Everything has a default; the name is the folder's."""
    folder = tmp_path / "small"
    folder.mkdir()
    config = load(write(folder, ""))
    assert (config.name, config.flows, config.catalog) == ("small", ("flows",), {})
    assert (config.profile.name, config.profile.store) == ("local", folder / ".filiera")
    assert (config.profile.executor, config.profile.workers) == ("processes", 0)


def test_which_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for counts, then the environment, then the file; an unknown one is told with the closest."""
    write(tmp_path, WHOLE)
    assert load(tmp_path, "local").profile.name == "local"
    monkeypatch.setenv("FILIERA_PROFILE", "local")
    assert load(tmp_path).profile.name == "local"
    assert load(tmp_path, "team").profile.name == "team"
    monkeypatch.setenv("FILIERA_PROFILE", "taem")
    with pytest.raises(UsageError, match="no profile 'taem'") as error:
        load(tmp_path)
    assert error.value.why == "It has: local, team. Did you mean 'team'?"


def test_a_store_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path stays, and ~ is the home folder."""
    monkeypatch.setenv("HOME", "/home/ada")
    assert load(write(tmp_path, '[profile.local]\nstore = "~/s"')).profile.store == Path("/home/ada/s")
    assert load(write(tmp_path, '[profile.local]\nstore = "/srv/s"')).profile.store == Path("/srv/s")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "not valid TOML"),
        ('name = "x', "not valid TOML"),
        ("a = 1\na = 2", "not valid TOML"),
        (b"name = '\xff'", "not UTF-8"),
        ("[projcet]", "Did you mean 'project'?"),
        ('[project]\nflow = ["a"]', "Did you mean 'flows'?"),
        ("project = 3", "'project' in"),
        ("[project]\nname = true", "name in [project]"),
        ('[project]\nname = ""', "cannot name a project"),
        ('[project]\nname = "a/b"', "'a/b' cannot name a project"),
        ('[project]\nflows = "flows"', "flows in [project]"),
        ("[project]\nflows = []", "flows in [project]"),
        ('[project]\nflows = ["../x"]', "dotted names"),
        ('[project]\nflows = ["a.", 3]', "dotted names"),
        ("[project]\nprofile = 3", "profile in [project]"),
        ("catalog = 3", "'catalog' in"),
        ("[catalog]\norders = 3", "[catalog.orders]"),
        ("[catalog.orders]\npath = 'x'", "has no type"),
        ("[catalog.orders]\ntype = 3", "has no type"),
        ("[profile]\nlocal = 3", "[profile.local]"),
        ("[profile.local]\nstor = 'x'", "Did you mean 'store'?"),
        ("[profile.local]\nstore = 3", "store in [profile.local]"),
        ("[profile.local]\nstore = ''", "store in [profile.local]"),
        ('[profile.local]\nstore = "a\\u0000"', "store in [profile.local]"),
        ("[profile.local]\nstore = '~nobody-of-that-name/x'", "store in [profile.local]"),
        ("[profile.local]\nexecutor = 'ray'", "processes, inline"),
        ("[profile.local]\nworkers = -1", "from 0 to 1024"),
        ("[profile.local]\nworkers = true", "from 0 to 1024"),
        ("[profile.local]\nworkers = 1.5", "from 0 to 1024"),
    ],
)
def test_what_means_nothing_is_told(text: str | bytes, said: str, tmp_path: Path) -> None:
    """Broken TOML, an unknown word, and a value of the wrong type are errors of the project, with the place."""
    error = refused(tmp_path, text)
    assert isinstance(error, ProjectError)
    assert said in str(error)


def test_a_folder_whose_name_is_no_name(tmp_path: Path) -> None:
    """A project in such a folder says its name in the file."""
    folder = tmp_path / "my project"
    folder.mkdir()
    assert "'my project' cannot name a project" in str(refused(folder, ""))
    assert load(write(folder, '[project]\nname = "mine"')).name == "mine"


def test_an_unknown_source_is_told_with_the_closest(tmp_path: Path) -> None:
    """The advice is the table to add."""
    with pytest.raises(SourceError, match="no source 'order'") as error:
        load(write(tmp_path, WHOLE)).entry("order")
    assert error.value.why == "It has: orders. Did you mean 'orders'?"
    assert error.value.do.startswith("Add [catalog.order] with type and path")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder of that name is no file; a missing one is told with how to make it."""
    with pytest.raises(ProjectError, match="There is no"):
        load(tmp_path)
    (tmp_path / "filiera.toml").mkdir()
    with pytest.raises(ProjectError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_the_nearest_folder_upwards_is_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From inside a project, and from the current folder."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    write(tmp_path / "outer", "")
    assert find_root(inner) == tmp_path / "outer"
    write(inner, "")
    monkeypatch.chdir(inner)
    assert find_root() == inner


def test_no_project_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of any; and where the current folder is gone."""
    with pytest.raises(ProjectError, match=r"No filiera\.toml in"):
        find_root(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ProjectError, match="cannot be looked into"):
        find_root()
    os.chdir(tmp_path)


KEY = f"ed25519:{'A' * 43}="


def test_rules_of_signing(tmp_path: Path) -> None:
    """A key is trusted with or without a name; its file may lie anywhere."""
    text = (
        f'[signing]\nkey = "../key.pem"\ntrusted = ["{KEY}", "{KEY.replace("A", "B")} Ada Lovelace"]\nrequire = true\n'
    )
    rules = load(write(tmp_path, text)).signing
    assert dict(rules.trusted) == {KEY: "", KEY.replace("A", "B"): "Ada Lovelace"}
    assert (rules.key, rules.sign, rules.require) == (tmp_path / "../key.pem", "on-request", True)
    assert not load(write(tmp_path, "")).signing.are_set


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("signs = true", "Did you mean 'sign'?"),
        ("sign = true", "must be one of on-request, always"),
        ('require = "yes"', "require in [signing]"),
        ("require = true", "trusts nobody"),
        ("key = 3", "must be the path of a private key's file"),
        ('trusted = "all"', "lists public keys"),
        ('trusted = ["ed25519:AAAA"]', "lists public keys"),
        (f'trusted = ["{KEY}Ada"]', "lists public keys"),
    ],
)
def test_wrong_rules_of_signing(tmp_path: Path, lines: str, words: str) -> None:
    """What would let unsigned versions through unnoticed is refused."""
    assert words in str(refused(tmp_path, f"[signing]\n{lines}\n"))
