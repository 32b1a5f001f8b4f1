"""What no schema says of a model's answers: one per row in their order, each as if its row were alone.

Formulas: for rows X and a permutation P, predict(P X) = P predict(X); predict of a part is the part of predict.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from filiera.core.signature import Signature
from filiera.errors import FilieraError
from filiera.serving.contracts.part import Part, part_of
from filiera.serving.contracts.promised import faults_of, is_near
from filiera.serving.served_model import ServedModel

Rows = Sequence[Mapping[str, Any]]
Predict = Callable[[Rows], list[dict[str, Any]]]
"""Returns one answer per row, in their order, without ids. Raises FilieraError."""

NAME = "meaning"
_ALONE = 12
_TOLERANCE = 1e-5
_SHOWN = 5


def check_meaning(predict: Predict, signature: Signature, rows: Rows) -> Part:
    """Return whether a model's answers to *rows*, at least two, mean what they must."""
    try:
        faults = list(dict.fromkeys(_faults(predict, signature, rows)))
    except FilieraError as error:
        return Part(
            name=NAME, state="failed", reason="the model fails on rows like its examples", details=(str(error),)
        )
    return part_of(NAME, faults[:_SHOWN], passed=f"{len(rows)} rows: order, batches, labels and ranges are kept")


def answers_by(model: ServedModel) -> Predict:
    """Return what asks a model, and leaves out the names of predictions, which are others each time."""

    def predict(rows: Rows) -> list[dict[str, Any]]:
        answers = model.predict_rows(rows)
        return [{key: value for key, value in answer.items() if key != "id"} for answer in answers]

    return predict


def _faults(predict: Predict, signature: Signature, rows: Rows) -> Iterator[str]:
    answers = predict(rows)
    if len(answers) != len(rows):
        yield f"{len(answers)} answers to {len(rows)} rows"
        return
    for answer in answers:
        yield from faults_of(signature.outputs, answer)
    if not signature.deterministic:
        return
    if not _same(predict(rows), answers):
        yield "the same rows get other answers when they are asked again"
        return
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    if not _same(predict([rows[at] for at in order]), [answers[at] for at in order]):
        yield "rows in another order get other answers"
    if not _same([predict([row])[0] for row in rows[:_ALONE]], answers[:_ALONE]):
        yield "a row alone gets another answer than among others"
    half = max(1, min(len(rows), signature.max_rows // 2))
    if not _same(predict([*rows[:half], *rows[:half]]), [*answers[:half], *answers[:half]]):
        yield "a row that is there twice gets other answers"


def _same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(
        is_near(one, other, tolerance=_TOLERANCE) for one, other in zip(some, others, strict=True)
    )
