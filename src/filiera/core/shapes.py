"""Branches and loops of a graph, decided by what its steps return."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from filiera.core.graph import Choice, Future, Given, Known, OutputRef
from filiera.core.step import step
from filiera.core.trace import GraphTracer, current_tracer
from filiera.core.types import either, fits, show
from filiera.errors import GraphError

MOST_ROUNDS = 500
"""A loop is written out in the graph before it runs: longer ones belong into a step."""


@step(name="is_true", stage="gate")
def is_true(value: bool) -> bool:
    """Return *value*: makes a step's output of what else can decide, such as a choice between two."""
    return value


def when(condition: Any, then: Any, otherwise: Any = None) -> Any:
    """Return *then* if *condition* turns out true, else *otherwise*; the steps of the other branch are skipped.

    Args:
        condition: A step's output of type bool, or a bool, which is decided at once.
        then: A function without parameters that calls steps; or an output or a plain value.
        otherwise: The same for the other branch.

    Returns:
        What stands for the value of the branch that is taken. When both return tuples of one length, a tuple of such.

    Raises:
        GraphError: The condition is no bool, or one branch returns a tuple where the other one does not.

    >>> when(2 > 1, lambda: "more", "less")
    'more'
    """
    if not isinstance(condition, Future):
        return _made(then if condition else otherwise)
    tracer = _tracer(condition)
    decided = _decided(condition)
    with tracer.under(decided, True):
        first = _made(then)
    with tracer.under(decided, False):
        second = _made(otherwise)
    return _chosen(decided, first, second, tracer)


def loop(body: Callable[[Any], Any], start: Any, *, until: Callable[[Any], Any], at_most: int) -> Any:
    """Return what *body* makes of *start*, and then of its own result, again and again until *until* says true of it.

    Args:
        body: Calls steps on the state and returns the next one. It is called at least once.
        start: The first state: an output, a plain value, or a tuple of such.
        until: Calls a step that returns a bool, on what *body* has returned.
        at_most: How many rounds there are at the most, 1 to 500: then the last state is the result.

    Raises:
        GraphError: A condition is no bool, or *at_most* is out of range.

    >>> loop(lambda n: 2 * n, 1, until=lambda n: n > 20, at_most=10)
    32
    """
    if not 1 <= at_most <= MOST_ROUNDS:
        raise GraphError(
            f"A loop has 1 to {MOST_ROUNDS} rounds, not {at_most}.",
            why="It is written out in the graph before it runs.",
            do="Put the loop into a step.",
        )
    rounds: list[tuple[OutputRef, Any]] = []
    state, tracer = start, current_tracer()
    with ExitStack() as conditions:
        for number in range(1, at_most + 1):
            state = body(state)
            is_done = until(state) if number < at_most else True
            if isinstance(is_done, Future):
                tracer = _tracer(is_done)
                decided = _decided(is_done)
                rounds.append((decided, state))
                conditions.enter_context(tracer.under(decided, False))
            elif is_done:
                break
    for decided, earlier in reversed(rounds):
        state = _chosen(decided, earlier, state, tracer)
    return state


def _tracer(condition: Future) -> GraphTracer:
    tracer = current_tracer()
    if tracer is None:
        raise GraphError(f"The value of {condition.label} is used where no graph is built.")
    return tracer


def _decided(condition: Any) -> OutputRef:
    """Return the step's output that is *condition*; what is no output yet becomes one."""
    kind = getattr(condition, "type", Any) if not isinstance(condition, Known) else Any
    if not fits(kind, bool):
        raise GraphError(
            f"A condition is a bool, but {condition.label} gives {show(kind)}.",
            do="Write a step that returns a bool: def is_good(metrics: Metrics) -> bool.",
        )
    return condition if isinstance(condition, OutputRef) else is_true(condition)  # type: ignore[return-value]


def _made(branch: Any) -> Any:
    return branch() if callable(branch) and not isinstance(branch, Future) else branch


def _chosen(decided: OutputRef, then: Any, otherwise: Any, tracer: GraphTracer | None) -> Any:
    if tracer is None or (then is None and otherwise is None):
        return None
    if type(then) is tuple or type(otherwise) is tuple:
        pairs = _pairs(then, otherwise)
        return tuple([_chosen(decided, one, other, tracer) for one, other in pairs])
    place = "A branch returns"
    then, otherwise = tracer.value(then, place), tracer.value(otherwise, place)
    return Choice(decided, then, otherwise, either(_type_of(then), _type_of(otherwise)))


def _pairs(then: Any, otherwise: Any) -> list[tuple[Any, Any]]:
    size = len(then) if type(then) is tuple else len(otherwise)
    both = [value if value is not None else (None,) * size for value in (then, otherwise)]
    if not all(type(value) is tuple and len(value) == size for value in both):
        told = " and ".join(f"{len(v)} values" if type(v) is tuple else "one value" for v in (then, otherwise))
        raise GraphError(
            f"The branches of a choice return {told}.",
            why="What comes after has to work with either.",
            do="Return as many values from both.",
        )
    return list(zip(*both, strict=True))


def _type_of(value: Any) -> Any:
    if isinstance(value, OutputRef | Given | Choice):
        return value.type
    return Any if isinstance(value, Future) else type(value)
