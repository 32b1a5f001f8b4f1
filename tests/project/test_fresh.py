"""Which steps can be asked to run although they are in the cache."""

from __future__ import annotations

import pytest

from filiera.core.pipeline import pipeline
from filiera.core.step import step
from filiera.errors import UsageError
from filiera.project.fresh import may_have, require_step


@step
def fit(x: int) -> int:
    return x


@step(dynamic=True)
def plan(x: int) -> int:
    return fit(x)


@pipeline(kind="data")
def shapes():
    return fit.map([1, 2]), plan.map([1, 2]), fit.with_options(name="once")(1), plan.with_options(name="made")(2)


@pytest.mark.parametrize(
    "name", ["fit", "fit[1]", "plan", "plan[1]", "plan[1].fit", "once", "made", "made.fit", "made.fit[3]"]
)
def test_what_a_run_may_have(name: str) -> None:
    """Steps of the graph, calls of maps, and whatever dynamic steps become."""
    assert may_have(shapes.trace(), name)
    require_step(shapes.trace(), name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fitt", "Did you mean 'fit'?"),
        ("fit[x]", "Step 'fit' is a map: its calls are fit[0], fit[1]"),
        ("once[1]", "Step 'once' runs once"),
        ("once.fit", "Step 'once' runs once"),
        ("", "The steps are: fit, plan, once, made."),
    ],
)
def test_what_it_cannot_have_is_told(name: str, said: str) -> None:
    """A misspelt name, and a call of a step that runs once."""
    assert not may_have(shapes.trace(), name)
    with pytest.raises(UsageError) as raised:
        require_step(shapes.trace(), name)
    assert said in str(raised.value)
