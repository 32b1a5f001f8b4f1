"""Lists of runs: whatever is asked for, all pages together are what a look at every run would find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.project import listing
from filiera.project.identity import me
from filiera.project.listing import NEWEST, Wanted, find_runs, place_of
from filiera.project.project import Project
from tests.project.recorded import add_run

STATES = ("running", "succeeded", "failed", "interrupted")


def every(project: Project, wanted: Wanted, *, limit: int) -> list[str]:
    """Return the runs of all pages, one after the other."""
    found, before = [], NEWEST
    while True:
        page = find_runs(project, wanted, before=before, limit=limit)
        found += [row["run_id"] for row in page.rows]
        if page.older is None:
            return found
        before = page.older


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return an empty project with an empty store."""
    (tmp_path / "filiera.toml").write_text('[project]\nname = "small"\n')
    opened = Project.open(tmp_path)
    yield opened
    opened.close()


names = st.sampled_from(["train", "retrain", "Train_2", "flows", "a_b", "axb", "clean"])
kept = st.lists(st.tuples(names, st.integers(0, 3), st.sampled_from(STATES)), max_size=25)
texts = st.sampled_from(["", "train", "TRAIN", "in", "_", "%", "a_b", "!", "-", "train-", "rain-2", "n-1", "n-x"])


@settings(max_examples=40, deadline=None)
@given(
    runs=kept,
    text=texts,
    pipeline=st.one_of(st.just(""), names),
    state=st.sampled_from(["", *STATES]),
    limit=st.integers(1, 4),
    within=st.integers(1, 5),
)
def test_pages_have_each_fitting_run_once_and_the_newest_first(
    runs: list[tuple[str, int, str]],
    text: str,
    pipeline: str,
    state: str,
    limit: int,
    within: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By pipeline or by a part of its name, by state, in pages of any length, with runs that began together."""
    root = tmp_path_factory.mktemp("project")
    (root / "filiera.toml").write_text('[project]\nname = "small"\n')
    project = Project.open(root)
    rows = [{"run_id": add_run(project, name, at=float(at), state=is_), "pipeline": name, "started_at": float(at),
             "state": "interrupted" if is_ == "running" else is_} for name, at, is_ in runs]  # fmt: skip
    wanted = Wanted(pipeline="" if text else pipeline, state=state, search=text)
    expected = [row for row in rows if _fits(row, wanted)]
    expected.sort(key=place_of, reverse=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_WITHIN", within)
        assert every(project, wanted, limit=limit) == [row["run_id"] for row in expected]
    project.close()


def _fits(row: dict[str, Any], wanted: Wanted) -> bool:
    text, name = wanted.search.lower(), row["pipeline"].lower()
    if text.endswith("-"):
        is_like = name.endswith(text[:-1])
    else:
        is_like = row["run_id"].lower().endswith(text) if "-" in text else text in name
    return is_like and wanted.pipeline in ("", row["pipeline"]) and wanted.state in ("", row["state"])


def test_a_run_whose_driver_lives_is_not_interrupted(project: Project) -> None:
    """It is listed among those that run, and one whose driver died among the interrupted."""
    living, dead = add_run(project, "a", state="running", driver=me()), add_run(project, "b", state="running")
    for state, expected in (("running", [living]), ("interrupted", [dead]), ("", [dead, living])):
        assert every(project, Wanted(state=state), limit=1) == expected


def test_the_last_page_is_told(project: Project) -> None:
    """There is no place to go on from after a page that was not filled."""
    add_run(project, "a")
    assert find_runs(project, Wanted(), limit=2).older is None
    assert find_runs(project, Wanted(), limit=1).older == (1.0, "a-1")
