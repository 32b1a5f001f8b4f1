"""Blocking conditions on a model's metrics, decided on a confidence bound and not on a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, replace
from typing import Literal

from filiera.core.metric import Metric
from filiera.core.value import dataclass
from filiera.errors import ProjectError

Champion = Literal["champion"]
DETECTED = 0.8
"""Probability with which a difference of the detectable size would have been seen."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition a model version must meet to be published: exactly one of the four limits.

    ``at_least=t`` asks that the *lower* end of the metric's interval is t or more, ``at_most=t`` that the *upper* end
    is t or less. ``not_worse_than="champion"`` asks that the lower end of the interval of the improvement over the
    champion is ``-margin`` or more, ``better_than="champion"`` that it is above ``margin``; improvement is candidate -
    champion, or the reverse for errors and losses. With 95 % intervals, a model exactly at the limit gets through in at
    most about 2.5 of 100 tries.

    A metric is one of the evaluation, or ``model_mb``, the stored model in megabytes, ``predict_ms``, the 95th
    percentile of the milliseconds that one row takes on the machine of the run, or ``evaluation_drift``, the greatest
    effect size (0 to 1) by which the rows evaluated differ from those the champion was trained on.

    Raises:
        ProjectError: No limit, more than one, or a limit, margin, slice or group that cannot be used.

    >>> str(Gate("f1_macro", not_worse_than="champion", margin=0.01))
    'f1_macro not worse than champion by more than 0.01'
    >>> str(Gate("recall_macro", slice="protocol", at_least=0.8))
    'recall_macro at least 0.8, each protocol'
    """

    metric: str  #: name of the metric
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: Champion | None = None
    better_than: Champion | None = None
    margin: float = 0.0  #: loss that is tolerated, or gain that is asked for, against the champion
    slice: str = ""  #: each slice of this column, or one: "protocol" or "protocol=udp"
    group: str = ""  #: the column whose groups a fairness metric such as "demographic_parity_difference" compares

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise _unusable(f"names {self.metric!r} as its metric", 'Gate("f1_macro", at_least=0.9)')
        conditions = (self.at_least, self.at_most, self.not_worse_than, self.better_than)
        if sum(condition is not None for condition in conditions) != 1:
            raise _unusable(
                f"on {self.metric!r} needs exactly one condition", "at_least, at_most, not_worse_than or better_than"
            )
        if any(rival not in (None, "champion") for rival in conditions[2:]):
            raise _unusable(f"on {self.metric!r} compares with {conditions[2] or conditions[3]!r}", '"champion"')
        for limit in (self.at_least, self.at_most, self.margin):
            if limit is not None and not _is_number(limit):
                raise _unusable(f"on {self.metric!r} has the limit {limit!r}", "a finite number")
        if self.margin < 0 or (self.margin and not self.compares):
            raise _unusable(f"on {self.metric!r} has margin {self.margin}", "0 or more, and only against the champion")
        if not isinstance(self.slice, str) or not isinstance(self.group, str) or (self.slice and self.group):
            raise _unusable(
                f"on {self.metric!r} has slice {self.slice!r} and group {self.group!r}", "one column's name"
            )

    @property
    def compares(self) -> bool:
        """Tell whether it looks at the champion."""
        return self.not_worse_than is not None or self.better_than is not None

    def __str__(self) -> str:
        where = (
            f", each {self.slice}" if self.slice and "=" not in self.slice else f", {self.slice}" if self.slice else ""
        )
        where = f", between groups of {self.group}" if self.group else where
        if self.at_least is not None:
            return f"{self.metric} at least {self.at_least:g}{where}"
        if self.at_most is not None:
            return f"{self.metric} at most {self.at_most:g}{where}"
        if self.better_than is not None:
            return f"{self.metric} better than {self.better_than} by more than {self.margin:g}{where}"
        return f"{self.metric} not worse than {self.not_worse_than} by more than {self.margin:g}{where}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Improvement:
    """How much better the candidate is than the champion by one metric; negative where it is worse."""

    value: float  #: in units of the metric, its sign turned for errors and losses
    low: float  #: lower end of the 95 % interval
    high: float  #: upper end
    n: int  #: rows that it is known from
    method: str  #: how the interval was made, for people


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """Lets a model pass one gate that it fails, for a reason and for a time; written in ``filiera.toml``."""

    gate: str  #: the gate as it is printed
    reason: str
    until: str  #: the last day on which it counts, in ISO 8601


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """What one gate said, with the numbers it looked at."""

    gate: Gate
    passed: bool
    observed: float | None = None  #: the metric's value, or the improvement over the champion; None: nothing to look at
    bound_used: float | None = None  #: the end of the interval that decided
    needed: float | None = None  #: what that end had to reach
    detectable: float | None = None  #: a difference that would have been seen with a probability of 80 %
    reason: str  #: one line for people
    waiver: Waiver | None = None  #: what lets the model pass nevertheless

    @property
    def blocks(self) -> bool:
        """Tell whether it keeps the candidate from being published."""
        return not self.passed and self.waiver is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """Whether rows that the model was trained on were evaluated, too."""

    training: int  #: rows trained on
    evaluated: int  #: rows evaluated
    shared: int  #: of the latter, those that equal one of the former in every column
    is_allowed: bool = False  #: the project says that equal rows are independent observations

    @property
    def blocks(self) -> bool:
        """Tell whether the evaluation cannot be believed."""
        return self.shared > 0 and not self.is_allowed

    @property
    def reason(self) -> str:
        """Return one line for people."""
        of = f"{self.shared:,} of {self.evaluated:,} evaluated rows equal one of {self.training:,} training rows"
        if not self.blocks:
            return of
        do = "split in a step of its own, or publish Model(…, may_share_rows=True)"
        return f"the model was trained on rows that it is tested on: {of}; {do}"


@dataclass(frozen=True, slots=True)
class GateReport:
    """What all gates said about one candidate: a verdict."""

    results: tuple[GateResult, ...]
    shared: Shared | None = None  #: None: what was trained on and what was evaluated could not be compared

    @property
    def blocks(self) -> bool:
        """Tell whether the candidate must not be published."""
        return any(result.blocks for result in self.results) or (self.shared is not None and self.shared.blocks)

    @property
    def summary(self) -> str:
        """Return one line: how many gates passed, how finely they could see, and why the others did not."""
        leak = [self.shared.reason] if self.shared is not None and self.shared.blocks else []
        if not self.results:
            return "; ".join(["no gates", *leak])
        failed = [result.reason for result in self.results if result.blocks]
        waived = [
            f"waived until {result.waiver.until} ({result.waiver.reason}): {result.reason}"
            for result in self.results
            if result.waiver is not None
        ]
        known = [
            f"{result.gate.metric} to {result.detectable:.4f}"
            for result in self.results
            if result.passed and result.detectable
        ]
        count = sum(result.passed for result in self.results)
        passed = f"{count} of {len(self.results)} gates passed"
        first = f"{passed} (known: {', '.join(known)})" if known else passed
        return "; ".join((first, *leak, *failed, *waived))


def waive(result: GateResult, waivers: Sequence[Waiver]) -> GateResult:
    """Return *result* with the waiver that names its gate, if it failed and there is one."""
    if result.passed:
        return result
    return replace(result, waiver=next((waiver for waiver in waivers if waiver.gate == str(result.gate)), None))


def judge_limit(gate: Gate, metric: Metric, where: str = "") -> GateResult:
    """Return what a gate with ``at_least`` or ``at_most`` says of a *metric*; *where* tells which rows it is of.

    >>> f1 = Metric(name="f1_macro", value=0.95, low=0.93, high=0.965, n=500, method="bootstrap")
    >>> judge_limit(Gate("f1_macro", at_least=0.94), f1).passed
    False
    """
    if not metric.is_defined:
        return refuse(gate, undefined(metric), where)
    if gate.at_least is not None:
        bound, needed, passed, end = metric.low, gate.at_least, metric.low >= gate.at_least, "lower"
    else:
        assert gate.at_most is not None
        bound, needed, passed, end = metric.high, gate.at_most, metric.high <= gate.at_most, "upper"
    detectable = _detectable(abs(metric.value - bound), metric.level)
    return GateResult(
        gate=gate,
        passed=passed,
        observed=metric.value,
        bound_used=bound,
        needed=needed,
        detectable=detectable,
        reason=f"{gate}{where}: {end} bound {bound:.4f} of {metric.value:.4f} "
        f"{_met(passed, bound, needed)} ({_rows(metric.n, detectable) or metric.method})",
    )


def judge_improvement(gate: Gate, found: Improvement, where: str = "") -> GateResult:
    """Return what a gate against the champion says of an improvement.

    >>> better = Improvement(value=0.02, low=-0.005, high=0.045, n=500, method="paired bootstrap")
    >>> judge_improvement(Gate("f1_macro", not_worse_than="champion", margin=0.01), better).passed
    True
    """
    if math.isnan(found.value) or math.isnan(found.low):
        return refuse(gate, "the improvement is not a number", where)
    if gate.better_than is not None:
        needed, passed = gate.margin, found.low > gate.margin
    else:
        needed, passed = 0.0 - gate.margin, found.low >= -gate.margin
    detectable = _detectable(found.value - found.low, 0.95)
    return GateResult(
        gate=gate,
        passed=passed,
        observed=found.value,
        bound_used=found.low,
        needed=needed,
        detectable=detectable,
        reason=f"{gate}{where}: lower bound {found.low:+.4f} of improvement {found.value:+.4f} "
        f"{_met(passed, found.low, needed)} ({'; '.join(filter(None, (found.method, _rows(found.n, detectable))))})",
    )


def independent_improvement(candidate: Metric, champion: Metric) -> Improvement:
    """Return the improvement as if both were measured on different, independent rows.

    Its ends are the difference and the root of the summed squares of the half-widths that face each other. On the same
    rows the errors mostly go together, so that this is wider than needed, never narrower.

    Source:
        Zou and Donner (2008), Construction of confidence limits about effect measures (MOVER).
    """
    turn = 1 if candidate.greater_is_better else -1
    scale = _z(candidate.level) / _z(champion.level)
    rise, fall = champion.high - champion.value, champion.value - champion.low
    worse, better = candidate.value - candidate.low, candidate.high - candidate.value
    if turn < 0:
        rise, fall, worse, better = fall, rise, better, worse
    value = turn * (candidate.value - champion.value)
    return Improvement(
        value=value,
        low=value - math.hypot(max(worse, 0.0), scale * max(rise, 0.0)),
        high=value + math.hypot(max(better, 0.0), scale * max(fall, 0.0)),
        n=min(candidate.n, champion.n),
        method=f"{candidate.n:,} and {champion.n:,} rows taken as independent, which is conservative on the same rows",
    )


def undefined(metric: Metric) -> str:
    """Return why nothing can be decided on a metric that is not defined."""
    return f"the metric is {metric.value:g} with interval {metric.low:g} to {metric.high:g}, which decides nothing"


def refuse(gate: Gate, why: str, where: str = "") -> GateResult:
    """Return that a gate which cannot be decided is not passed."""
    return GateResult(gate=gate, passed=False, reason=f"{gate}{where}: {why}")


def _detectable(half_width: float, level: float) -> float:
    """Return the difference that is seen with a probability of 80 %, from the half-width of an interval."""
    return half_width * (1 + _z(2 * DETECTED - 1) / _z(level))


def _rows(n: int, detectable: float) -> str:
    return f"{n:,} rows, which cannot tell differences below {detectable:.4f}" if detectable else ""


def _z(level: float) -> float:
    from statistics import NormalDist  # here: it takes 4 ms to import, and every start of the command pays

    return NormalDist().inv_cdf((1 + level) / 2)


def _met(passed: bool, bound: float, needed: float) -> str:
    return f"meets {needed:g}" if passed else f"misses {needed:g} by {abs(bound - needed):.4f}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unusable(what: str, want: str) -> ProjectError:
    return ProjectError(f"A gate {what}.", do=f"Give {want}.")
