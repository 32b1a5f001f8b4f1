"""Profiles of stored tables are made when somebody asks, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from filiera.core.products import ProductRef
from filiera.engine.rows import read_refs
from filiera.errors import StoreError
from filiera.project.profiles import profile_key, profile_of
from filiera.project.project import Project
from filiera.project.tables import find_table
from filiera.project.upkeep.garbage import collect
from filiera.project.upkeep.retention import DAY_S, Retention
from tests.projects import SmallProject

pl = pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def squares(rows: int) -> pl.LazyFrame:
        return pl.LazyFrame({"n": range(rows)}).with_columns(square=pl.col("n") ** 2)

    @pipeline(kind="data", publishes=Dataset("squares"))
    def publish_squares(rows: int = 9):
        return squares(rows)
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[object]]:
    """Note each table of which a profile is made."""
    from filiera.data import explore

    tables: list[object] = []
    real = explore.explore

    def noting(frame: object, **options: object) -> object:
        tables.append(frame)
        return real(frame, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "explore", noting)
        yield tables


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a project with two versions of a dataset."""
    small = SmallProject(tmp_path / "small", {"flows.py": FLOWS})
    small.run("publish_squares")
    small.run("publish_squares", rows=5)
    opened = Project.open(tmp_path / "small")
    yield opened
    opened.close()


def look(project: Project, name: str) -> tuple[str, int]:
    profile = profile_of(project, find_table(project, name))
    assert profile.columns[1].maximum == (profile.rows - 1) ** 2
    return profile.title, profile.rows


def test_a_profile_is_made_once(project: Project, made: list[object]) -> None:
    """Whoever asks first has it made; the next one, for the same table under another name too, does not wait."""
    assert made == []
    assert look(project, "squares@1") == ("squares@1", 9)
    assert look(project, "squares@1") == ("squares@1", 9)
    assert look(project, "publish_squares-1/squares") == ("publish_squares-1/squares", 9)
    assert len(made) == 1
    assert look(project, "squares") == ("squares@2", 5)
    assert len(made) == 2


def test_a_file_is_looked_at_each_time(project: Project, made: list[object], tmp_path: Path) -> None:
    """Nothing says whether it changed but its content."""
    file = tmp_path / "t.parquet"
    for rows in (3, 4):
        pl.DataFrame({"n": range(rows), "square": [n * n for n in range(rows)]}).write_parquet(file)
        assert look(project, str(file)) == (str(file), rows)
    assert len(made) == 2


def test_clean_up_keeps_profiles_of_versions(project: Project, made: list[object]) -> None:
    """As long as there is a version with the table."""
    look(project, "squares@1")
    later = project.clock() + 400 * DAY_S
    project.clock = lambda: later
    retention = Retention(keep_days=0, keep_runs=0)
    collect(project, retention, dry_run=False, tell=lambda _: None)
    look(project, "squares@1")
    assert len(made) == 1
    artifact = project.versions.get("dataset", ProductRef("squares", "1")).artifact
    project.records.write([("drop_version", {"kind": "dataset", "name": "squares", "number": 1})])
    collect(project, retention, dry_run=False, tell=lambda _: None)
    assert project.records.read("try_cache_entry", {"key": profile_key(artifact)}) == []


def test_a_lost_profile_is_made_again(project: Project, made: list[object]) -> None:
    """It follows from the table, which is what counts."""
    look(project, "squares@1")
    artifact = project.versions.get("dataset", ProductRef("squares", "1")).artifact
    key = profile_key(artifact)
    [row] = project.records.read("try_cache_entry", {"key": key})
    [ref] = read_refs(row["outputs"])
    lost = f"{'0' * 64} {ref.codec} 999999"
    made_by = {"run_id": "", "step": "profile", "blocked": "", "stored_at": project.clock()}
    project.records.write([("put_cache_entry", {**made_by, "key": key, "outputs": lost})])
    assert look(project, "squares@1") == ("squares@1", 9)
    assert look(project, "squares@1") == ("squares@1", 9)
    assert len(made) == 2


def test_what_cannot_be_remembered_is_shown(
    project: Project, made: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store that may be read only, a profile is made each time."""

    def refuse(statements: object, **options: object) -> None:
        raise StoreError("The records may only be read.")

    monkeypatch.setattr(project.records, "write", refuse)
    assert look(project, "squares@1") == look(project, "squares@1") == ("squares@1", 9)
    assert len(made) == 2
