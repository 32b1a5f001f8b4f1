"""Nothing grows unseen: modules, functions, signatures and ports have budgets."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import MODULES, SRC, Function, functions, parameters, parsed, short

MANY_PARAMETERS = {
    "project/builtin.py:gate": "as publish_model",
    "project/builtin.py:publish_model": "a step: the graph calls it, with every argument by name",
    "project/builtin.py:validate_with_quarantine": "as publish_model",
}
OPEN_KEYWORDS = {
    "core/step.py:step": "a decorator: the fields of StepOptions, explained there",
    "core/step.py:with_options": "the fields of StepOptions, as step takes them",
    "core/step.py:map": "takes the arguments of the user's own function, checked against its signature",
    "core/step.py:product": "as map",
    "core/service.py:service": "a decorator: the fields of ServiceOptions, explained there",
    "serving/client.py:call": "takes the arguments of the function that is served",
    "serving/client.py:stream": "as call",
    "serving/async_client.py:call": "as that of the plain client",
    "serving/async_client.py:stream": "as that of the plain client",
    "core/commands.py:command_step": "the keywords of step",
    "core/commands.py:shell_step": "the keywords of step",
    "core/commands.py:with_options": "the keywords of step",
    "core/commands.py:run_command": "the inputs that its command names",
    "serving/contracts/recorder.py:json": "a method of httpx, in place of its own",
    "model/tune.py:tune": "the arguments of the user's own function, which is tried out at once",
    "model/tune.py:with_options": "as that of steps",
    "core/wiring.py:pipeline_of": "the keywords of pipeline",
    "core/pipeline.py:run": "takes the parameters of the user's own function, checked against its signature",
    "core/graph.py:refuse": "stands in for any operator, whatever it is called with",
    "testing/executor.py:make_task": "fields of Task, for tests",
    "core/value.py:dataclass": "takes what the decorator of the standard library takes",
    "cli/verbs.py:add_argument": "stands in for that of argparse, whatever it is called with",
}
LAZY_NAMES = {"utils.py", "helpers.py", "common.py", "base.py", "misc.py", "tools.py"}


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_module_fits_in_the_head(path: Path) -> None:
    """A module has at most 400 lines and a function at most 50."""
    long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno >= 50]
    assert (len(path.read_text(encoding="utf-8").splitlines()) <= 400, long) == (True, [])


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_module_says_what_it_is(path: Path) -> None:
    """A module that holds anything opens with a docstring, and no module has a name that says nothing."""
    assert path.name not in LAZY_NAMES
    assert ast.get_docstring(parsed(path)) or not parsed(path).body


def public_functions() -> Iterator[tuple[str, Function]]:
    """Yield ``module:name`` and the syntax of every public function and method; tests of contracts are not called."""
    for path in MODULES:
        for function in functions(path):
            if not function.name.startswith(("_", "test_")):
                yield f"{short(path)}:{function.name}", function


def test_signatures_are_short() -> None:
    """A public function takes at most five parameters; the exceptions are named, with the reason, and real."""
    long = {name for name, function in public_functions() if len(parameters(function)) > 5}
    assert long == set(MANY_PARAMETERS)


def test_signatures_are_closed() -> None:
    """A public function takes no ``**kwargs``; the exceptions are named, with the reason, and real."""
    assert {name for name, function in public_functions() if function.args.kwarg} == set(OPEN_KEYWORDS)


def test_ports_are_narrow() -> None:
    """A port has at most ten methods."""
    ports = [node for node in parsed(SRC / "ports.py").body if isinstance(node, ast.ClassDef)]
    sizes = {port.name: sum(isinstance(node, Function) for node in port.body) for port in ports}
    assert len(sizes) >= 8
    assert {name: size for name, size in sizes.items() if size > 10} == {}
