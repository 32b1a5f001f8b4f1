"""A person decides: what comes after waits until somebody has approved it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from filiera.core.graph import Choice, Given, OutputRef
from filiera.core.step import step

T = TypeVar("T")


@step(name="approve", stage="gate", cache=False)
def approval_step(value: Any, question: str) -> Any:
    """Return *value*. The engine runs no such step: it waits until a person has answered *question*."""
    return value


def approve(value: T, question: str = "Go on?") -> T:
    """Return *value*, once a person has approved it; whoever says no ends all that depends on it.

    Outside of a pipeline it is the value at once.

    Args:
        value: What is looked at: the output of a step, or several in a list, tuple or dictionary.
        question: Shown with the value.

    Raises:
        GraphError: The value cannot be written in a graph.

    >>> approve(3, "Enough?")
    3
    """
    approved = approval_step(value, question)
    if isinstance(approved, OutputRef) and isinstance(value, OutputRef | Given | Choice):
        return replace(approved, type=value.type)  # type: ignore[return-value]
    return approved  # type: ignore[no-any-return]
