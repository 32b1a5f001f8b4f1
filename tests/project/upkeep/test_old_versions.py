"""Of each dataset the newest versions stay, and of the others those that somebody needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.cli.main import main
from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project.upkeep.old_versions import old_versions
from tests.projects import SmallProject

pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def rows(n: int) -> pl.DataFrame:
        return pl.DataFrame({"id": range(n)})


    @step
    def more(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(x=1)


    @pipeline(kind="data", publishes=Dataset("raw"))
    def raw(n: int = 1):
        return rows(n)


    @pipeline(kind="data", publishes=Dataset("derived"))
    def derived(table: pl.DataFrame = Dataset("raw@latest")):
        return more(table)
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """Return a project with raw@1 to raw@5; derived@1 is made from raw@2, and raw@3 has an alias."""
    project = SmallProject(tmp_path, {"flows.py": FLOWS})
    for n in range(1, 6):
        project.run("raw", n=n).require_success()
        if n == 2:
            project.run("derived").require_success()
    with project.opened() as opened:
        opened.versions.promote(ProductRef("raw", "3"), "audited", reason="", at=0.0)
    return project


def test_what_is_needed_stays(project: SmallProject) -> None:
    """The newest, what an alias means, and what a version that stays was made from."""
    with project.opened() as opened:
        assert [version.ref for version in old_versions(opened, 1)] == ["raw@1", "raw@4"]
        assert [version.ref for version in old_versions(opened, 2)] == ["raw@1"]
        assert old_versions(opened, 5) == []
        with pytest.raises(UsageError, match="1 or more, not 0"):
            old_versions(opened, 0)


def test_what_goes_takes_its_sources_along(project: SmallProject) -> None:
    """When the version that was made from it is old too, neither stays."""
    project.run("derived").require_success()
    with project.opened() as opened:
        assert [version.ref for version in old_versions(opened, 1)] == ["raw@1", "raw@2", "derived@1", "raw@4"]


def test_clean_up_forgets_them(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A look names them, and changes nothing; then they are gone."""
    monkeypatch.chdir(project.root)
    assert main(["gc", "--keep-versions", "1", "--dry-run"]) == 0
    assert "would forget raw@1, raw@4" in capsys.readouterr().out
    assert main(["gc", "--keep-versions", "1"]) == 0
    assert "forgot raw@1, raw@4" in capsys.readouterr().out
    with project.opened() as opened:
        numbers = [version.number for version in opened.versions.find(kind="dataset", name="raw")]
        assert (numbers, old_versions(opened, 1)) == ([5, 3, 2], [])
