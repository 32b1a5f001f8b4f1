"""What monitoring found, as plain values: one finding per column and aspect, one report per window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from filiera.core.value import dataclass
from filiera.errors import UsageError

Role = Literal["input", "output"]
Aspect = Literal["values", "missing", "unseen"]
State = Literal["ok", "drift", "not enough data", "missing column", "not tested"]
DriftVerdict = Literal["quiet", "drift", "not enough data"]

_URGENCY: tuple[State, ...] = ("missing column", "drift", "ok", "not enough data", "not tested")
_NAMED_IN_SUMMARY = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftSettings:
    """When a change is worth an alarm: it must be real (*q*) and large (*least_shift*, *least_gap*).

    The defaults come from real network flows in 42 columns, 500 seeded windows of each 500, 1,000, 2,000 and 5,000
    rows: without change the p-values alone alarmed in 0, 0.2, 0.8 and 0 % of them at this q, and with the thresholds
    none did. A quarter of 500 rows replaced by one kind of traffic does alarm.

    >>> DriftSettings().q
    0.01
    """

    q: float = 0.01  #: an alarm needs a Benjamini-Hochberg adjusted p-value of at most this
    least_shift: float = 0.1  #: … and, for values, at least this share of rows displaced (KS D, total variation)
    least_gap: float = 0.01  #: … and, for missing and unseen values, shares at least this far apart
    minimum_rows: int = 50  #: fewer values than this on either side are "not enough data", never "no drift"
    ignore: tuple[str, ...] = ()  #: columns not looked at, such as sensitive ones that are never logged

    def __post_init__(self) -> None:
        if not (0 < self.q < 1 and 0 <= self.least_shift <= 1 and 0 <= self.least_gap <= 1 and self.minimum_rows >= 1):
            raise UsageError(
                f"These monitoring settings cannot be used: {self}",
                why="q lies between 0 and 1, least_shift and least_gap are shares, minimum_rows is at least 1.",
                do="Correct them, or leave them out: the defaults are calibrated.",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One cell of a column's distribution, coarse enough to draw."""

    label: str  #: range or value
    reference: float  #: share of the training rows, 0 to 1
    current: float  #: share of the rows of the window, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one test said about one aspect of one column."""

    column: str
    role: Role
    aspect: Aspect  #: how its values are distributed, how many are missing, how many were never seen in training
    state: State = "ok"
    test: str = ""  #: "Kolmogorov-Smirnov", "chi-square", "two proportions", "Fisher exact"; "" when none was done
    statistic: float | None = None  #: D, χ², z, or the difference of shares
    p_value: float | None = None  #: of this test alone
    adjusted_p: float | None = None  #: Benjamini-Hochberg, over all tests of the report
    effect: float | None = None  #: size of the change, 0 to 1, not growing with the number of rows
    effect_name: str = ""  #: "D", "total variation", "difference of shares"
    threshold: float = 0.0  #: least effect that is worth an alarm
    interval: tuple[float, float] | None = (
        None  #: 95 % for current share minus reference share, where shares are tested
    )
    reference_rows: int = 0  #: rows of the training data that the test used
    current_rows: int = 0  #: rows of the window that the test used
    note: str = ""  #: what a person should know besides
    bars: tuple[Bar, ...] = ()  #: the distributions, for "values"
    measures: Mapping[str, float] = field(default_factory=dict)  #: further numbers, which decide nothing

    @property
    def is_alarm(self) -> bool:
        """Tell whether somebody should look at this."""
        return self.state in ("drift", "missing column")

    @property
    def severity(self) -> float:
        """Return the effect in units of its threshold; 0 when nothing was tested."""
        return 0.0 if self.effect is None else self.effect / max(self.threshold, 1e-9)

    def to_row(self) -> dict[str, Any]:
        """Return the line of a table: plain values under stable names, None where there is nothing."""
        return {
            "column": self.column,
            "role": self.role,
            "aspect": self.aspect,
            "state": self.state,
            "test": self.test or None,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "adjusted_p": self.adjusted_p,
            "effect": self.effect,
            "effect_name": self.effect_name or None,
            "threshold": self.threshold,
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "note": self.note or None,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftReport:
    """The comparison of one window with the training data."""

    verdict: DriftVerdict
    findings: tuple[Finding, ...]  #: in the order of the model's inputs, then outputs
    unexpected: tuple[str, ...] = ()  #: columns of the window that the training data does not have
    reference_rows: int  #: training rows
    current_rows: int  #: rows of the window
    settings: DriftSettings

    @property
    def summary(self) -> str:
        """Return one line for people: the verdict, over what, and the worst columns."""
        if self.verdict == "not enough data":
            need = f"a column needs {self.settings.minimum_rows:,} values on both sides"
            return f"not enough data: {self.current_rows:,} rows in the window; {need}"
        columns = len({(finding.role, finding.column) for finding in self.findings})
        where = f"{columns} columns over {self.current_rows:,} rows"
        if self.verdict == "quiet":
            tested = [finding for finding in self.worst() if finding.effect is not None]
            return f"quiet: {where}" + (f", the largest change is {_brief(tested[0])}" if tested else "")
        alarms = [finding for finding in self.worst() if finding.is_alarm]
        drifted = len({(finding.role, finding.column) for finding in alarms})
        rest = len(alarms) - _NAMED_IN_SUMMARY
        named = ", ".join(_brief(finding) for finding in alarms[:_NAMED_IN_SUMMARY])
        return f"drift in {drifted} of {where}: {named}" + (f" and {rest} more" if rest > 0 else "")

    def worst(self) -> list[Finding]:
        """Return the findings, alarms first and the largest change in front."""
        return sorted(self.findings, key=lambda finding: (_URGENCY.index(finding.state), -finding.severity))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the lines of a table, worst first; the keys are those of ``Finding.to_row``."""
        return [finding.to_row() for finding in self.worst()]


def _brief(finding: Finding) -> str:
    name = finding.column if finding.aspect == "values" else f"{finding.column} {finding.aspect}"
    return (
        f"{name} ({finding.state})"
        if finding.effect is None
        else f"{name} ({finding.effect_name} {finding.effect:.2f})"
    )
