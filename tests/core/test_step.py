"""A step outside of a pipeline."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from filiera.core.step import Step, StepOptions, active_tracer, step
from filiera.core.task import Resources


@step
def add(a: int, b: int = 1) -> int:
    """Return a sum."""
    return a + b


@step(stage="clean", retries=2, retry_delay_s=0.0, timeout_s=1.5, resources=Resources(cpu=2), cache=False)
def divide(a: int, b: int) -> tuple[int, int]:
    return divmod(a, b)


class Notes:
    """A tracer that notes the calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def add(self, called: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        self.calls.append((called, args, kwargs))
        return "noted"


def test_a_step_is_the_plain_function() -> None:
    """Called anywhere but in a pipeline, a step does what its function does, errors included."""
    assert add(1, b=2) == 3
    assert divide(7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    with pytest.raises(TypeError, match="missing"):
        add()  # type: ignore[call-arg]


def test_a_step_looks_like_its_function() -> None:
    """Name, documentation and signature are the function's, for people and for tools."""
    assert (add.name, add.__doc__, add.__name__) == ("add", "Return a sum.", "add")
    assert list(inspect.signature(add).parameters) == ["a", "b"]
    assert add.address == "tests.core.test_step:add"
    assert repr(add) == "<step tests.core.test_step:add>"


def test_options_are_kept() -> None:
    """Both spellings of the decorator make a step, with the options given or the usual ones."""
    assert add.options == StepOptions()
    assert divide.options == StepOptions(
        stage="clean", retries=2, retry_delay_s=0.0, timeout_s=1.5, resources=Resources(cpu=2), cache=False
    )


def test_a_plain_function_becomes_a_step_elsewhere() -> None:
    """Science code stays as it is: a step can be made of a function of another module, with options."""
    made = step(functools.reduce, stage="clean", name="fold")
    assert (made.address, made.name, made.options.stage) == ("_functools:reduce", "fold", "clean")


def test_annotations_say_what_comes_out() -> None:
    """The return annotation says how many outputs there are, and of which types."""
    assert (add.outputs, divide.outputs) == ((int,), (int, int))
    assert step(lambda: 0).outputs == (Any,)


def test_a_tracer_gets_the_call_instead() -> None:
    """While a graph is traced, a call is noted, and the function does not run."""
    notes = Notes()
    token = active_tracer.set(notes)
    try:
        assert divide(1, b=0) == "noted"  # type: ignore[comparison-overlap]
    finally:
        active_tracer.reset(token)
    assert notes.calls == [(divide, (1,), {"b": 0})]


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retry_delay_s": -0.1},
        {"timeout_s": 0},
        {"timeout_s": -1.0},
        {"stage": "cleann"},
        {"stage": "data"},
        {"name": "a b"},
        {"name": "a/b"},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """An option that cannot be meant is refused where it is written."""
    with pytest.raises(ValueError, match=next(iter(options))):
        step(**options)


@pytest.mark.parametrize(
    "thing", ["clean", 5, functools.partial(max), [add.function]], ids=["text", "number", "partial", "list"]
)
def test_only_functions_become_steps(thing: Any) -> None:
    """A stage given without its name, and anything else that is no function, is refused with the right spelling."""
    with pytest.raises(TypeError, match=r"@step takes a function, .*@step\(stage='clean'\)"):
        step(thing)


def test_an_async_function_is_refused_where_it_is_written() -> None:
    """A coroutine is no value: told at the decorator, not after the run has begun."""
    with pytest.raises(TypeError, match=r"asyncio\.run"):

        @step
        async def later() -> int:
            return 1
