"""What a candidate would have said to the rows that were asked lately, beside what the version before says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Signature
from filiera.serving.contracts.part import Part
from filiera.serving.contracts.shift import Moved, check_shift
from filiera.serving.contracts.verification import Known, verify
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, SIGNATURE, Rule

LOGGED = [{**GOOD, "duration": duration} for duration in range(0, 120, 2)]  # a half are attacks


class Later(Rule):
    """Calls an attack what lasts longer than another limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return np.where(frame["duration"].to_numpy() > self.limit, "attack", "normal")


class Surer(Rule):
    """Gives an attack that much more, whatever it is asked."""

    def __init__(self, by: float) -> None:
        self.by = by

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return super().predict_proba(frame) + np.array([self.by, -self.by])


class Failing(Rule):
    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        raise ValueError("no")


def served(model: Any = None, signature: Signature = SIGNATURE, version: int = 2) -> ServedModel:
    return ServedModel("flows", model or Rule(), version=version, signature=signature)


def check(
    candidate: ServedModel, rows: Any = LOGGED, clock: Callable[[], float] = lambda: 0.0, **limits: float
) -> Part:
    return Moved(served(version=1), candidate, limits).check(rows, "logged", clock=clock)


def test_the_same_model_agrees_in_all_rows() -> None:
    """Nothing moved, and it is said on how many rows."""
    part = check(served())
    assert (part.state, part.reason) == (
        "passed",
        "answers to 60 logged rows: 100.0% as before, score +0.0000 [+0.0000, +0.0000]",
    )


def test_other_answers_are_counted_with_how_far_scores_moved() -> None:
    """The share of equal answers, the mean difference of the score with its interval, and what moved too far."""
    part = check(served(Surer(0.2)))
    assert part.state == "warned"
    assert part.details[-1] == "answers to 60 logged rows: 100.0% as before, score +0.2000 [+0.2000, +0.2000]"
    assert "probabilities.attack is distributed otherwise" in part.reason
    later = check(served(Later(70)))
    assert later.state == "passed" and "91.7% as before" in later.reason  # 62, 64, … 70 of sixty rows
    assert check(served(Later(100))).state == "warned"


def test_a_number_that_somebody_decides_by_fails() -> None:
    """Where an application compares the score with a threshold, rows on its other side are a failure."""
    thresholds = {"probabilities.attack": 0.5}
    part = Moved(served(version=1), served(Surer(0.25)), thresholds).check(LOGGED, "logged")
    assert (part.state, part.reason) == (
        "failed",
        "probabilities.attack is on the other side of 0.5 for 52% of the rows",
    )
    assert "answers to 60 logged rows" in part.details[-1]


def test_rows_that_only_the_candidate_refuses_are_told() -> None:
    """Callers would meet a refusal; rows that the version before does not take say nothing."""
    narrow = replace(SIGNATURE, inputs=(replace(SIGNATURE.inputs[0], maximum=99), *SIGNATURE.inputs[1:]))
    rows = [*LOGGED, {**GOOD, "protocol": "gre"}, {"duration": 1}]
    part = check(served(signature=narrow), rows)
    assert (part.state, part.reason) == ("warned", "10 logged rows that version 1 takes are refused")
    assert "answers to 50 logged rows" in part.details[0]


def test_a_model_that_fails_on_what_is_asked_fails() -> None:
    """When it is the version before that fails, that does not keep another from taking its place."""
    assert check(served(Failing())).state == "failed"
    part = Moved(served(Failing(), version=1), served(), {}).check(LOGGED, "logged")
    assert (part.state, part.reason[:28]) == ("skipped", "version 1, which answers now")
    assert check(served(), [{"duration": 1}]).state == "skipped"


def test_slow_models_are_asked_fewer_rows() -> None:
    """Ten seconds are enough; what was asked by then counts."""
    ticks = itertools.count(0, 6)
    part = check(served(), LOGGED * 10, clock=lambda: float(next(ticks)))
    assert "answers to 128 logged rows" in part.reason


@pytest.mark.parametrize(("rows", "what"), [(LOGGED, "60 logged"), (LOGGED[:5], "64 made-up"), ([], "64 made-up")])
def test_the_gate_prefers_what_was_asked_to_what_is_made_up(rows: Any, what: str) -> None:
    """A handful of logged rows says less than rows that are made up; sensitive inputs are not logged at all."""
    for logged, told in ((rows, what), ([{k: v for k, v in row.items() if k != "user"} for row in rows], "64 made-up")):
        model = served(version=1)
        found = verify(served(), Known(deployed=model.contract, answering=model, logged=logged))
        part = next(part for part in found.parts if part.name == "shift")
        assert part.state == "passed" and f"answers to {told} rows" in part.reason


@given(
    old=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    by=st.floats(-1, 1),
    threshold=st.floats(0, 1),
)
def test_distances_are_those_of_their_definitions(old: list[float], by: float, threshold: float) -> None:
    """The greatest difference of two distribution functions, and the share of rows across a threshold."""
    new = [value + by for value in old]
    part = check_shift([{"value": one} for one in old], [{"value": one} for one in new], {"value": threshold})
    grid = sorted({*old, *new})
    furthest = max(abs(sum(a <= at for a in old) - sum(b <= at for b in new)) for at in grid) / len(old)
    crossed = sum((a >= threshold) != (b >= threshold) for a, b in zip(old, new, strict=True)) / len(old)
    assert part.state == ("failed" if crossed > 0.1 else "warned" if furthest > 0.1 else "passed")
