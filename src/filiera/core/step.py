"""A step: a typed Python function with a stage and options. Outside a pipeline it is the plain function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, get_args, overload

from filiera.core.stages import Stage
from filiera.core.task import Resources
from filiera.core.types import hints_of, output_types

_COROUTINE = 0x80 | 0x200
"""Flags of the code of ``async def`` functions and asynchronous generators."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOptions:
    """How a step is run."""

    stage: Stage | None = None  #: part of the generic workflow; None: inferred from types and pipeline kind
    retries: int = 0  #: further attempts after a failure
    retry_delay_s: float = 1.0  #: wait before the first retry; doubles each time, at most 60 s
    timeout_s: float | None = None  #: an attempt that takes longer is killed
    resources: Resources = field(default_factory=Resources)  #: slots and memory
    cache: bool = True  #: False: run every time, for steps that read a clock, a network or another outside thing

    def __post_init__(self) -> None:
        if self.stage is not None and self.stage not in get_args(Stage):
            raise ValueError(f"stage must be one of {', '.join(get_args(Stage))}, got {self.stage!r}")
        if self.retries < 0 or self.retry_delay_s < 0:
            raise ValueError(
                f"retries and retry_delay_s must not be negative, got {self.retries}, {self.retry_delay_s}"
            )
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, got {self.timeout_s}")


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
        """Return the function's name."""
        return self.function.__name__

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
def step(function: Callable[P, R]) -> Step[P, R]: ...


@overload
def step(
    *,
    stage: Stage | None = None,
    retries: int = 0,
    retry_delay_s: float = 1.0,
    timeout_s: float | None = None,
    resources: Resources | None = None,
    cache: bool = True,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[P, R] | None = None,
    *,
    stage: Stage | None = None,
    retries: int = 0,
    retry_delay_s: float = 1.0,
    timeout_s: float | None = None,
    resources: Resources | None = None,
    cache: bool = True,
) -> Any:
    """Return *function* as a step, or a decorator that makes one with the given options.

    Args:
        function: A typed function at the top level of a module; its return annotation says how many outputs it has.
        stage: Part of the generic workflow, such as ``"clean"``; inferred when not given.
        retries: Further attempts after a failure, each after twice the wait.
        retry_delay_s: Wait before the first retry, in seconds.
        timeout_s: An attempt that takes longer is killed, in seconds.
        resources: Processor slots, memory limit and GPUs; one processor when not given.
        cache: False runs it every time: for steps that read a clock, a network or another outside thing.

    Raises:
        ValueError: An option is out of range, or there is no such stage.
        TypeError: What is decorated is not a function.

    >>> @step
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    8
    """
    options = StepOptions(
        stage=stage,
        retries=retries,
        retry_delay_s=retry_delay_s,
        timeout_s=timeout_s,
        resources=resources or Resources(),
        cache=cache,
    )
    if function is not None:
        return Step(function, options)
    return lambda wrapped: Step(wrapped, options)
