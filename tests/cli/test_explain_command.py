from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, filiera
from tests.cli.conftest import Ask


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
    module.write_text(text.replace('GREETING = "Hello"', 'GREETING = "Howdy"'))
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
