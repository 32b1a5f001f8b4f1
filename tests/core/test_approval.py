"""Steps that wait for a person."""

from __future__ import annotations

from typing import Any

from filiera.core.approval import approval_step, approve
from filiera.core.pipeline import pipeline
from filiera.core.step import step


@step
def fit() -> float:
    return 0.5


@step
def deploy(score: float) -> int:
    return 1


@pipeline(kind="serving")
def releasing() -> Any:
    score = fit()
    return deploy(approve(score, "Good enough?")), approve([score, 1])


def test_an_approval_is_a_step() -> None:
    """What comes after waits for a step that the engine knows; the value keeps its type."""
    graph = releasing.trace()
    waiting = graph.nodes[1]
    assert (waiting.name, waiting.stage) == ("approve", "gate")
    assert waiting.step is approval_step
    assert waiting.arguments["question"] == "Good enough?"
    assert waiting.upstream == ("fit",)
    assert graph.nodes[2].arguments["score"].type is float
    assert [node.name for node in graph.nodes] == ["fit", "approve", "deploy", "approve-2"]


def test_it_is_never_cached() -> None:
    """Each run asks anew."""
    assert approval_step.options.cache is False


def test_outside_of_a_pipeline_nobody_is_asked() -> None:
    """With a value, it is that value."""
    assert approve(3, "Enough?") == 3
