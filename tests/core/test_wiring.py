"""Pipelines assembled from plain functions."""

from __future__ import annotations

from typing import Any

import pytest

from filiera.core.graph import Given, Graph, OutputRef
from filiera.core.products import Dataset, Source
from filiera.core.step import step
from filiera.core.wiring import pipeline_of
from filiera.errors import GraphError, UsageError


class Table: ...


def clean(raw: Table, seed: int = 0) -> Table:
    return raw


def split(flows: Table, *, seed: int = 0) -> tuple[Table, Table]:
    return flows, flows


def fit(train_rows: Table, depth: int) -> float:
    return float(depth)


def evaluate(model: float, test_rows: Table) -> str:
    return f"{model:.1f}"


def features(clean: Table) -> Table:
    return clean


MODEL = {"train_rows, test_rows": split, "model": step(fit, stage="train", retries=2), "metrics": evaluate}


def calls(graph: Graph) -> dict[str, dict[str, Any]]:
    return {node.name: dict(node.arguments) for node in graph.nodes}


def test_functions_are_wired_by_name() -> None:
    """A parameter takes what the function of its name returns; the others are the pipeline's."""
    flows = pipeline_of("flows", [features, clean], kind="data", inputs={"raw": Source("raw")}, publishes=Dataset("f"))
    graph = flows.trace({"seed": 4})
    assert (flows.name, flows.kind, str(flows.publishes)) == ("flows", "data", "Dataset('f@latest')")
    assert calls(graph) == {
        "clean": {"raw": Given("raw", Source("raw")), "seed": 4},
        "features": {"clean": OutputRef("clean", 0)},
    }
    assert graph.nodes[0].step.function is clean


def test_the_last_function_gives_the_result() -> None:
    """What the last function returns is the pipeline's result, unless names say otherwise, in the order said."""
    assert pipeline_of("one", [clean, features], kind="data", inputs=RAW).trace().result == OutputRef("features", 0)
    train = pipeline_of(
        "train", MODEL, kind="model", inputs={"flows": Dataset("flows@latest")}, returns="model, metrics"
    )
    assert train.trace({"depth": 3}).result == (OutputRef("fit", 0), OutputRef("evaluate", 0))


RAW = {"raw": Source("raw")}


def test_keys_name_what_functions_return() -> None:
    """In a dictionary each key names the outputs of its function."""
    train = pipeline_of("train", MODEL, kind="model", inputs={"flows": Dataset("flows@latest")})
    graph = train.trace({"depth": 3})
    assert calls(graph)["fit"] == {"train_rows": OutputRef("split", 0), "depth": 3}
    assert calls(graph)["evaluate"] == {"model": OutputRef("fit", 0), "test_rows": OutputRef("split", 1)}
    assert (graph.nodes[1].stage, graph.nodes[1].step.options.retries) == ("train", 2)


def test_parameters_have_types_and_defaults() -> None:
    """The pipeline's parameters are checked and shown as those of a decorated function."""
    train = pipeline_of("train", MODEL, kind="model", inputs={"flows": Dataset("flows@latest"), "depth": 5})
    assert [(p.name, p.type, p.default) for p in train.parameters][1:] == [("seed", int, 0), ("depth", int, 5)]
    assert train.parameters[0].is_input
    with pytest.raises(UsageError, match="takes int, not 'deep'"):
        train.trace({"depth": "deep"})
    assert [p.name for p in pipeline_of("t", MODEL, kind="model").parameters] == ["flows", "depth", "seed"]


def test_it_belongs_to_the_file_where_it_is_written() -> None:
    """File and module are those of the assignment, so that a run finds its project."""
    made = pipeline_of("made", [clean], kind="data")
    assert made.function.__code__.co_filename == __file__
    assert made.__module__ == __name__
    assert repr(made) == "<data pipeline made>"


def test_outside_of_a_run_it_is_the_functions() -> None:
    """Called with values it computes right here."""
    train = pipeline_of("train", MODEL, kind="model", returns="metrics")
    assert train(Table(), depth=3) == "3.0"


def circle_one(circle_two: int) -> int:
    return circle_two


def circle_two(circle_one: int) -> int:
    return circle_one


def other_seed(clean: Table, seed: int = 1) -> Table:
    return clean


@pytest.mark.parametrize(
    ("functions", "options", "words"),
    [
        ([circle_one, circle_two], {}, "in a circle: circle_one, circle_two"),
        ([clean, other_seed], {}, "different defaults for 'seed': 0 and 1"),
        ([clean, clean], {}, "Two functions of pipeline 'wrong' have one name"),
        ({"a": clean, "b, a": split}, {}, "Two functions of pipeline 'wrong' return 'a'"),
        ({"a, b": clean}, {}, "Step 'clean' has 1 outputs, but 2 names: a, b"),
        ([clean], {"inputs": {"row": 1}}, "has no parameter 'row'.*\n.*Did you mean 'raw'"),
        ([clean], {"returns": "cleaned"}, "returns 'cleaned'.\n.*They return: clean"),
        ([], {}, "calls no step"),
    ],
    ids=["circle", "defaults", "names", "outputs", "count", "input", "returns", "nothing"],
)
def test_wrong_wiring_is_refused(functions: Any, options: dict[str, Any], words: str) -> None:
    """What cannot be wired is told where it is written, or when the graph is built."""
    with pytest.raises(GraphError, match=words):
        pipeline_of("wrong", functions, kind="data", **options).trace()


def test_options_are_those_of_the_decorator() -> None:
    """Options go on to the pipeline, and a mistyped one is refused."""
    assert pipeline_of("made", [clean], kind="data", inputs=RAW, on_failure="stop").trace().on_failure == "stop"
    with pytest.raises(TypeError, match="publish"):
        pipeline_of("made", [clean], kind="data", publish=None)  # type: ignore[call-arg]
