"""A step: a typed Python function with a stage and options. Outside a pipeline it is the plain function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import fields, replace
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from filiera.core.options import Options, StepOptions
from filiera.core.types import hints_of, output_types
from filiera.errors import did_you_mean

_COROUTINE = 0x80 | 0x200
"""Flags of the code of ``async def`` functions and asynchronous generators."""

P = ParamSpec("P")
R = TypeVar("R")


class Tracer(Protocol):
    """Takes note of step calls instead of doing them."""

    def add(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what stands for the step's outputs."""


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
    def hints(self) -> dict[str, Any]:
        """Return the function's annotations, resolved."""
        return hints_of(self.function)

    @functools.cached_property
    def outputs(self) -> tuple[Any, ...]:
        """Return the type of each output."""
        return output_types(self.hints.get("return", Any))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracer = active_tracer.get()
        if tracer is None:
            return self.function(*args, **kwargs)
        result: R = tracer.add(self, args, kwargs)
        return result

    def __repr__(self) -> str:
        return f"<step {self.address}>"


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[P, R] | None = None, /, **options: Unpack[Options]) -> Any:
    """Return *function* as a step, or a decorator that makes one with the given options.

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
