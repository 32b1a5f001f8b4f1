from __future__ import annotations

from pathlib import Path

import pytest

from filiera.cli.places import find_model, find_run, find_step
from filiera.errors import UsageError
from filiera.project.project import Project


def test_runs_are_found_by_name_pipeline_or_age(history: Path) -> None:
    """A run's own name, a pipeline's newest, the newest of all; each perhaps with a step."""
    project = Project.open(history)
    assert [find_run(project, text)[0]["run_id"] for text in ("hello-1", "broken")] == ["hello-1", "broken-1"]
    newest, step = find_run(project, "latest/greet")
    assert step == "greet"
    assert newest["started_at"] >= find_run(project, "report-1")[0]["started_at"]
    assert find_run(project, "hello-2/")[1] == ""


def test_steps_are_found_in_their_run(history: Path) -> None:
    """An unknown step is told with those there are."""
    project = Project.open(history)
    run, _ = find_run(project, "broken-1")
    assert find_step(project, run, "fail")["state"] == "failed"
    with pytest.raises(UsageError, match="no record of a step 'x'"):
        find_step(project, run, "x")


def test_a_model_without_version_is_its_champion(shop: Path) -> None:
    """As in ``filiera serve spender``."""
    project = Project.open(shop)
    assert find_model(project, "spender").ref == find_model(project, "spender@1").ref == "spender@1"
    with pytest.raises(UsageError, match="no model orders"):
        find_model(project, "orders@1")
