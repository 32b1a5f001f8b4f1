from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from filiera.project.project import Project
from tests.cli.command import done, filiera, make_project
from tests.cli.conftest import Ask
from tests.cli.shapes import CODE
from tests.project.recorded import add_run, add_steps


def test_show_a_run(history: Path, ask: Ask) -> None:
    """What it was given, how it ended, and every step."""
    out = ask("show", "hello-3", cwd=history).out
    for line in ("run         hello-3", "state       succeeded", "parameters  name = Ada"):
        assert line in out.splitlines()
    assert 'parameter name changed from "world" to "Ada"' in out


def test_show_a_failed_run(history: Path, ask: Ask) -> None:
    """The failure is shown with the user's frames."""
    out = ask("show", "broken-1", cwd=history).out
    assert "step fail failed (raised)" in out
    assert out.rstrip().endswith("ValueError: cannot raise Hello, you!")


def test_a_run_of_many_steps_is_shown_in_part(project: Path, ask: Ask) -> None:
    """The first steps and what failed; JSON has all."""
    opened = Project.open(project)
    run = add_run(opened, "long")
    add_steps(opened, run, 700, state="failed", failing=650)
    opened.close()
    lines = ask("show", run, cwd=project).out.splitlines()
    assert lines[-4:] == [
        "… 200 more: filiera show long-1 --json, or filiera show long-1/STEP",
        "",
        "step s650 failed (raised)",
        "ValueError: no",
    ]
    assert len(lines) == 500 + 4 + 6
    assert len(ask("show", run, "--json", cwd=project).data["steps"]) == 700
    ask("show", f"{run}/s65O", cwd=project).said(2, "s98, s99, ….")


def test_json_of_a_run(history: Path, ask: Ask) -> None:
    """The fields of ``runs --json`` and the steps."""
    data = ask("show", "broken-1", "--json", cwd=history).data
    assert (data["run"], data["state"]) == ("broken-1", "failed")
    assert [step["state"] for step in data["steps"]][1] == "failed"
    assert data["steps"][1]["failure"]["error"] == "ValueError"
    assert data["steps"][0]["outputs"][0]["codec"] == "json/1"


def test_show_a_step(history: Path) -> None:
    """Its outputs are shown; those of a hit too."""
    assert done("show", "hello-1/greet", cwd=history).out.rstrip().endswith("Hello, world!")
    hit = done("show", "hello-2/greet", cwd=history).out
    assert "state  hit" in hit and "took" not in hit and hit.rstrip().endswith("Hello, world!")
    assert "ValueError: cannot raise" in done("show", "broken-1/fail", cwd=history).out
    assert done("show", "hello-1/count", "--json", cwd=history).data["step"] == "count"


def test_a_pipeline_means_its_newest_run(history: Path, ask: Ask) -> None:
    """So does ``latest``, of all pipelines."""
    assert "broken-1" in ask("show", "broken", cwd=history).out
    assert ask("show", "latest", cwd=history).code == 0


def test_a_report_is_written_to_a_file(history: Path, tmp_path: Path) -> None:
    """Pages are for browsers: the text as it is."""
    answer = done("show", "report/page", "--open", tmp_path / "page.html", cwd=history)
    assert answer.out == f"wrote {tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").read_text() == "<h1>Flows</h1>"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hello-99"], ["no run 'hello-99'", "filiera runs"]),
        (["../hello-1"], ["no run '..'"]),
        (["hello-1/gret"], ["no record of a step 'gret'", "Did you mean 'greet'?"]),
        (["hello-1", "--open", "f"], ["one step", "filiera show hello-1/STEP --open f"]),
        (["broken-1/fail", "--open", "f"], ["no output to write"]),
        (["hello-1/greet", "--open", "/no/where"], ["/no/where cannot be written"]),
        (["nothing@1"], ["no dataset, model or service 'nothing'"]),
        (["hello@x y"], ["cannot name a version"]),
    ],
)
def test_what_is_not_there_is_told(words: list[str], said: list[str], history: Path) -> None:
    """The message lists what there is."""
    filiera("show", *words, cwd=history).said(2, *said)


def test_a_run_outlives_its_pipeline(tmp_path: Path) -> None:
    """What was recorded can be looked at when the code is gone."""
    folder = make_project(tmp_path / "small")
    done("run", "hello", cwd=folder)
    (folder / "flows" / "small.py").unlink()
    assert "Hello, world!" in done("show", "hello-1/greet", cwd=folder).out
    assert "greet" in done("explain", "hello-1", cwd=folder).out


def test_parameters_are_shown_as_values(tmp_path: Path) -> None:
    """Dates and sets as people write them, and in JSON as text."""
    code = """
import datetime as dt
from filiera import pipeline, step


@step
def year(day: dt.date) -> int:
    return day.year


@pipeline(kind="data")
def years(day: dt.date = dt.date(2020, 1, 1)):
    year(day)
"""
    folder = make_project(tmp_path / "small", code=code)
    done("run", "years", "--day", "2021-02-03", cwd=folder)
    assert "parameters  day = 2021-02-03" in done("show", "years", cwd=folder).out
    assert done("show", "years", "--json", cwd=folder).data["parameters"] == {"day": "2021-02-03"}


def test_the_commit_is_part_of_a_run(tmp_path: Path) -> None:
    """None outside a repository; before the first commit it is said that there is none yet."""
    folder = make_project(tmp_path / "small")
    env = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    assert filiera("run", "hello", cwd=folder, env=env).code == 0
    assert "commit" not in done("show", "hello", cwd=folder).out
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    assert filiera("run", "hello", cwd=folder, env=env).code == 0
    shown = [" ".join(line.split()) for line in done("show", "hello", cwd=folder).out.splitlines()]
    assert "commit none yet with uncommitted changes" in shown


def test_what_a_step_became_is_shown_by_its_counts(tmp_path: Path) -> None:
    """Few are listed below it, many are a line; what failed comes first when the step itself is shown."""
    folder = make_project(tmp_path / "shapes", code=CODE)
    assert filiera("run", "mapped", "--count", "60", "--bad", "57", cwd=folder).code == 1
    done("run", "mapped", cwd=folder)
    out = done("show", "mapped-1", cwd=folder).out
    assert re.search(r"^  60 steps  +59 ran, 0 from cache, 1 failed$", out, re.MULTILINE)
    assert "one of many: filiera show 'mapped-1/double[0]'" in out
    assert "step double[57] failed (raised)" in out
    few = done("show", "mapped-2", cwd=folder).out
    assert re.search(r"^  double\[2\]  transform  succeeded", few, re.MULTILINE)
    step = done("show", "mapped-1/double", cwd=folder).out
    assert "it became 60 steps: 59 ran, 0 from cache, 1 failed" in step
    listed = step.partition("STEP ")[2].splitlines()
    assert listed[1].startswith("double[57]  transform  failed")
    assert listed[-1] == "… 10 more, up to: filiera show 'mapped-1/double[59]'"
    assert done("show", "mapped-2/double[2]", cwd=folder).out.rstrip().endswith("4")
    data = done("show", "mapped-1", "--json", cwd=folder).data["steps"]
    assert [step["parent"] for step in data].count("double") == 60


def test_a_caught_failure_is_shown(tmp_path: Path) -> None:
    """With its traceback, though the run succeeded; a skipped step says why."""
    folder = make_project(tmp_path / "shapes", code=CODE)
    done("run", "branched", cwd=folder)
    out = done("show", "branched", cwd=folder).out
    assert "step caught failed, caught (raised)" in out and "ValueError: never works" in out
    assert re.search(r"^double +transform +skipped +is_large returned False$", out, re.MULTILINE)
