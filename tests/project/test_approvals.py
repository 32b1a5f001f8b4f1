"""Answers of people to what steps ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import UsageError, Waiting
from filiera.project import audit, launch
from filiera.project.approvals import answer, get_question, questions, refused
from filiera.project.runs import get_run
from tests.cli.shapes import CODE
from tests.projects import SmallProject


@pytest.fixture
def small(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {"flows/__init__.py": "", "flows/small.py": CODE + LOOP})


LOOP = '''

@step(dynamic=True)
def ask_later(x: int) -> int:
    return mae(approve(table(x), "Later?"))


@pipeline(kind="data")
def deep(x: int = 1):
    """Ask in a graph that is made while it runs."""
    return ask_later(x)
'''


def test_what_waits_is_found_with_its_value(small: SmallProject) -> None:
    """In order, with question and value; answered ones are gone once the run has gone on."""
    run_id = small.run("asking_twice").run_id
    with small.opened() as project:
        found = questions(project, get_run(project, run_id))
        assert [(one.step, one.text, project.value(one.artifact)["mae"]) for one in found] == [
            ("approve", "Good?", 4),
            ("approve-2", "Better?", 5),
        ]
        with pytest.raises(Waiting, match="is waiting") as raised:
            launch.start(project, "asking_twice", {}).require_success()
        assert raised.value.exit_code == 9
        answer(project, found[1], is_approved=True)
        assert launch.resume(project, run_id).status == "waiting"
        assert [one.step for one in questions(project, get_run(project, run_id))] == ["approve"]


def test_an_answer_is_in_the_audit(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who said what to which value of which run, and why: in the transaction that records the answer."""
    monkeypatch.setenv(audit.ACTOR_VARIABLE, "ada@lab")
    run_id = small.run("asking").run_id
    with small.opened() as project:
        question = get_question(project, get_run(project, run_id))
        answer(project, question, is_approved=False, why="no \udcff")
        row = audit.find(project.records, action="refuse")[0]
        assert (row.actor, row.subject) == ("ada@lab", run_id)
        assert row.detail == {
            "step": "approve",
            "question": "Publish these numbers?",
            "value": question.artifact.identity,
            "why": "no \\udcff",
        }
        assert audit.verify(project.records).fault == ""


def test_a_refusal_can_be_taken_back(small: SmallProject) -> None:
    """Also in a run that never asked, because the answer was known."""
    with small.opened() as project:
        first = launch.start(project, "asking", {}).run_id
        answer(project, get_question(project, get_run(project, first)), is_approved=False, why="hm")
        second = launch.start(project, "asking", {})
        assert second.status == "rejected"
        row = get_run(project, second.run_id)
        (found,) = refused(project, row)
        assert (found.step, found.text, found.refusal.endswith(": hm")) == ("approve", "", True)
        answer(project, get_question(project, row), is_approved=True)
        assert launch.resume(project, second.run_id).status == "succeeded"
        with pytest.raises(UsageError, match=f"Nothing in {second.run_id} waits"):
            get_question(project, get_run(project, second.run_id))


def test_a_step_that_was_made_while_it_ran_asks_too(small: SmallProject) -> None:
    """Its question is found under its whole name, and the graph is the same after the answer."""
    with small.opened() as project:
        run = launch.start(project, "deep", {})
        assert run.status == "waiting"
        question = get_question(project, get_run(project, run.run_id), "ask_later.approve")
        answer(project, question, is_approved=True)
        assert launch.resume(project, run.run_id).value("ask_later") == 1
