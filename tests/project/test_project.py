from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import BlobMissing, ProjectError, SourceError, UsageError
from filiera.project.project import Project
from tests.cli.command import make_project
from tests.projects import SmallProject

FILES = {
    "flows/__init__.py": "",
    "flows/small.py": """
        from filiera import Dataset, Source, pipeline, step

        @step
        def double(number: int) -> int:
            return 2 * number

        @pipeline(kind="data")
        def doubled(number: int = 1):
            return double(number)

        @pipeline(kind="data")
        def sourced(raw: object = Source("orders")):
            return double(raw)

        @pipeline(kind="data")
        def consuming(rows: object = Dataset("orders")):
            return double(rows)
        """,
}


def test_a_project_is_opened_from_inside(tmp_path: Path) -> None:
    """The nearest folder upwards that is one; outside of any it is told."""
    folder = make_project(tmp_path / "small")
    assert Project.open(folder / "flows").config.root == folder
    with pytest.raises(ProjectError):
        Project.open(tmp_path)


def test_opening_writes_nothing(tmp_path: Path) -> None:
    """A plan of a project that never ran leaves no store behind it."""
    small = SmallProject(tmp_path, FILES)
    with small.opened() as project:
        assert [decision.status for decision in project.plan("doubled", {})] == ["run"]
        project.close()


def test_a_plan_names_unknown_words(tmp_path: Path) -> None:
    """Pipeline, parameter, step, source, version: each is told with what there is."""
    small = SmallProject(tmp_path, FILES)
    with small.opened() as project:
        with pytest.raises(UsageError, match="no pipeline 'duobled'"):
            project.plan("duobled", {})
        with pytest.raises(UsageError, match="no parameter 'x'"):
            project.plan("doubled", {"x": 1})
        with pytest.raises(UsageError, match="no step 'duoble'") as error:
            project.plan("doubled", {}, fresh=frozenset({"duoble"}))
        assert "Did you mean 'double'?" in error.value.why
        with pytest.raises(SourceError, match="no source 'orders'"):
            project.plan("sourced", {})
        with pytest.raises(UsageError, match="no dataset orders@latest"):
            project.plan("consuming", {})


def test_values_come_back(tmp_path: Path) -> None:
    """What was put is what that reference gives, for large values from the blobs; missing bytes are told."""
    small = SmallProject(tmp_path, FILES)
    with small.opened() as project:
        small_ref, large_ref = project.artifacts.put({"a": 1}), project.artifacts.put("x" * 10_000)
        assert (project.value(small_ref), project.value(large_ref)) == ({"a": 1}, "x" * 10_000)
        project.blobs.delete(large_ref.digest)
        with pytest.raises(BlobMissing):
            project.value(large_ref)


def test_settling_reaches_all_that_an_artifact_is_made_of(tmp_path: Path) -> None:
    """The files of a folder and the items of a list are blobs of their own; a small value is none."""
    small = SmallProject(tmp_path, FILES)
    (tmp_path / "file").write_bytes(b"file" * 5000)
    with small.opened() as project:
        refs = [project.artifacts.put(value) for value in ([tmp_path / "file", b"x" * 5000], 7)]
        project.settle(refs)
        modes = {file.stat().st_mode & 0o777 for file in (project.store / "blobs").glob("??/*")}
        assert (modes, len(list(project.blobs.blobs()))) == ({0o444}, 2)
        project.close()
