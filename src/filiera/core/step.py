"""A step: a typed Python function with a stage and options. Outside a pipeline it is the plain function."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import fields, replace
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from filiera.core.call import CallShape
from filiera.core.options import Options, StepOptions
from filiera.core.stages import Kind, Stage, infer_stage
from filiera.core.types import Lazy, hints_of, is_stream, laziness, output_types
from filiera.errors import did_you_mean

_COROUTINE = 0x80 | 0x200
"""Flags of the code of ``async def`` functions and asynchronous generators."""

P = ParamSpec("P")
R = TypeVar("R")


class Tracer(Protocol):
    """Takes note of step calls instead of doing them."""

    def add(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what stands for the step's outputs."""

    def add_each(
        self, step: Step[Any, Any], varying: tuple[Any, ...], fixed: Mapping[str, Any], *, crossed: bool
    ) -> Any:
        """Return what stands for the lists of the outputs of one call per item."""


active_tracer: ContextVar[Tracer | None] = ContextVar("active_tracer", default=None)


class Step(Generic[P, R]):
    """A function with options. Called inside a pipeline it becomes a node; anywhere else it just runs."""

    def __init__(self, function: Callable[P, R], options: StepOptions) -> None:
        if not callable(function) or not hasattr(function, "__qualname__"):
            raise TypeError(f"@step takes a function, not {function!r}; options have names: @step(stage='clean')")
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE:
            name = function.__qualname__
            raise TypeError(f"{name} is async: @step takes a plain function, use asyncio.run inside it")
        self.function = function
        self.options = options
        self._stages: dict[Kind, Stage] = {}
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        """Return what its nodes are called: the function's name, or the one given by ``with_options``."""
        return self.options.name or self.function.__name__

    def with_options(self, **changes: Unpack[Options]) -> Step[P, R]:
        """Return this step with other options, for some of its calls. Raises as ``step`` does.

        >>> step(len).with_options(name="count", retries=2).name
        'count'
        """
        return Step(self.function, _checked(self.options, changes))

    @property
    def __filiera_function__(self) -> Callable[P, R]:
        return self.function

    @property
    def address(self) -> str:
        """Return where a worker finds it: ``module:qualified.name``."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @functools.cached_property
    def shape(self) -> CallShape:
        """Return the function's parameters."""
        return CallShape(inspect.signature(self.function))

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Return the function's annotations, resolved."""
        return hints_of(self.function)

    @functools.cached_property
    def outputs(self) -> tuple[Any, ...]:
        """Return the type of each output."""
        return output_types(self.hints.get("return", Any))

    @functools.cached_property
    def streams(self) -> bool:
        """Tell whether its function yields the parts of its output: each can be stored before the next is made."""
        return is_stream(self.hints.get("return", Any))

    @functools.cached_property
    def lazy(self) -> Mapping[str, Lazy]:
        """Return which parameters take a list or a table without having all of it in memory."""
        return laziness(self.hints)

    def stage_in(self, kind: Kind) -> Stage:
        """Return the stage of its calls in a pipeline of that kind: the one declared, or else inferred."""
        found = self._stages.get(kind)
        if found is None:
            found = self.options.stage or infer_stage(kind, self.hints.get("return", Any))
            self._stages[kind] = found
        return found

    def map(self, *varying: Any, **fixed: Any) -> Any:
        """Return the list of what it returns for each item: the first of each argument, then the second, and so on.

        Args:
            varying: Lists as long as each other, or outputs of steps that return lists.
            fixed: Further arguments, the same in each call.

        Raises:
            GraphError: Wrong arguments, or lists of different lengths.

        >>> step(pow).map([2, 3], [3, 2])
        [8, 9]
        """
        return self._each(varying, fixed, crossed=False)

    def product(self, *varying: Any, **fixed: Any) -> Any:
        """Return the list of what it returns for each combination of items; the last argument changes fastest.

        Takes and raises what ``map`` does; the lists may have any lengths.

        >>> step(pow).product([2, 3], [1, 2])
        [2, 4, 3, 9]
        """
        return self._each(varying, fixed, crossed=True)

    def _each(self, varying: tuple[Any, ...], fixed: Mapping[str, Any], *, crossed: bool) -> Any:
        tracer = active_tracer.get()
        if tracer is not None:
            return tracer.add_each(self, varying, fixed, crossed=crossed)
        calls = itertools.product(*varying) if crossed else zip(*varying, strict=True)
        results = [self._run(items, fixed) for items in calls]
        if len(self.outputs) == 1:
            return results
        return tuple([result[index] for result in results] for index in range(len(self.outputs))) or None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracer = active_tracer.get()
        result: R = self._run(args, kwargs) if tracer is None else tracer.add(self, args, kwargs)
        return result

    def _run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<step {self.address}>"


@overload
def step(function: Callable[P, R], /, **options: Unpack[Options]) -> Step[P, R]: ...


@overload
def step(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[P, R] | None = None, /, **options: Unpack[Options]) -> Any:
    """Return *function* as a step with the given options, or a decorator that makes one.

    Code that knows nothing of pipelines stays as it is: ``clean = step(science.clean, stage="clean")``.

    Args:
        function: A typed function at the top level of a module; its return annotation says how many outputs it has.
        options: The fields of ``StepOptions``, such as ``stage="clean"``, ``retries=2`` or ``cache=False``.

    Raises:
        ValueError: An option is out of range, or there is no such stage.
        TypeError: What is decorated is not a function, or there is no such option.

    >>> @step
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    8
    """
    chosen = _checked(StepOptions(), options)
    if function is not None:
        return Step(function, chosen)
    return lambda wrapped: Step(wrapped, chosen)


def _checked(options: StepOptions, changes: Options) -> StepOptions:
    known = [item.name for item in fields(StepOptions)]
    for name in changes:
        if name not in known:
            raise TypeError(f"@step has no option {name!r}.{did_you_mean(name, known)} It has: {', '.join(known)}.")
    return replace(options, **changes)
