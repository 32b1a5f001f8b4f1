"""A pipeline function traced into a graph."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from filiera.core.graph import Given, Graph, OutputRef
from filiera.core.pipeline import Pipeline, pipeline
from filiera.core.products import Dataset, Model, Source
from filiera.core.step import active_tracer, step
from filiera.errors import GraphError, UsageError


class Table: ...


@dataclass(frozen=True)
class Settings:
    depth: int


class Mode(enum.Enum):
    FAST = 1


@step
def clean(raw: Table) -> Table:
    return raw


@step
def split(rows: Table, seed: int = 0) -> tuple[Table, Table]:
    return rows, rows


@step(stage="train")
def fit(rows: Table, *, depth: int, settings: Settings | None = None, mode: Mode = Mode.FAST) -> float:
    return 0.0


@step
def count(rows: list[Table]) -> int:
    return len(rows)


@step
def tell(text: str) -> None: ...


@step
def untyped(value):  # type: ignore[no-untyped-def]
    return value


@step
def star(*items: int) -> int:
    return 0


@step
def by_position(a: int, /) -> int:
    return a


@step
def options(**kwargs: int) -> int:
    return 0


RAW = Source("raw_flows")


def made(function: Any) -> Pipeline:
    return pipeline(kind="model")(function)


def traced(function: Any, **values: Any) -> Graph:
    return made(function).trace(values)


def test_calls_become_nodes() -> None:
    """Each step call is a node with its arguments, defaults included; calls of one step are numbered."""

    def train(raw: Table = RAW, depth: int = 3) -> Any:  # type: ignore[assignment]
        first, second = split(clean(raw))
        fit(first, depth=depth, settings=Settings(1))
        return fit(second, depth=4)

    graph = traced(train, depth=7)
    assert [(node.name, node.stage) for node in graph.nodes] == [
        ("clean", "transform"),
        ("split", "split"),
        ("fit", "train"),
        ("fit-2", "train"),
    ]
    assert graph.nodes[1].arguments == {"rows": OutputRef("clean", 0), "seed": 0}
    assert graph.nodes[2].arguments == {
        "rows": OutputRef("split", 0),
        "depth": 7,
        "settings": Settings(1),
        "mode": Mode.FAST,
    }
    assert graph.result == OutputRef("fit-2", 0)
    assert graph.givens() == [Given("raw", RAW)]
    assert active_tracer.get() is None


def test_steps_without_a_result_stand_for_nothing() -> None:
    """A step that returns nothing has no output to pass on."""

    def hello() -> Any:
        assert tell("hi") is None  # type: ignore[func-returns-value]

    graph = traced(hello)
    assert graph.nodes[0].step.outputs == ()


def test_values_may_lie_in_containers() -> None:
    """Outputs inside lists and dictionaries are inputs too."""

    def counted(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        return count([clean(raw), clean(raw)])

    assert traced(counted).nodes[2].upstream == ("clean", "clean-2")


def test_keyword_options_are_arguments() -> None:
    """What a step takes as ``**kwargs`` becomes arguments by name."""

    def called() -> Any:
        return options(a=1, b=2)

    assert traced(called).nodes[0].arguments == {"a": 1, "b": 2}


def wrong_argument() -> Any:
    return tell("a", txt="b")  # type: ignore[call-arg]


def missing_argument() -> Any:
    return tell()  # type: ignore[call-arg]


def class_given() -> Any:
    return clean(Table)  # type: ignore[arg-type]


def wrong_type(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return tell(clean(raw))  # type: ignore[arg-type]


def wrong_output_type(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return clean(fit(clean(raw), depth=1))  # type: ignore[arg-type]


def wrong_input_type(raw: int = RAW) -> Any:  # type: ignore[assignment]
    return clean(raw)  # type: ignore[arg-type]


def wrong_value(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return fit(raw, depth="deep")  # type: ignore[arg-type]


def not_plain() -> Any:
    return untyped(Table())


def source_itself() -> Any:
    return untyped(Source("x"))


def product_itself() -> Any:
    return untyped(Dataset("x"))


def uses_value(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return tell("big" if clean(raw) else "small")


def unpacks_one(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    a, b = clean(raw)  # type: ignore[misc]
    return a, b


def formats(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return tell(f"{clean(raw)}")


def no_step() -> Any:
    return 5


def raises() -> Any:
    tell("a")
    return tell(str(1 / 0))


def takes_star() -> Any:
    return star(1, 2)


def takes_positions() -> Any:
    return by_position(1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            wrong_argument,
            r"'tell' is called wrongly: got an unexpected keyword argument 'txt'.*\n.*tell\(text: 'str'\)",
        ),
        (missing_argument, "'tell' is called wrongly: missing a required argument: 'text'"),
        (class_given, "'clean' wants raw: tests.Table"),
        (wrong_type, "'tell' wants text: str, but step 'clean' gives tests.Table"),
        (wrong_output_type, "'clean' wants raw: tests.Table, but step 'fit' gives float"),
        (wrong_input_type, "'clean' wants raw: tests.Table, but parameter 'raw' gives int"),
        (wrong_value, "'fit' wants depth: int, not 'deep'"),
        (not_plain, "given value=Table while the graph is built"),
        (source_itself, r"given Source\(name='x'\) itself"),
        (product_itself, r"given Dataset\('x@latest'\) itself"),
        (uses_value, r"uses the value of step 'clean' while the graph is built \(truth\)"),
        (unpacks_one, r"annotate the step as '-> tuple\[A, B\]'"),
        (formats, r"uses the value of step 'clean' while the graph is built \(as text"),
        (no_step, "'no_step' calls no step"),
        (raises, "'raises' failed while its graph was built: ZeroDivisionError: division by zero"),
        (takes_star, r"'star' takes \*items"),
        (takes_positions, "'by_position' takes a by position only"),
    ],
)
def test_wrong_wires_are_errors_before_anything_runs(function: Any, words: str) -> None:
    """Each mistake in a pipeline is one clear message while the graph is built, and leaves no tracing behind."""
    with pytest.raises(GraphError, match=words):
        traced(function)
    assert active_tracer.get() is None


def test_an_error_names_the_line_of_the_pipeline() -> None:
    """When the pipeline function raises, the message has its file and line, not ours."""
    with pytest.raises(GraphError) as caught:
        traced(raises)
    line = raises.__code__.co_firstlineno + 2
    assert caught.value.why == f"It was raised at {__file__}, line {line}, before any step ran."


def inner(raw: Table = RAW, depth: int = 1) -> Any:  # type: ignore[assignment]
    return fit(clean(raw), depth=depth)


INNER = made(inner)


def outer(raw: Table = RAW) -> Any:  # type: ignore[assignment]
    return INNER(raw, depth=2), INNER()


def test_pipelines_call_pipelines() -> None:
    """A pipeline inside another adds its steps to the graph; what it needs and is not given is looked up for it."""
    graph = traced(outer)
    assert [node.name for node in graph.nodes] == ["clean", "fit", "clean-2", "fit-2"]
    assert [node.arguments["depth"] for node in graph.nodes if node.step is fit] == [2, 1]
    assert [given.parameter for given in graph.givens()] == ["raw", "inner.raw"]
    assert {given.origin for given in graph.givens()} == {RAW}


def test_a_pipeline_can_be_used_several_times_under_names() -> None:
    """Under a name, a pipeline's steps and the inputs that are looked up for it have that name in front."""

    def both(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        return INNER.named("left")(raw=raw, depth=2), INNER.named("right")(), INNER.named("right")()

    graph = traced(both)
    assert [node.name for node in graph.nodes] == [
        "left.clean", "left.fit", "right.clean", "right.fit", "right.clean-2", "right.fit-2",
    ]  # fmt: skip
    assert [given.parameter for given in graph.givens()] == ["raw", "right.raw"]
    assert INNER.prefix == ""
    with pytest.raises(UsageError, match=r"'a b' cannot name an? use of a pipeline"):
        INNER.named("a b")


def test_names_of_uses_nest() -> None:
    """A pipeline used under a name within another that is used under a name has both in front."""

    @pipeline(kind="model")
    def middle(raw: Table = RAW) -> Any:  # type: ignore[assignment]
        return INNER.named("inside")(raw), clean(raw)

    graph = traced(lambda_named("outermost", lambda: middle.named("left")()))
    assert [node.name for node in graph.nodes] == ["left.inside.clean", "left.inside.fit", "left.clean"]


def lambda_named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function


def test_failures_and_time_are_in_the_graph() -> None:
    """What a run does after a failure, and how long it may take, is the pipeline's to say."""
    usual = INNER.trace()
    assert (usual.on_failure, usual.timeout_s) == ("continue", None)
    strict = pipeline(kind="model", on_failure="stop", timeout_s=60.0)(inner).trace()
    assert (strict.on_failure, strict.timeout_s) == ("stop", 60.0)
    with pytest.raises(GraphError, match="can 'continue', 'finish' or 'stop', not 'retry'"):
        pipeline(kind="model", on_failure="retry")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="timeout_s must be above 0, not 0"):
        pipeline(kind="model", timeout_s=0)


def test_inner_pipelines_are_called_rightly() -> None:
    """A wrong call of a pipeline inside another is an error of the graph."""

    def wrong() -> Any:
        return INNER(width=3)

    with pytest.raises(GraphError, match="'inner' is called wrongly: got an unexpected keyword argument 'width'"):
        traced(wrong)


@pipeline(kind="data")
def endless(n: int = 0) -> Any:
    return endless(n + 1)


@pipeline(kind="data")
def ping() -> Any:
    return pong()


@pipeline(kind="data")
def pong() -> Any:
    return ping()


def test_recursion_is_a_circle() -> None:
    """A pipeline that calls itself, directly or through another, is refused with the way round."""
    with pytest.raises(GraphError, match="'endless' calls itself: endless → endless"):
        endless.trace()
    with pytest.raises(GraphError, match="'ping' calls itself: ping → pong → ping"):
        ping.trace()
    assert traced(outer).nodes  # and nothing of it is remembered


def test_outside_a_run_it_is_the_plain_function() -> None:
    """Called with its inputs, a pipeline computes right here; without them it says what is missing."""
    table = Table()
    assert INNER(table) == 0.0
    with pytest.raises(UsageError, match=r"inner\(\) needs values for raw"):
        INNER()


@pytest.mark.parametrize("values", [{"width": 1}, {"depth": "1"}, {"raw": "../x"}], ids=str)
def test_wrong_parameters_are_usage_errors(values: dict[str, Any]) -> None:
    """Values are checked against the pipeline's parameters before it is traced."""
    with pytest.raises(UsageError):
        INNER.trace(values)


def test_products_are_published_without_a_number() -> None:
    """What a pipeline publishes names a product; its version is given when it is published."""
    with pytest.raises(GraphError, match=r"publishes flows@3.\n.*\nDo:  Write Dataset\('flows'\)"):
        pipeline(kind="data", publishes=Dataset("flows@3"))(inner)
    with pytest.raises(GraphError, match="A data pipeline publishes a Dataset"):
        pipeline(kind="data", publishes=Model("m"))
    with pytest.raises(GraphError, match="kind is 'data', 'model' or 'serving', not 'batch'"):
        pipeline(kind="batch")  # type: ignore[arg-type]


def test_names_of_pipelines_are_checked() -> None:
    """A function without a name cannot be a pipeline: it could not be asked for."""
    with pytest.raises(UsageError, match="'<lambda>' cannot name a pipeline"):
        pipeline(kind="data")(lambda: clean(RAW))


def test_looks_like_its_function() -> None:
    """A pipeline shows what it is."""
    assert repr(INNER) == "<model pipeline inner>"
    assert (INNER.__name__, INNER.__module__) == ("inner", __name__)


def test_a_path_is_refused_where_its_content_would_be_missed():
    """A path written in a graph would put its text into the key, not what the file holds."""

    @step
    def read(file: Path) -> str:
        return file.read_text()

    @pipeline(kind="data")
    def reading(name: str = "a.txt"):
        return read(Path(name))

    with pytest.raises(GraphError, match="a changed file would be a hit"):
        reading.trace()
