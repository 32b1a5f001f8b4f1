from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.project.proving.prove import Comparison, ProvedStep, compare, digests_in, first_of

DIGESTS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=4)


def row(step: str, outputs: str = "aa json/1 1", state: str = "succeeded", **more: Any) -> dict[str, Any]:
    """Return the record of a step as far as it is compared."""
    texts = dict.fromkeys(("failure", "reason", "closure_digest", "arguments", "inputs"), "")
    return {"step": step, "stage": "transform", "state": state, "outputs": outputs, **texts, **more}


@pytest.mark.parametrize(
    ("then", "now", "comparison", "detail"),
    [
        (row("fit"), row("fit", state="hit"), "equal", ""),
        (row("fit", state="hit"), row("fit"), "equal", ""),
        (row("gate", state="rejected"), row("gate", state="rejected"), "equal", ""),
        (row("fit", outputs=""), row("fit", outputs=""), "equal", ""),
        (row("fit"), row("fit", outputs="bb json/1 1"), "diverges", ""),
        (row("fit"), row("fit", outputs="aa json/1 1;bb json/1 1"), "diverges", ""),
        (row("fit"), None, "diverges", "it is not there any more"),
        (
            row("fit"),
            row("fit", "", "failed", failure=json.dumps({"error": "ValueError", "message": "no\nmore"})),
            "diverges",
            "ValueError: no",
        ),
        (row("fit"), row("fit", "", "blocked", reason="load did not succeed"), "diverges", "it is blocked: load did"),
        (row("fit", "", "failed"), row("fit"), "not compared", "it was failed then"),
        (row("collect-x", stage="collect"), None, "taken over", ""),
        (row("time_model", stage="evaluate"), None, "taken over", ""),
    ],
)
def test_steps_are_compared_by_their_outputs(
    then: dict[str, Any], now: dict[str, Any] | None, comparison: Comparison, detail: str
) -> None:
    """Equal digests are equal, whether it ran or was a hit; what had no output then is not compared."""
    (found,) = compare([then], [now] if now else [])
    assert found.comparison == comparison
    assert found.detail.startswith(detail)


@given(each=st.lists(DIGESTS, min_size=1, max_size=6), at=st.integers(0, 5))
def test_the_first_difference_is_found(each: list[list[str]], at: int) -> None:
    """Of steps in their order, the first one whose digests are not the same is the one to look at."""
    then = [row(f"s{i}", ";".join(f"{d} json/1 1" for d in digests)) for i, digests in enumerate(each)]
    at %= len(then)
    now = [{**step, "outputs": step["outputs"] if i < at else "ffff0 json/1 1"} for i, step in enumerate(then)]
    diverging = [step for step in compare(then, now) if step.comparison == "diverges"]
    first = first_of(diverging)
    assert first is not None and first.step == f"s{at}"
    assert digests_in(then[at]["outputs"]) == tuple(each[at])


def test_a_difference_begins_where_the_inputs_are_equal() -> None:
    """What was given something else may well return something else, though it stands first in the plan."""
    given = [json.dumps({"inputs": [["fit", f"json/1:{digest}"]]}) for digest in ("aa", "bb")]
    then = [row("total", inputs=given[0]), row("fit[2]")]
    now = [row("total", "bb json/1 1", inputs=given[1]), row("fit[2]", "bb json/1 1")]
    first = first_of(compare(then, now))
    assert first is not None and first.step == "fit[2]"


def test_a_call_of_a_map_comes_before_its_list() -> None:
    """The list of all results differs because one of them does."""

    def diverging(step: str) -> ProvedStep:
        return ProvedStep(step=step, stage="train", comparison="diverges", recorded=("a",), proved=("b",))

    steps = [diverging(name) for name in ("fit", "fit[2]", "fit[3]", "best")]
    first = first_of(steps)
    assert first is not None and first.step == "fit[2]"
    assert first_of([]) is None
