"""A pipeline: a Python function over steps, traced into a graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

from filiera.core import plain
from filiera.core.graph import Given, Graph, Node, OutputRef, futures_in
from filiera.core.parameters import Parameter, bind, parameters_of, value_fits
from filiera.core.products import Dataset, Model, Product, Source, check_name
from filiera.core.stages import Kind, infer_stage
from filiera.core.step import Step, active_tracer
from filiera.core.types import fits, show
from filiera.errors import FilieraError, GraphError, UsageError

_LOOKED_UP = Source | Dataset | Model
_tracing: ContextVar[tuple[str, ...]] = ContextVar("tracing", default=())


class Pipeline:
    """A function whose step calls make a graph. Called with values for all inputs, it is the plain function."""

    launcher: ClassVar[Callable[[Pipeline, Mapping[str, Any]], Any] | None] = None
    """What ``run`` calls; the front door sets it, so that the core knows nothing of projects and stores."""

    def __init__(self, function: Callable[..., Any], *, kind: Kind, publishes: Product | None) -> None:
        self.function = function
        self.kind = kind
        self.publishes = publishes
        functools.update_wrapper(self, function)
        self.name = check_name(function.__name__, "pipeline")
        if publishes is not None and publishes.ref.selector != "latest":
            raise GraphError(
                f"Pipeline {self.name!r} publishes {publishes.ref}.",
                why="A version's number is given when it is published.",
                do=f"Write {type(publishes).__name__}({publishes.ref.name!r}).",
            )

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the function's arguments, in order."""
        return parameters_of(self.function, self.name)

    def trace(self, values: Mapping[str, Any] | None = None) -> Graph:
        """Return the graph for these parameter values. Nothing runs but the pipeline function itself.

        Raises:
            UsageError: A parameter is unknown, missing or of another type.
            GraphError: Steps are wired wrongly.
        """
        bound = bind(self.parameters, values or {}, self.name)
        types = {parameter.name: parameter.type for parameter in self.parameters}
        inputs = {
            name: Given(name, value, types[name]) if isinstance(value, _LOOKED_UP) else value
            for name, value in bound.items()
        }
        tracer = _GraphTracer(self.kind)
        token, path = active_tracer.set(tracer), _tracing.set((*_tracing.get(), self.name))
        try:
            result = self.function(**inputs)
        except FilieraError:
            raise
        except Exception as error:
            raise _building_failed(self, error) from error
        finally:
            active_tracer.reset(token)
            _tracing.reset(path)
        if not tracer.nodes:
            raise GraphError(
                f"Pipeline {self.name!r} calls no step.", do="Call at least one function marked with @step."
            )
        return Graph(pipeline=self.name, kind=self.kind, nodes=tuple(tracer.nodes), result=result)

    def run(self, **parameters: Any) -> Any:
        """Run the pipeline in the project it belongs to and return the ``Run``.

        Raises:
            UsageError: A parameter is unknown, missing or of another type.
            StepFailed: A step failed.
            Rejected: A blocking check or gate said no.
        """
        if Pipeline.launcher is None:
            raise GraphError("Pipelines are run by the package 'filiera'.", do="from filiera import pipeline")
        return Pipeline.launcher(self, parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if active_tracer.get() is None:
            self._check_values(args, kwargs)
            return self.function(*args, **kwargs)
        path = _tracing.get()
        if self.name in path:
            raise GraphError(
                f"Pipeline {self.name!r} calls itself: {' → '.join((*path, self.name))}.",
                why="That is a circle; its graph would never end.",
                do="Call a different pipeline, or steps only.",
            )
        token = _tracing.set((*path, self.name))
        try:
            return self.function(**self._inputs(args, kwargs))
        finally:
            _tracing.reset(token)

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call inside another pipeline; sources and products are looked up for it too."""
        try:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise GraphError(f"Pipeline {self.name!r} is called wrongly: {error}.") from error
        bound.apply_defaults()
        types = {parameter.name: parameter.type for parameter in self.parameters}
        return {
            name: Given(f"{self.name}.{name}", value, types[name]) if isinstance(value, _LOOKED_UP) else value
            for name, value in bound.arguments.items()
        }

    def _check_values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = set(inspect.signature(self.function).bind_partial(*args, **kwargs).arguments)
        missing = [p.name for p in self.parameters if p.is_input and p.name not in given]
        if missing:
            raise UsageError(
                f"{self.name}() needs values for {', '.join(missing)}.",
                why="Called directly it is a plain function; sources and products are looked up only by a run.",
                do=f"Pass them, or call {self.name}.run().",
            )

    def __repr__(self) -> str:
        return f"<{self.kind} pipeline {self.name}>"


class _GraphTracer:
    """Collects the step calls of one pipeline function."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.nodes: list[Node] = []
        self.counts: dict[str, int] = {}

    def add(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a future per output of a new node. Raises GraphError."""
        arguments = _bind_call(step, args, kwargs)
        for name, value in arguments.items():
            _check_argument(step, name, value)
        stage = step.options.stage or infer_stage(self.kind, step.hints.get("return", Any))
        node = Node(name=self._fresh_name(step.name), step=step, stage=stage, arguments=arguments)
        self.nodes.append(node)
        outputs = tuple(OutputRef(node.name, index, kind) for index, kind in enumerate(step.outputs))
        if not outputs:
            return None
        return outputs[0] if len(outputs) == 1 else outputs

    def _fresh_name(self, name: str) -> str:
        self.counts[name] = self.counts.get(name, 0) + 1
        return name if self.counts[name] == 1 else f"{name}-{self.counts[name]}"


def _bind_call(step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(step.function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise GraphError(
            f"Step {step.name!r} is called wrongly: {error}.", why=f"It is {step.name}{signature}."
        ) from error
    bound.apply_defaults()
    arguments = {}
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(value)
        elif signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            raise GraphError(f"Step {step.name!r} takes *{name}.", do="Name its parameters, or take one list.")
        elif signature.parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY:
            raise GraphError(
                f"Step {step.name!r} takes {name} by position only.",
                why="Workers call steps with every argument by its name.",
                do="Remove the '/' from its parameters.",
            )
        else:
            arguments[name] = value
    return arguments


def _check_argument(step: Step[Any, Any], name: str, value: Any) -> None:
    wanted = step.hints.get(name, Any)
    if isinstance(value, OutputRef | Given):
        if not fits(value.type, wanted):
            raise GraphError(
                f"Step {step.name!r} wants {name}: {show(wanted)}, but {value.label} gives {show(value.type)}.",
                do="Correct the annotation that is wrong, or put a converting step between them.",
            )
        return
    if next(futures_in(value), None) is not None:
        return
    if isinstance(value, _LOOKED_UP):
        raise GraphError(
            f"Step {step.name!r} is given {value!r} itself.",
            why="Sources and products are looked up for the pipeline's parameters.",
            do=f"Make it the default of a parameter of the pipeline: {name} = {value!r}.",
        )
    if not plain.is_plain(value):
        raise GraphError(
            f"Step {step.name!r} is given {name}={type(value).__name__} while the graph is built.",
            why="Only plain values (numbers, text, lists, dataclasses…) can be written in a graph.",
            do="Make it the output of a step, or a source of the catalog.",
        )
    if _holds_path(value):
        raise GraphError(
            f"Step {step.name!r} is given the path {name}={value} while the graph is built.",
            why="The cache key would hold its text, not what the file holds: a changed file would be a hit.",
            do="Make it a source of the catalog (type = 'files'), or pass text if only the name is meant.",
        )
    if not value_fits(value, wanted):
        raise GraphError(f"Step {step.name!r} wants {name}: {show(wanted)}, not {value!r}.")


def _holds_path(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_path(item) for item in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds_path(item) for item in value)
    return isinstance(value, Path)


def _building_failed(pipeline: Pipeline, error: Exception) -> GraphError:
    """Return what to tell when the pipeline function raised: the line of it that did."""
    code = pipeline.function.__code__
    trace, line = error.__traceback__, 0
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code is code else line
        trace = trace.tb_next
    return GraphError(
        f"Pipeline {pipeline.name!r} failed while its graph was built: {type(error).__name__}: {error}.",
        why=f"It was raised at {code.co_filename}, line {line}, before any step ran.",
        do="Correct that line, or move the work into a step.",
    )


def pipeline(*, kind: Kind, publishes: Product | None = None) -> Callable[[Callable[..., Any]], Pipeline]:
    """Return a decorator that makes a pipeline of a function over steps.

    Args:
        kind: ``"data"``, ``"model"`` or ``"serving"``.
        publishes: What the returned value becomes a version of: a ``Dataset``, or a ``Model`` (then the function
            returns the model and its ``Metrics``).

    Raises:
        UsageError: The function's name cannot name a pipeline.
        GraphError: *publishes* names a version.
    """
    if kind not in ("data", "model", "serving"):
        raise GraphError(f"A pipeline's kind is 'data', 'model' or 'serving', not {kind!r}.")
    if kind == "data" and isinstance(publishes, Model):
        raise GraphError("A data pipeline publishes a Dataset, not a Model.", do='Use kind="model".')
    return lambda function: Pipeline(function, kind=kind, publishes=publishes)
