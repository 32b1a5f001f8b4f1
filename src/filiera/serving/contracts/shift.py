"""How far the answers to the same rows moved from one version to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filiera.serving.contracts.part import Part

NAME = "shift"
_DELTA = 0.1
Answers = Sequence[Mapping[str, Any]]


def check_shift(old: Answers, new: Answers, thresholds: Mapping[str, float], *, delta: float = _DELTA) -> Part:
    """Return whether the answers to the same rows moved by more than *delta*.

    A number that moved is a warning; it is a failure where an application compares it with a threshold.

    Args:
        old: Answers of the version deployed.
        new: Answers of the candidate, to the same rows.
        thresholds: What applications compare numbers with, by place in an answer, such as ``probabilities.attack``.
        delta: Greatest share of rows, or greatest difference of two distribution functions, that counts as the same.
    """
    before, after = _columns(old), _columns(new)
    failed, warned = [], []
    for place in before.keys() & after.keys():
        moved = _moved(before[place], after[place])
        if place in thresholds:
            crossed = _crossed(before[place], after[place], thresholds[place])
            if crossed > delta:
                failed.append(f"{place} is on the other side of {thresholds[place]:g} for {crossed:.0%} of the rows")
        if moved > delta:
            warned.append(f"{place} is distributed otherwise: by {moved:.2f}, where {delta:g} is allowed")
    state = "failed" if failed else "warned" if warned else "passed"
    lines = [*sorted(failed), *sorted(warned)] or [f"answers to {len(old)} rows are distributed as before"]
    return Part(name=NAME, state=state, reason=lines[0], details=tuple(lines[1:]))  # type: ignore[arg-type]


def _columns(answers: Answers) -> dict[str, list[Any]]:
    """Return the values of all answers by their place, such as ``label`` and ``probabilities.attack``."""
    found: dict[str, list[Any]] = {}
    for answer in answers:
        for place, value in _leaves(answer):
            found.setdefault(place, []).append(value)
    return {place: values for place, values in found.items() if len(values) == len(answers)}


def _leaves(answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in answer.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", each) for inner, each in value.items())
        else:
            yield key, value


def _moved(old: Sequence[Any], new: Sequence[Any]) -> float:
    """Return how far apart two distributions are: Kolmogorov and Smirnov's distance, or total variation of labels."""
    if all(isinstance(value, float) for value in (*old, *new)):
        return float(max(abs(_share(old, at) - _share(new, at)) for at in {*old, *new}))
    kinds = {*old, *new}
    return float(sum(abs(old.count(value) / len(old) - new.count(value) / len(new)) for value in kinds) / 2)


def _share(values: Sequence[Any], at: float) -> float:
    return float(sum(value <= at for value in values) / len(values))


def _crossed(old: Sequence[Any], new: Sequence[Any], threshold: float) -> float:
    pairs = zip(old, new, strict=True)
    return float(sum((one >= threshold) != (other >= threshold) for one, other in pairs) / len(old))
