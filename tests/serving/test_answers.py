"""Answers as JSON: many rows at once and row by row give the same bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Output
from filiera.serving.answers import answers_json, answers_of

LABELS = {
    "bool": (False, True),
    "int64": (-3, 0, 2**62),
    "string": ("plain", 'a "quoted", %b %s {name}', "ünïcode\n\t\\", ""),
}
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(data=st.data())
@pytest.mark.parametrize("kind", LABELS)
def test_labels_and_probabilities_read_alike(kind: Any, data: st.DataObject) -> None:
    """Whatever the labels are: keys and values are spelled as msgspec spells them."""
    labels = LABELS[kind]
    rows = data.draw(st.lists(st.sampled_from(range(len(labels))), min_size=1, max_size=20))
    chances = data.draw(st.lists(FLOATS, min_size=len(rows) * len(labels), max_size=len(rows) * len(labels)))
    promised = (
        Output(name="label", type=kind, semantics="label", labels=labels),
        Output(name="chance", type="float64", semantics="probability", labels=labels),
    )
    found = np.array([labels[row] for row in rows], dtype=object if kind == "string" else None)
    check(promised, (found, np.array(chances).reshape(len(rows), len(labels))))


@given(data=st.data())
@pytest.mark.parametrize(("kind", "semantics"), [("float32", "value"), ("float64", "score"), ("int64", "cluster")])
def test_numbers_read_alike(kind: Any, semantics: Any, data: st.DataObject) -> None:
    """Of each type that a model gives."""
    numbers = st.integers(-(2**62), 2**62) if kind == "int64" else st.floats(width=int(kind[5:]), allow_infinity=False)
    values = data.draw(st.lists(numbers.filter(lambda value: value == value), min_size=1, max_size=20))
    check((Output(name="it", type=kind, semantics=semantics),), (np.array(values, dtype=kind),))


def check(promised: tuple[Output, ...], outputs: tuple[Any, ...]) -> None:
    ids = tuple(f"01ARZ{place:02}" for place in range(len(outputs[0])))
    assert answers_json(promised, outputs, ids) == msgspec.json.encode(answers_of(promised, outputs, ids))
