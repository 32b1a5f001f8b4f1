"""Steps that run programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.commands import Command, CommandStep, In, Out, command_step, run_command, shell_step
from filiera.core.graph import Graph, OutputRef
from filiera.core.pipeline import pipeline
from filiera.core.step import step
from filiera.core.subgraph import read_subgraph, trace_call
from filiera.errors import GraphError

convert = command_step("convert", ["sox", In("wav"), "-r", In("rate"), Out("result.wav")], stage="transform", retries=2)
uniques = shell_step("uniques", "sort {rows} | uniq > {result}; echo ${HOME} { print }", outputs=["result"])
count = command_step("count", ["wc", "-l", In("rows")])


@step
def files() -> list[Path]:
    return []


@step
def number() -> complex:
    return 1j


def traced(function: Any) -> Graph:
    function.__name__ = "running"
    return pipeline(kind="data")(function).trace()


def test_a_call_is_a_node() -> None:
    """Its inputs are parameters, its outputs are paths, and the command itself is an argument: part of the key."""
    graph = traced(lambda: convert(uniques(files()), rate=16000))
    sort, sox = graph.nodes[1:]
    assert (sort.name, sox.name, sox.stage, sox.step.options.retries) == ("uniques", "convert", "transform", 2)
    assert sox.arguments == {"command": convert.command, "wav": OutputRef("uniques", 0), "rate": 16000}
    assert (sort.step.outputs, count.outputs) == ((Path,), (str,))
    assert sox.step.address == "filiera.core.commands:run_command"
    assert plain.decode(plain.encode(sox.arguments["command"])) == convert.command


def test_inputs_are_found_in_the_command() -> None:
    """An input is named by In, or in braces in a script; what is no name, or the shell's own, is left alone."""
    assert convert.command.inputs == ("wav", "rate")
    assert uniques.command.inputs == ("rows",)
    filled = uniques.command.arguments({"rows": ["inputs/rows/a b.txt", "c"]})
    assert filled == ["/bin/sh", "-euc", "sort 'inputs/rows/a b.txt' c | uniq > result; echo ${HOME} { print }"]
    assert Command(words=("cat", In("parts"), Out("all"))).arguments({"parts": ["a", "b"]}) == ["cat", "a", "b", "all"]


def test_it_can_be_mapped() -> None:
    """A command runs once per item, as any step."""
    node = traced(lambda: convert.map(files(), rate=16000)).nodes[-1]
    assert (node.each, list(node.arguments)) == (("wav",), ["command", "wav", "rate"])


def test_options_can_be_changed() -> None:
    """Another name or other options make another step of the same command."""
    other = convert.with_options(name="louder", retries=0)
    assert isinstance(other, CommandStep)
    assert (other.name, other.options.retries, other.command) == ("louder", 0, convert.command)
    assert repr(other) == "<step louder: sox>"


def test_dynamic_steps_may_call_it() -> None:
    """It comes back from the description of a graph with its outputs and options."""
    value = trace_call(lambda: (uniques("a"), convert("b", 1)), {}, lambda value: None)  # type: ignore[arg-type, return-value]
    found = read_subgraph(plain.decode(plain.encode(value)), "made")
    assert [(node.name, node.step.outputs, node.step.options) for node in found.nodes] == [
        ("made.uniques", (Path,), uniques.options),
        ("made.convert", (Path,), convert.options),
    ]
    assert found.nodes[1].step.function is run_command


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convert("a.wav"), "'convert' is called wrongly: missing a required argument: 'rate'"),
        (lambda: convert("a.wav", 1, channels=2), "unexpected keyword argument 'channels'"),
        (lambda: convert(number(), 1), "wants wav: .* but step 'number' gives complex"),
        (lambda: convert(Path("a.wav"), 1), "given the path wav=a.wav"),
    ],
    ids=["missing", "unknown", "type", "path"],
)
def test_wrong_calls_are_errors_before_anything_runs(call: Any, words: str) -> None:
    """A call is checked against the command while the graph is built."""
    with pytest.raises(GraphError, match=words):
        traced(call)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: command_step("c", []), ValueError, "begins with the name of a program"),
        (lambda: command_step("c", [In("a")]), ValueError, "begins with the name of a program"),
        (lambda: command_step("c", ["cat", 5]), TypeError, "not 5"),  # type: ignore[list-item]
        (lambda: command_step("c", ["cat", In("a b")]), ValueError, "'a b'"),
        (lambda: command_step("c", ["cat", Out("../a")]), ValueError, "'../a'"),
        (lambda: command_step("c", ["cat", Out("/a")]), ValueError, "'/a'"),
        (lambda: command_step("c", ["cat", Out("-a")]), ValueError, "'-a'"),
        (lambda: shell_step("c", " "), ValueError, "a script has a command"),
        (lambda: shell_step("c", "cat {command}"), ValueError, "'command'"),
        (lambda: shell_step("c", "true", outputs=["a/../../b"]), ValueError, "leads to no other folder"),
        (lambda: shell_step("c", "true", retry=1), TypeError, "no option 'retry'"),  # type: ignore[call-arg]
        (lambda: shell_step("a b", "true"), ValueError, "a step's name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_commands_are_refused_where_they_are_written(make: Any, error: type[Exception], words: str) -> None:
    """A command that cannot be meant is refused at its definition."""
    with pytest.raises(error, match=words):
        make()
