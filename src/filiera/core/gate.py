"""Blocking conditions on a model's metrics, decided on a confidence bound and not on a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Literal

from filiera.core.metric import Metric, Metrics
from filiera.core.value import dataclass
from filiera.errors import ProjectError


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition a model version must meet to be published: exactly one of the three keywords.

    ``at_least=t`` asks that the *lower* end of the metric's interval is t or more, ``at_most=t`` that the *upper* end
    is t or less. ``not_worse_than="champion"`` asks that the lower end of the interval of the improvement over the
    champion is ``-margin`` or more; improvement is candidate - champion, or the reverse for errors and losses.
    With 95 % intervals, a model exactly at the limit gets through in at most about 2.5 of 100 tries.

    Raises:
        ProjectError: No condition, more than one, or a limit or margin that is not a usable number.

    >>> str(Gate("f1_macro", not_worse_than="champion", margin=0.01))
    'f1_macro not worse than champion by more than 0.01'
    """

    metric: str  #: name of the metric
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: Literal["champion"] | None = None
    margin: float = 0.0  #: loss that is tolerated against the champion, 0 or more, in units of the metric

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise _unusable(f"names {self.metric!r} as its metric", 'Gate("f1_macro", at_least=0.9)')
        conditions = (self.at_least, self.at_most, self.not_worse_than)
        if sum(condition is not None for condition in conditions) != 1:
            raise _unusable(f"on {self.metric!r} needs exactly one condition", "at_least, at_most or not_worse_than")
        if self.not_worse_than not in (None, "champion"):
            raise _unusable(f"on {self.metric!r} compares with {self.not_worse_than!r}", 'not_worse_than="champion"')
        for limit in (self.at_least, self.at_most, self.margin):
            if limit is not None and not _is_number(limit):
                raise _unusable(f"on {self.metric!r} has the limit {limit!r}", "a finite number")
        if self.margin < 0 or (self.margin and self.not_worse_than is None):
            raise _unusable(f"on {self.metric!r} has margin {self.margin}", "0 or more, and only with not_worse_than")

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"{self.metric} at least {self.at_least:g}"
        if self.at_most is not None:
            return f"{self.metric} at most {self.at_most:g}"
        return f"{self.metric} not worse than {self.not_worse_than} by more than {self.margin:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """What one gate said, with the numbers it looked at."""

    gate: Gate
    passed: bool
    observed: float | None  #: the metric's value, or the improvement over the champion; None: nothing to look at
    bound_used: float | None  #: the end of the interval that decided
    needed: float | None  #: what that end had to reach
    detectable: float | None  #: half-width of the interval: smaller differences cannot be told on so many rows
    reason: str  #: one line for people


@dataclass(frozen=True, slots=True)
class GateReport:
    """What all gates said about one candidate: a verdict."""

    results: tuple[GateResult, ...]

    @property
    def blocks(self) -> bool:
        """Tell whether the candidate must not be published."""
        return not all(result.passed for result in self.results)

    @property
    def summary(self) -> str:
        """Return one line: how many gates passed, how finely they could see, and why the others did not."""
        if not self.results:
            return "no gates"
        failed = [result.reason for result in self.results if not result.passed]
        known = [
            f"{result.gate.metric} to {result.detectable:.4f}"
            for result in self.results
            if result.passed and result.detectable is not None
        ]
        passed = f"{len(self.results) - len(failed)} of {len(self.results)} gates passed"
        return "; ".join((f"{passed} (known: {', '.join(known)})" if known else passed, *failed))


def decide(gates: Sequence[Gate], metrics: Metrics, champion: Metrics | None) -> GateReport:
    """Return what each of *gates* says about *metrics*, in their order, given the champion's recorded metrics.

    The improvement over the champion is judged as if both were measured on different, independent rows: its bound is
    the difference minus the root of the summed squares of the two half-widths that face each other. On the same rows
    the errors mostly go together, so that this asks for more than needed, never for less. A candidate whose metric and
    evaluation digest equal the champion's gave the same answers on the same rows: its improvement is exactly 0.

    Source:
        Zou and Donner (2008), Construction of confidence limits about effect measures (MOVER).

    >>> f1 = Metric(name="f1_macro", value=0.95, low=0.93, high=0.965, n=500, method="bootstrap")
    >>> report = decide([Gate("f1_macro", at_least=0.94)], Metrics((f1,), task="classification"), None)
    >>> report.blocks, report.results[0].bound_used
    (True, 0.93)
    """
    return GateReport(tuple(_decide_one(gate, metrics, champion) for gate in gates))


def _decide_one(gate: Gate, metrics: Metrics, champion: Metrics | None) -> GateResult:
    if gate.metric not in metrics:
        return _block(gate, f"{gate}: no such metric; there are: {', '.join(metrics.names) or 'none'}")
    candidate = metrics[gate.metric]
    if not candidate.is_defined:
        return _block(gate, f"{gate}: the metric is {candidate.value:g} with interval {_interval(candidate)}")
    if gate.not_worse_than is None:
        return _against_limit(gate, candidate)
    if champion is None:
        reason = f"{gate}: no champion yet"
        return GateResult(
            gate=gate, passed=True, observed=None, bound_used=None, needed=None, detectable=None, reason=reason
        )
    if gate.metric not in champion:
        has = ", ".join(champion.names) or "none"
        return _block(gate, f"{gate}: the champion's record lacks this metric; it has: {has}; evaluate it again")
    if not champion[gate.metric].is_defined:
        return _block(gate, f"{gate}: the champion's recorded metric is not a number; evaluate it again")
    is_same = candidate == champion[gate.metric] and metrics.evaluation == champion.evaluation
    return _against_champion(gate, candidate, champion[gate.metric], is_same=is_same)


def _against_limit(gate: Gate, metric: Metric) -> GateResult:
    if gate.at_least is not None:
        bound, needed, passed, end = metric.low, gate.at_least, metric.low >= gate.at_least, "lower"
    else:
        assert gate.at_most is not None
        bound, needed, passed, end = metric.high, gate.at_most, metric.high <= gate.at_most, "upper"
    detectable = abs(metric.value - bound)
    return GateResult(
        gate=gate,
        passed=passed,
        observed=metric.value,
        bound_used=bound,
        needed=needed,
        detectable=detectable,
        reason=f"{gate}: {end} bound {bound:.4f} of {metric.value:.4f} {_met(passed)} {needed:g} "
        f"({metric.n:,} rows, which cannot tell differences below {detectable:.4f})",
    )


def _against_champion(gate: Gate, candidate: Metric, champion: Metric, *, is_same: bool) -> GateResult:
    sign = 1 if candidate.greater_is_better else -1
    improvement = 0.0 if is_same else sign * (candidate.value - champion.value)
    detectable = 0.0 if is_same else _joint_half_width(candidate, champion)
    bound = improvement - detectable
    passed = bound >= -gate.margin
    how = (
        "the same answers on the same rows as the champion"
        if is_same
        else f"{candidate.n:,} and {champion.n:,} rows taken as independent, which is conservative on the same rows; "
        f"they cannot tell differences below {detectable:.4f}"
    )
    return GateResult(
        gate=gate,
        passed=passed,
        observed=improvement,
        bound_used=bound,
        needed=-gate.margin,
        detectable=detectable,
        reason=f"{gate}: lower bound {bound:+.4f} of improvement {improvement:+.4f} {_met(passed)} "
        f"{-gate.margin:g} ({how})",
    )


def _joint_half_width(candidate: Metric, champion: Metric) -> float:
    """Return how far the improvement may lie below what was observed, at the candidate's level."""
    if candidate.greater_is_better:
        down, up = candidate.value - candidate.low, champion.high - champion.value
    else:
        down, up = candidate.high - candidate.value, champion.value - champion.low
    scale = _z(candidate.level) / _z(champion.level)
    return math.hypot(max(down, 0.0), scale * max(up, 0.0))


def _z(level: float) -> float:
    from statistics import NormalDist  # here: it takes 4 ms to import, and every start of the command pays

    return NormalDist().inv_cdf((1 + level) / 2)


def _met(passed: bool) -> str:
    return "meets" if passed else "misses"


def _block(gate: Gate, reason: str) -> GateResult:
    return GateResult(
        gate=gate, passed=False, observed=None, bound_used=None, needed=None, detectable=None, reason=reason
    )


def _interval(metric: Metric) -> str:
    return f"{metric.low:g} to {metric.high:g}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unusable(what: str, want: str) -> ProjectError:
    return ProjectError(f"A gate {what}.", do=f"Give {want}.")
