"""A pipeline: a Python function over steps, traced into a graph."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, ClassVar, get_args

from filiera.core.graph import Given, Graph, OnFailure
from filiera.core.parameters import Parameter, bind, parameters_of
from filiera.core.products import Dataset, Model, Product, Source, check_name
from filiera.core.stages import Kind
from filiera.core.step import active_tracer
from filiera.core.trace import GraphTracer, current_tracer
from filiera.errors import FilieraError, GraphError, UsageError

_LOOKED_UP = Source | Dataset | Model
_tracing: ContextVar[tuple[str, ...]] = ContextVar("tracing", default=())


class Pipeline:
    """A function whose step calls make a graph. Called with values for all inputs, it is the plain function."""

    launcher: ClassVar[Callable[[Pipeline, Sequence[Mapping[str, Any]]], list[Any]] | None] = None
    """What ``run_many`` calls; the front door sets it, so that the core knows nothing of projects and stores."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        kind: Kind,
        publishes: Product | None = None,
        on_failure: OnFailure = "continue",
        timeout_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.publishes = publishes
        self.on_failure: OnFailure = on_failure
        self.timeout_s = timeout_s
        self.prefix = ""  #: before the names of its steps when it is called in another pipeline
        self.function = function
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
        tracer = GraphTracer(self.kind)
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
        return Graph(
            pipeline=self.name,
            kind=self.kind,
            nodes=tuple(tracer.nodes),
            result=result,
            on_failure=self.on_failure,
            timeout_s=self.timeout_s,
        )

    def named(self, name: str) -> Pipeline:
        """Return this pipeline for a call inside another one, where the names of its steps begin with *name* and a dot.

        So one can be used several times: ``Left = halves.named("left")`` has steps ``left.clean`` and ``left.fit``.

        Raises:
            UsageError: It cannot be a name.
        """
        found = copy.copy(self)
        found.prefix = check_name(name, "use of a pipeline")
        return found

    def run(self, **parameters: Any) -> Any:
        """Run the pipeline in the project it belongs to and return the ``Run``.

        Raises:
            UsageError: A parameter is unknown, missing or of another type.
            StepFailed: A step failed.
            Rejected: A blocking check or gate said no.
        """
        return self.run_many([parameters])[0].require_success()

    def run_many(self, parameters: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Run the pipeline once for each of *parameters*, all side by side on the same workers; thousands are fine.

        Returns:
            A ``Run`` for each, in order, however it ended: ``run.status`` tells, ``run.require_success()`` insists.

        Raises:
            UsageError: A parameter is unknown, missing or of another type; then none has started.
        """
        if Pipeline.launcher is None:
            raise GraphError("Pipelines are run by the package 'filiera'.", do="from filiera import pipeline")
        return Pipeline.launcher(self, list(parameters))

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
        tracer = current_tracer()
        try:
            with tracer.prefixed(self.prefix) if tracer and self.prefix else nullcontext():
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
        place = self.prefix or self.name
        return {
            name: Given(f"{place}.{name}", value, types[name]) if isinstance(value, _LOOKED_UP) else value
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


def pipeline(
    *,
    kind: Kind,
    publishes: Product | None = None,
    on_failure: OnFailure = "continue",
    timeout_s: float | None = None,
) -> Callable[[Callable[..., Any]], Pipeline]:
    """Return a decorator that makes a pipeline of a function over steps.

    Args:
        kind: ``"data"``, ``"model"`` or ``"serving"``.
        publishes: What the returned value becomes a version of: a ``Dataset``, or a ``Model`` (then the function
            returns the model and its ``Metrics``).
        on_failure: What a run does when a step has failed: ``"continue"`` with all that does not depend on it,
            ``"finish"`` what runs already, or ``"stop"`` at once.
        timeout_s: A run that takes longer is cancelled.

    Raises:
        UsageError: The function's name cannot name a pipeline.
        GraphError: An option cannot be meant, such as *publishes* with the number of a version.
    """
    if kind not in get_args(Kind):
        raise GraphError(f"A pipeline's kind is 'data', 'model' or 'serving', not {kind!r}.")
    if kind == "data" and isinstance(publishes, Model):
        raise GraphError("A data pipeline publishes a Dataset, not a Model.", do='Use kind="model".')
    if on_failure not in get_args(OnFailure):
        raise GraphError(f"After a failure a run can 'continue', 'finish' or 'stop', not {on_failure!r}.")
    if timeout_s is not None and not timeout_s > 0:
        raise GraphError(f"A pipeline's timeout_s must be above 0, not {timeout_s}.")
    return lambda function: Pipeline(
        function, kind=kind, publishes=publishes, on_failure=on_failure, timeout_s=timeout_s
    )
