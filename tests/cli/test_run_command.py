from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.command import done, filiera, make_project, read_until, started
from tests.cli.shapes import CODE


def test_run_shows_each_step_and_the_outcome(project: Path) -> None:
    """A line per step with its stage and how it ended, what it printed, and a last line that counts."""
    answer = done("run", "hello", cwd=project)
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["greet", "│", "greeting", "world"]
    assert lines[1][:3] == ["greet", "transform", "succeeded"]
    assert lines[2][:3] == ["count", "transform", "succeeded"]
    assert answer.out.endswith("hello-1 succeeded: 2 ran, 0 from cache\n")
    again = done("run", "hello", cwd=project).out
    assert again.count("same code, parameters and inputs as in hello-1") == 2
    assert again.endswith("hello-2 succeeded: 0 ran, 2 from cache\n")


def test_run_takes_the_pipelines_parameters(project: Path) -> None:
    """Options come from the typed signature; the changed one is the reason."""
    done("run", "hello", cwd=project)
    answer = done("run", "hello", "--loud", "yes", "--size=s", cwd=project)
    assert "hello-2 succeeded: 2 ran" in answer.out or "hello-2 succeeded: 1 ran, 1 from cache" in answer.out
    assert "parameter loud changed from false to true" in done("explain", cwd=project).out


def test_json_tells_the_whole_run(project: Path) -> None:
    """Scripts get one document and nothing else, with the documented fields."""
    data = done("run", "hello", "--json", cwd=project).data
    assert set(data) == {"run", "pipeline", "status", "message", "published", "is_new_version", "steps"}
    assert [step["step"] for step in data["steps"]] == ["greet", "count"]
    assert set(data["steps"][0]) == {"step", "stage", "parent", "status", "duration_s", "outputs", "detail", "error"}
    assert data["steps"][1]["outputs"] == [
        {"digest": data["steps"][1]["outputs"][0]["digest"], "codec": "json/1", "size_bytes": 2}
    ]


def test_json_of_a_failed_run_is_still_json(project: Path) -> None:
    """A failure changes the exit code and the fields, not the form."""
    answer = filiera("run", "broken", "--json", cwd=project)
    assert (answer.code, answer.data["status"]) == (1, "failed")
    assert [step["error"] for step in answer.data["steps"]] == [None, "cannot raise Hello, you!"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", ["ValueError: cannot raise Hello, you!", "flows/small.py", "in fail"]),
        ("exit", ["SystemExit", "sys.exit(3)"]),
        ("object", ["CodecError", "object cannot be stored", "Do:"]),
    ],
)
def test_a_failing_step_fails_the_run(how: str, words: list[str], project: Path) -> None:
    """An exception, the end of the process, and a value nobody can store are that step's failure: exit code 1."""
    answer = filiera("run", "broken", "--how", how, cwd=project)
    assert (answer.code, answer.err) == (1, "")
    for word in ("broken-1 failed: 1 ran, 0 from cache, 1 failed", "filiera resume broken-1", *words):
        assert word in answer.out
    assert "filiera/engine" not in answer.out  # our own frames say nothing to the user


def test_fresh_runs_a_cached_step(project: Path) -> None:
    """A step that is asked for runs; what depends on the same output is a hit. An unknown one is told."""
    done("run", "hello", cwd=project)
    assert "hello-2 succeeded: 1 ran, 1 from cache" in done("run", "hello", "--fresh", "greet", cwd=project).out
    filiera("run", "hello", "--fresh", "greet[1]", cwd=project).said(2, "no step 'greet[1]'", "runs once")
    filiera("run", "hello", "--fresh", "gret", cwd=project).said(2, "no step 'gret'", "Did you mean 'greet'?")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, ["needs the name of a pipeline", "filiera pipelines"]),
        (["run", "helo"], 2, ["no pipeline 'helo'", "Did you mean 'hello'?"]),
        (["run", "../hello"], 2, ["no pipeline '../hello'"]),
        (["run", "hello", "--nme", "x"], 2, ["no option '--nme'", "Did you mean '--name'?"]),
        (["run", "hello", "--loud", "maybe"], 2, ["--loud takes", "'maybe'"]),
        (["run", "hello", "--size", "xl"], 2, ["--size takes s|m, not 'xl'"]),
        (["run", "report"], 2, ["needs --title"]),
        (["run", "hello", "--profile", "lokal"], 2, ["no profile 'lokal'", "Did you mean 'local'?"]),
        (["plan", "helo"], 2, ["no pipeline 'helo'"]),
    ],
)
def test_what_cannot_be_planned_is_not_recorded(words: list[str], code: int, said: list[str], project: Path) -> None:
    """A wrong name or value ends before anything is written."""
    filiera(*words, cwd=project).said(code, *said)
    assert not (project / ".filiera" / "records.sqlite").exists()


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_help_of_a_pipeline(verb: str, project: Path) -> None:
    """With a pipeline, the help shows its docstring and parameters; nothing runs."""
    answer = done(verb, "hello", "--help", cwd=project)
    assert answer.out.startswith(f"usage: filiera {verb} hello [PARAMETERS] [OPTIONS]\n\nGreet somebody and count")
    assert "100 % typed." in answer.out and "--size s|m" in answer.out
    assert not (project / ".filiera").exists()


def test_ctrl_c_stops_the_run(project: Path) -> None:
    """The step under way is cancelled, the run recorded as such, and the exit code is 130."""
    os.mkfifo(project / "gate")
    with started("run", "waiting", cwd=project) as process:
        read_until(process.stdout, "│ waiting")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert "waiting-1 cancelled" in out and "filiera resume waiting-1" in out
    assert "cancelled" in done("runs", cwd=project).out
    assert "blobs        ok" in done("doctor", cwd=project).out


@pytest.mark.parametrize("executor", ["processes", "inline"])
def test_prints_stay_out_of_json(executor: str, project: Path) -> None:
    """What the project's modules and steps print goes to standard error, or to the log."""
    module = project / "flows" / "small.py"
    module.write_text(module.read_text() + '\nprint("imported")\n')
    toml = project / "filiera.toml"
    toml.write_text(toml.read_text() + f'executor = "{executor}"\n')
    assert done("plan", "hello", cwd=project).out.splitlines()[0] == "imported"
    for words in (["plan", "hello"], ["run", "hello"], ["doctor"]):
        answer = filiera(*words, "--json", cwd=project)
        assert (answer.code, answer.data is not None) == (0, True)
        assert "imported\n" in answer.err
    assert filiera("log", "hello-1", cwd=project).out.endswith("greeting world\n")


def test_fresh_takes_one_call_of_a_map(tmp_path: Path) -> None:
    """Only that one runs; one that the map does not make is told."""
    folder = make_project(tmp_path / "shapes", code=CODE)
    done("run", "mapped", cwd=folder)
    answer = filiera("run", "mapped", "--fresh", "double[1]", "--fresh", "double[9]", cwd=folder)
    assert (answer.code, answer.err) == (0, "--fresh double[9]: the run had no such step\n")
    states = {one["step"]: one["state"] for one in done("show", "mapped", "--json", cwd=folder).data["steps"]}
    assert [states[f"double[{i}]"] for i in range(3)] == ["hit", "succeeded", "hit"]
    done("run", "planned", cwd=folder)
    assert "planned-2 succeeded: 2 ran, 4 from cache" in done("run", "planned", "--fresh", "plan.total", cwd=folder).out
