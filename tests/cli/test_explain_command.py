from __future__ import annotations

import platform
from pathlib import Path

import pytest

from filiera.project.project import Project
from tests.cli.command import done, filiera, make_project
from tests.cli.conftest import Ask
from tests.cli.shapes import CODE


def test_every_step_has_a_reason(history: Path, ask: Ask) -> None:
    """Why it ran, or why it did not."""
    out = ask("explain", "hello-2", cwd=history).out.splitlines()
    assert out[0] == "hello-2:"
    assert out[1].split() == ["STEP", "STAGE", "STATE", "WHY"]
    assert all(line.endswith("same code, parameters and inputs as in hello-1") for line in out[2:])
    data = ask("explain", "hello-3", "--json", cwd=history).data
    assert data[0]["reason"] == 'parameter name changed from "world" to "Ada"'
    assert data[1]["reason"] == "input from greet changed"


def test_a_step_shows_the_parts_of_its_key(history: Path, ask: Ask) -> None:
    """Parameters, inputs, code and versions: all that its result may depend on."""
    out = [" ".join(line.split()) for line in ask("explain", "hello-3/greet", cwd=history).out.splitlines()]
    assert 'parameter name "Ada"' in out
    for start in ("constant flows.small:GREETING", "function flows.small:greet", "python cpython"):
        assert any(line.startswith(start) for line in out)
    counted = [" ".join(line.split()) for line in ask("explain", "hello-1/count", cwd=history).out.splitlines()]
    assert any(line.startswith("input text = greet json/1:") for line in counted)
    data = ask("explain", "hello-3/count", "--json", cwd=history).data
    assert data["inputs"][0]["from"] == "greet"
    assert {"kind", "name", "digest"} == set(data["code"][0])
    assert len(data["key"]) == 64


def test_a_changed_constant_is_named(project: Path) -> None:
    """Exactly the step that uses it runs; what depends on an equal output is a hit; the old value is a hit again."""
    module = project / "flows" / "small.py"
    text = module.read_text()
    done("run", "hello", cwd=project)
    module.write_text(text.replace('GREETING = "Hello"', 'GREETING = "Good morning"'))
    done("run", "hello", cwd=project)
    reasons = [step["reason"] for step in done("explain", "--json", cwd=project).data]
    assert "flows.small:GREETING" in reasons[0]
    assert reasons[1] == "input from greet changed"
    module.write_text(text)
    assert "0 ran, 2 from cache" in done("run", "hello", cwd=project).out


BLOCKED = """

@step
def is_odd(number: int) -> bool:
    return number % 2 == 1


@pipeline(kind="data")
def blocked():
    greet("you", is_odd(fail("raise", "x")))
"""


def test_what_never_had_a_key_is_told(project: Path) -> None:
    """A step that was blocked has a state and a reason."""
    module = project / "flows" / "small.py"
    module.write_text(module.read_text() + BLOCKED)
    assert filiera("run", "blocked", cwd=project).code == 1
    assert done("explain", "blocked/greet", cwd=project).out == (
        "greet is blocked: is_odd did not succeed. Its key was never made.\n"
    )


def test_what_changed_is_told_with_old_and_new(history: Path, ask: Ask) -> None:
    """For a parameter both values, for an input both digests, and which run it is compared with."""
    out = [" ".join(line.split()) for line in ask("explain", "hello-3/greet", cwd=history).out.splitlines()]
    assert out[-3:] == ["changed since hello-2:", "PART OF THE KEY NAME BEFORE NOW", 'parameter name "world" "Ada"']
    kind, name, _, old, _, new = ask("explain", "hello-3/count", cwd=history).out.splitlines()[-1].split()
    assert (kind, name, old[:7], new[:7], old != new) == ("input", "text", "json/1:", "json/1:", True)
    data = ask("explain", "hello-3/greet", "--json", cwd=history).data
    assert data["before"] == "hello-2"
    assert data["changes"] == [{"kind": "parameter", "name": "name", "old": '"world"', "new": '"Ada"'}]
    assert "changed since" not in ask("explain", "hello-1/greet", cwd=history).out
    assert ask("explain", "hello-2/greet", "--json", cwd=history).data["changes"] == []


def test_code_and_versions_have_old_and_new(project: Path, ask: Ask) -> None:
    """A constant and a function have both digests, a library both versions; what came and went has one side."""
    module = project / "flows" / "small.py"
    text = module.read_text()
    done("run", "hello", cwd=project)
    module.write_text(text.replace('GREETING = "Hello"', 'GREETING = "Howdy"').replace("name.upper()", "str(name)"))
    done("run", "hello", cwd=project)
    opened = Project.open(project)
    rows = opened.records.read("get_step_run", {"run_id": "hello-1", "step": "greet"})
    digest = rows[0]["closure_digest"]
    parts = opened.records.read("get_closure", {"digest": digest})[0]["parts"]
    python = f"cpython {platform.python_version()}"
    former = parts.replace(python, "cpython 3.11.0").replace("]]", f'],["distribution","polars 2.0","{"0" * 64}"]]')
    other = "f" * 64
    opened.records.write([("put_closure", {"digest": other, "parts": former})])
    opened.records.write([("put_step_run", {**rows[0], "closure_digest": other})])
    opened.close()
    out = ask("explain", "hello-2/greet", cwd=project).out.partition("changed since hello-1:\n")[2]
    found = [line.split() for line in out.splitlines()[1:]]
    assert [line[:2] for line in found] == [
        ["constant", "flows.small:GREETING"],
        ["function", "flows.small:greet"],
        ["python", "cpython"],
        ["distribution", "polars"],
    ]
    assert all(len(cell) == 12 for line in found[:2] for cell in line[2:])
    assert found[2][2:] == ["3.11.0", platform.python_version()]
    assert found[3][2:] == ["2.0"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project to look at only, with runs of maps, of which one call failed."""
    folder = make_project(tmp_path_factory.mktemp("shapes") / "small", code=CODE)
    assert filiera("run", "mapped", "--count", "30", "--bad", "7", cwd=folder).code == 1
    done("run", "mapped", cwd=folder)
    done("run", "aging", cwd=folder)
    done("run", "aging", cwd=folder)
    return folder


def test_the_calls_of_a_map_are_told_together(shapes: Path, ask: Ask) -> None:
    """Many are one line with counts and the usual reasons; few have a line each; one has all parts of its key."""
    assert [" ".join(line.split()) for line in ask("explain", "mapped-1", cwd=shapes).out.splitlines()[2:]] == [
        "numbers transform succeeded first run",
        "double transform failed",
        "30 steps 29 ran, 0 from cache, 1 failed: 30 × first run",
        "total transform blocked double did not succeed",
    ]
    assert "\n  double[2]  transform  succeeded" in ask("explain", "mapped-2", cwd=shapes).out
    one = ask("explain", "mapped-2/double[2]", cwd=shapes).out
    assert "parameter bad changed from 7 to -1" in one
    assert one.splitlines()[-1].split() == ["parameter", "bad", "7", "-1"]
    said = "double is failed: it is what the steps are that it became. Its key was never made.\n"
    assert ask("explain", "mapped-1/double", cwd=shapes).out == said
    assert ask("explain", "mapped-1/double", "--json", cwd=shapes).data["key"] == ""
    assert len(ask("explain", "mapped-1", "--json", cwd=shapes).data) == 33


def test_a_result_that_got_too_old_is_told(shapes: Path, ask: Ask) -> None:
    """With its age and what the step allows."""
    assert " s old, it may be 1e-06 s" in ask("explain", "aging", cwd=shapes).out


def test_what_does_not_count_is_shown_as_ignored(shapes: Path, ask: Ask) -> None:
    """Parameters that a step ignores are listed: who wonders why they changed nothing finds them."""
    opened = Project.open(shapes)
    row = opened.records.read("get_step_run", {"run_id": "aging-1", "step": "old"})[0]
    opened.records.write([("put_step_run", {**row, "inputs": '{"inputs":[],"codecs":[],"ignored":["verbose"]}'})])
    opened.close()
    last = ask("explain", "aging-1/old", cwd=shapes).out.splitlines()[-1]
    assert last.split() == ["ignored", "verbose", "does", "not", "count"]
