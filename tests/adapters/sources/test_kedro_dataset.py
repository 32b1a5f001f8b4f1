"""Datasets of Kedro as sources, with the real classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.sources.kedro_dataset import KedroSource
from filiera.core.collected import Collected
from filiera.errors import ProjectError, SourceError

ENTRY = {"type": "kedro", "class": "pandas.CSVDataset", "filepath": "${FOLDER}/t.csv", "load_args": {"sep": ";"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("kedro_datasets")
    monkeypatch.setenv("FOLDER", "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/t.csv").write_text("a;b\n1;x\n")
    return tmp_path


def read(entry: dict[str, Any], root: Path) -> tuple[Any, Collected]:
    KedroSource().check(entry)
    collected = Collected(entry=entry)
    return KedroSource().read(entry, root, collected), collected


def test_a_class_loads_what_kedro_would(project: Path) -> None:
    """Options are those of the class; paths are relative to the project, and recorded with sizes."""
    frame, collected = read(ENTRY, project)
    assert frame.to_dict("list") == {"a": [1], "b": ["x"]}
    assert (collected.place, collected.files, collected.size_bytes) == (str(project / "data/t.csv"), 1, 8)


def test_the_fingerprint_of_a_file_is_its_content(project: Path) -> None:
    """A changed file is another source, an unchanged one is not."""
    before = KedroSource().fingerprint(ENTRY, project)
    assert KedroSource().fingerprint(ENTRY, project) == before
    (project / "data/t.csv").write_text("a;b\n2;x\n")
    assert KedroSource().fingerprint(ENTRY, project) != before


def test_what_is_no_file_is_collected_each_time(project: Path) -> None:
    """Nothing is known of a database before it is asked."""
    entry = {"type": "kedro", "class": "pandas.SQLQueryDataset", "sql": "SELECT 1"}
    assert KedroSource().fingerprint(entry, project) != KedroSource().fingerprint(entry, project)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class": "pandas.CSVDatset"}, "CSVDatset"),
        ({"filepth": "x"}, "filepth"),
        ({"load_args": {"colour": 1}}, "colour"),
        ({"filepath": "none.csv"}, "There is no"),
    ],
)
def test_what_kedro_refuses_is_one_clear_error(project: Path, change: dict[str, Any], said: str) -> None:
    """A class, option or file that is not there is told in a few lines."""
    with pytest.raises(SourceError, match=said) as caught:
        read({**ENTRY, **change}, project)
    assert caught.value.do


def test_credentials_are_references(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that stands in the catalog is refused; one of the environment is never told."""
    with pytest.raises(ProjectError, match="no reference"):
        KedroSource().check({**ENTRY, "credentials": {"key": "secret"}})
    monkeypatch.setenv("SHOP_KEY", "very-secret")
    entry = {**ENTRY, "credentials": {"very": "${SHOP_KEY}"}, "load_args": {"colour-${SHOP_KEY}": "${SHOP_KEY}"}}
    with pytest.raises(SourceError) as caught:
        read(entry, project)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("entry", [{"type": "kedro"}, {"type": "kedro", "class": 3}])
def test_a_class_is_needed(entry: dict[str, Any]) -> None:
    """An entry without a class names nothing."""
    with pytest.raises(ProjectError, match="class"):
        KedroSource().check(entry)
