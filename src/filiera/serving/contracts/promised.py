"""Whether an answer is one that the signature promises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filiera.core.signature import Output
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.domain import output_domain

_SUM = 1e-5


def faults_of(outputs: Sequence[Output], answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one answer, without its values; none for an answer that is promised."""
    for output in outputs:
        key = ANSWER_KEYS[output.semantics]
        if key not in answer:
            yield f"{key} is missing"
        elif output.semantics == "probability":
            yield from _wrong_probabilities(key, output, answer[key])
        elif rule := output_domain(output).broken_rule(answer[key]):
            yield f"{key} {rule}"


def _wrong_probabilities(key: str, output: Output, given: Any) -> Iterator[str]:
    wanted = [label_key(label) for label in output.labels]
    if not isinstance(given, Mapping):
        yield f"{key} must be an object with one probability per label"
    elif list(given) != wanted:
        yield f"{key} must have the labels {', '.join(wanted)}, in this order"
    elif not all(isinstance(value, int | float) and 0 <= value <= 1 for value in given.values()):
        yield f"{key} must lie between 0 and 1"
    elif not math.isclose(sum(given.values()), 1, abs_tol=_SUM):
        yield f"{key} must sum to 1"


def is_near(one: Any, other: Any, *, tolerance: float) -> bool:
    """Tell whether two answers are equal, numbers up to *tolerance* as a share of those above 1.

    >>> is_near({"value": 1.0, "id": "a"}, {"value": 1.0 + 1e-9, "id": "a"}, tolerance=1e-6)
    True
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(is_near(one[key], other[key], tolerance=tolerance) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))
    return bool(one == other)
