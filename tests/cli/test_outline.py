"""The steps of a run as a list."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from filiera.cli.outline import outline, parent_of


def row(step: str, state: str = "succeeded") -> dict[str, Any]:
    return {"step": step, "stage": "train", "state": state, "reason": ""}


def told(*steps: str) -> list[str]:
    return [line.name for line in outline([row(step) for step in steps])]


def test_what_a_step_became_is_below_it() -> None:
    """Few are listed, indented once more for each step above; the rest keeps its order."""
    steps = ("numbers", "plan", "total", "plan[1]", "plan[0]", "plan[0].fit", "plan[0].fit[0]", "left.fit")
    assert told(*steps) == [
        "numbers",
        "plan",
        "  plan[1]",
        "  plan[0]",
        "    plan[0].fit",
        "      plan[0].fit[0]",
        "total",
        "left.fit",
    ]


def test_many_are_one_line_with_counts() -> None:
    """What these became is not listed either."""
    rows = [row("plan"), *(row(f"plan[{i}]", "failed" if i == 3 else "hit") for i in range(1_200)), row("plan[7].a")]
    lines = list(outline([*rows, row("total")]))
    assert [line.name for line in lines] == ["plan", "  1,200 steps", "total"]
    assert lines[1].counts == {"hit": 1_199, "failed": 1}


names = st.lists(st.text("ab.[]0", min_size=1, max_size=6), unique=True, max_size=40)


@given(steps=names)
def test_every_step_is_told_or_counted_once(steps: list[str]) -> None:
    """However steps are called, none is lost, and who is below another is one of its kind."""
    lines = list(outline([row(step) for step in steps]))
    shown = [line.row["step"] for line in lines if line.row is not None]
    folded = [step["step"] for line in lines for step in line.folded]
    assert len(set(shown)) == len(shown)
    assert not set(shown) & set(folded)
    for step in steps:
        parent = parent_of(step, set(steps))
        assert parent == "" or step.startswith((f"{parent}[", f"{parent}."))
        if not parent:
            assert step in shown
