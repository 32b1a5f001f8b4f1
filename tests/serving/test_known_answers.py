"""A model that answers its examples here otherwise than when it was published does not begin to answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature
from filiera.errors import FilieraError
from filiera.serving.contracts.mock import mock_app
from filiera.serving.known_answers import TOLERANCE, other_answers
from filiera.serving.served_model import ServedModel
from tests.serving.offers import SIGNATURE, Rule

KNOWN: tuple[dict[str, Any], ...] = ({"label": "normal", "probabilities": (0.25, 0.75)},) * 2
PUBLISHED = replace(SIGNATURE, answers=KNOWN)
VALUE = Signature(
    task="regression",
    inputs=(Field(name="x", type="float64"),),
    outputs=(Output(name="value", type="float64", semantics="value"),),
    examples=({"x": 1.0},),
)


class Moved(Rule):
    """The same model with a library that sums otherwise."""

    def __init__(self, by: float) -> None:
        self.by = by

    def predict_proba(self, frame: Any) -> np.ndarray[Any, Any]:
        return super().predict_proba(frame) + np.array([self.by, -self.by])


def served(model: Any, signature: Signature = PUBLISHED) -> ServedModel:
    return ServedModel("flows", model, version=2, signature=signature)


def test_what_answers_as_before_begins() -> None:
    """The last digits may differ, as they do between runtimes."""
    served(Rule()).warm_up()
    served(Moved(TOLERANCE / 2)).warm_up()


def test_what_answers_otherwise_does_not() -> None:
    """It is said what was and what is, and how to go on."""
    with pytest.raises(FilieraError, match="version 2, answers otherwise than when it was published") as caught:
        served(Moved(0.5)).warm_up()
    assert "probabilities.attack of example 1: 0.25 when it was published, 0.75 here" in caught.value.why
    assert caught.value.why.endswith("; 1 more.")
    assert "Contract(deterministic=False)" in caught.value.do


def test_answers_drawn_by_lot_are_not_compared() -> None:
    """A contract that says so promises nothing else."""
    served(Moved(0.5), replace(PUBLISHED, deterministic=False)).warm_up()


def test_a_mock_begins_with_answers_of_its_own() -> None:
    """It stands in for the model, and has only its contract to go by."""
    mock_app(served(Rule()).contract).start()


@given(was=st.floats(-1e9, 1e9), by=st.floats(-1, 1))
def test_numbers_are_compared_by_their_size(was: float, by: float) -> None:
    """A number may differ by a ten-thousandth of itself, or of 1 where it is smaller."""
    kept = replace(VALUE, answers=({"value": was},))
    found = other_answers(kept, (np.array([was + by]),))
    assert bool(found) == (abs(was - (was + by)) > TOLERANCE * max(1.0, abs(was)))


@given(labels=st.lists(st.sampled_from(["a", "b"]), min_size=3, max_size=3), known=st.integers(0, 3))
def test_labels_must_be_equal_and_only_kept_ones_are_asked(labels: list[str], known: int) -> None:
    """Each label that differs is a line; examples without an answer are not compared."""
    output = Output(name="kind", type="string", semantics="label", labels=("a", "b"))
    kept = replace(VALUE, outputs=(output,), answers=({"kind": "a"},) * known)
    assert len(other_answers(kept, (np.array(labels),))) == labels[:known].count("b")


def test_an_output_that_had_no_answer_is_another_answer() -> None:
    """As are more labels than there were."""
    outputs = (np.array(["normal"]), np.array([[0.25, 0.25, 0.5]]))
    found = other_answers(replace(PUBLISHED, answers=({"probabilities": (0.25, 0.75)},)), outputs)
    assert found == [
        "label of example 1: None when it was published, 'normal' here",
        "probabilities of example 1: (0.25, 0.75) when it was published, (0.25, 0.25, 0.5) here",
    ]
