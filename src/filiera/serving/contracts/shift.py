"""How far the answers to the same rows moved from one version to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.serving.agreement import compared
from filiera.serving.answers import answers_of
from filiera.serving.batch import Batch, Outputs, together
from filiera.serving.contracts.part import Part, State
from filiera.serving.predictor import PredictionFailed
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel, request_body

NAME = "shift"
_DELTA = 0.1
_AT_ONCE = 64
_LONGEST_S = 10.0
Answers = Sequence[Mapping[str, Any]]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadowed:
    """What two versions gave to the same rows, in their order."""

    usual: Outputs  #: of the version that answers now
    tried: Outputs  #: of the candidate
    refused: int  #: rows that the one takes and the other does not


class Moved:
    """Says how far the answers of a candidate moved from those of the version that answers now."""

    def __init__(self, answering: ServedModel, candidate: ServedModel, thresholds: Mapping[str, float]) -> None:
        """Compare two versions; *thresholds* are what applications compare parts of answers with."""
        self._answering = answering
        self._candidate = candidate
        self._thresholds = thresholds

    def check(self, rows: Rows, what: str, *, clock: Callable[[], float] = time.monotonic) -> Part:
        """Return whether both answer *rows* alike: those that both take, as many as ten seconds are enough for.

        Args:
            rows: As requests carry them.
            what: Where they are from, in a word, such as ``logged``.
            clock: Seconds.
        """
        now = self._answering.contract.version
        try:
            found = self._shadowed(rows, clock)
        except PredictionFailed as error:
            return Part(name=NAME, state="failed", reason=f"the model fails on {what} rows", details=(error.why,))
        except FilieraError as error:
            reason = f"version {now}, which answers now, fails on {what} rows: {error.what}"
            return Part(name=NAME, state="skipped", reason=reason)
        if found is None:
            return Part(name=NAME, state="skipped", reason=f"no {what} row is taken by version {now} and by this one")
        promised = self._answering.contract.signature.outputs, self._candidate.contract.signature.outputs
        counted = compared(promised[0], found.usual, promised[1], found.tried)
        told = f"answers to {counted.rows:,} {what} rows: {counted.agreed / counted.rows:.1%} as before"
        interval = counted.shift_interval()
        if interval is not None and any(output.semantics not in ("label", "cluster") for output in promised[0]):
            told += ", score {:+.4f} [{:+.4f}, {:+.4f}]".format(*interval)
        ids = [""] * counted.rows
        old, new = answers_of(promised[0], found.usual, ids), answers_of(promised[1], found.tried, ids)
        part = check_shift(old, new, self._thresholds, told=told)
        if found.refused and part.state != "failed":
            line = f"{found.refused:,} {what} rows that version {now} takes are refused"
            return Part(name=NAME, state="warned", reason=line, details=(part.reason, *part.details))
        return part

    def _shadowed(self, rows: Rows, clock: Callable[[], float]) -> Shadowed | None:
        """Return what both gave. Raises PredictionFailed for the candidate, FilieraError for the other."""
        began_s, refused = clock(), 0
        usual: list[Outputs] = []
        tried: list[Outputs] = []
        for start in range(0, len(rows), _AT_ONCE):
            taken = [row for row in rows[start : start + _AT_ONCE] if _takes(self._answering, row)]
            both = [row for row in taken if _takes(self._candidate, row)]
            refused += len(taken) - len(both)
            if both:
                try:
                    usual.append(_given(self._answering, both))
                except PredictionFailed as error:
                    raise FilieraError(error.what, why=error.why) from error
                tried.append(_given(self._candidate, both))
            if clock() - began_s > _LONGEST_S:
                break
        return Shadowed(usual=together(usual), tried=together(tried), refused=refused) if usual else None


def check_shift(
    old: Answers, new: Answers, thresholds: Mapping[str, float], *, told: str = "", delta: float = _DELTA
) -> Part:
    """Return whether the answers to the same rows moved by more than *delta*.

    A number that moved is a warning; it is a failure where an application compares it with a threshold.

    Args:
        old: Answers of the version deployed.
        new: Answers of the candidate, to the same rows.
        thresholds: What applications compare numbers with, by place in an answer, such as ``probabilities.attack``.
        told: What is said of the answers in any case.
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
            warned.append(f"{place} is distributed otherwise, by {moved:.2f}: over {delta:g} is a warning")
    state: State = "failed" if failed else "warned" if warned else "passed"
    lines = [*sorted(failed), *sorted(warned), *([told] if told else [])]
    return Part(name=NAME, state=state, reason="".join(lines[:1]), details=tuple(lines[1:]))


def _takes(model: ServedModel, row: Mapping[str, Any]) -> bool:
    try:
        model.records.decode(request_body([row]))
    except RequestRefused:
        return False
    return True


def _given(model: ServedModel, rows: Rows) -> Outputs:
    """Return what a model gives to rows that it takes, in batches of as many as one request may have."""
    most = model.contract.signature.max_rows
    batches: list[Batch] = [
        model.records.decode(request_body(rows[start : start + most])) for start in range(0, len(rows), most)
    ]
    return together([model.predictor.predict(batch) for batch in batches])


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
