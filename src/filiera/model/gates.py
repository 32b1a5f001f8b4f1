"""What the gates of a model say about a candidate, given what the champion answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.gate import (
    Gate,
    GateResult,
    Improvement,
    independent_improvement,
    judge_improvement,
    judge_limit,
    refuse,
    undefined,
)
from filiera.core.metric import Metric, Metrics
from filiera.errors import did_you_mean
from filiera.model.paired import common_rows, improvement

_Found = Evaluation | Metrics
NO_COSTS: Mapping[str, Metric] = {}
_SAME = "the same answers on the same rows as the champion"


def decide(
    gates: Sequence[Gate], candidate: _Found, champion: _Found | None, costs: Mapping[str, Metric] = NO_COSTS
) -> tuple[GateResult, ...]:
    """Return what each of *gates* says, in their order; a gate over each slice of a column says it of its worst one.

    The improvement over the champion is judged on the rows that both have answered, in pairs (``model.paired``), where
    there are enough of them and the metric allows it; else as if both were measured on independent rows. A candidate
    whose metric and evaluation digest equal the champion's gave the same answers on the same rows: its improvement is
    exactly 0.

    Args:
        gates: Conditions.
        candidate: What its evaluation returned.
        champion: What the champion's did; None: there is none yet, and gates against it pass.
        costs: Metrics that are measured apart from the evaluation, by name.

    >>> f1 = Metric(name="f1_macro", value=0.95, low=0.93, high=0.965, n=500, method="bootstrap")
    >>> found, = decide([Gate("f1_macro", at_least=0.94)], Metrics((f1,), task="classification"), None)
    >>> found.passed, found.bound_used
    (False, 0.93)
    """
    return tuple(_decide(gate, candidate, champion, costs) for gate in gates)


def _decide(gate: Gate, candidate: _Found, champion: _Found | None, costs: Mapping[str, Metric]) -> GateResult:
    if gate.metric in costs and not gate.compares and not gate.slice and not gate.group:
        return judge_limit(gate, costs[gate.metric])
    looked = list(_parts(gate, candidate))
    if not looked:
        return refuse(gate, _absent(gate, candidate))
    results = [_of_part(gate, part, metrics, (candidate, champion)) for part, metrics in looked]
    return min(results, key=_distance)


def _distance(result: GateResult) -> tuple[bool, float]:
    """Order results from the worst to the best."""
    if result.bound_used is None or result.needed is None:
        return result.passed, 0.0
    turn = -1 if result.gate.at_most is not None else 1
    return result.passed, turn * (result.bound_used - result.needed)


_Part = tuple[str, object] | None
"""Column and value of a slice; None: all rows."""


def _parts(gate: Gate, found: _Found) -> Iterator[tuple[_Part, Metrics]]:
    """Yield the metrics a gate looks at, and which rows they are of."""
    if gate.group:
        for fairness in found.fairness if isinstance(found, Evaluation) else ():
            if fairness.column == gate.group:
                yield None, fairness.differences
    elif gate.slice:
        column, given, value = gate.slice.partition("=")
        for part in found.slices if isinstance(found, Evaluation) else ():
            if part.column == column and (not given or str(part.value) == value):
                yield (part.column, part.value), part.metrics
    else:
        yield None, metrics_of(found)


def _of_part(gate: Gate, part: _Part, metrics: Metrics, both: tuple[_Found, _Found | None]) -> GateResult:
    where = "" if part is None or "=" in (gate.slice or "") else f" ({part[0]} = {part[1]})"
    if gate.metric not in metrics:
        return refuse(gate, _no_metric(gate, metrics), where)
    metric = metrics[gate.metric]
    if not metric.is_defined:
        return refuse(gate, undefined(metric), where)
    if not gate.compares:
        return judge_limit(gate, metric, where)
    if both[1] is None:
        return GateResult(gate=gate, passed=True, reason=f"{gate}{where}: no champion yet")
    before = next((found for other, found in _parts(gate, both[1]) if other == part), None)
    if before is None:
        return refuse(gate, "the champion's record lacks these rows; evaluate it again", where)
    if gate.metric not in before:
        has = ", ".join(before.names) or "none"
        return refuse(gate, f"the champion's record lacks this metric; it has: {has}; evaluate it again", where)
    if not before[gate.metric].is_defined:
        return refuse(
            gate,
            f"of the champion, {undefined(before[gate.metric])}; promote another version",
            where,
        )
    if metric == before[gate.metric] and metrics.evaluation and metrics.evaluation == before.evaluation:
        same = Improvement(value=0.0, low=0.0, high=0.0, n=metric.n, method=_SAME)
        return judge_improvement(gate, same, where)
    found = None if gate.group else _paired(gate.metric, part, both)
    return judge_improvement(gate, found or independent_improvement(metric, before[gate.metric]), where)


def _paired(name: str, part: _Part, both: tuple[_Found, _Found | None]) -> Improvement | None:
    candidate, champion = both
    if not isinstance(candidate, Evaluation) or not isinstance(champion, Evaluation):
        return None
    rows = common_rows(candidate, champion, part)
    return None if rows is None else improvement(name, rows, clusters=candidate.clusters)


def _no_metric(gate: Gate, metrics: Metrics) -> str:
    """Return what there is instead of a metric, and why it may be missing."""
    known, like = ", ".join(metrics.names) or "none", did_you_mean(gate.metric, metrics.names)
    return " ".join([f"no such metric; there are: {known}.{like}", *(n for n in metrics.notes if "left out" in n)])


def _absent(gate: Gate, found: _Found) -> str:
    if not isinstance(found, Evaluation):
        return "bare Metrics have no slices or groups; return an Evaluation: evaluate(model, rows, target=…)"
    if gate.group:
        known = ", ".join(fairness.column for fairness in found.fairness) or "none"
        return f"no groups of {gate.group!r} were evaluated; there are: {known}"
    known = ", ".join(dict.fromkeys(part.column for part in found.slices)) or "none"
    return f"no slice {gate.slice!r} was evaluated; there are slices of: {known}"
