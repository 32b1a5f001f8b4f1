"""How a new version reaches callers: in stages, each with a larger share of them, until something speaks against it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Literal

from filiera.core.anytime import log_evidence_above, log_evidence_of_more
from filiera.core.value import dataclass
from filiera.errors import UsageError

SHADOW = 0.0
"""The share of a stage in which the candidate answers every request too, and nobody sees it."""
FALSE_ALARM = 0.01
"""A version as good as the one before it is rolled back with at most this probability, over all stages together."""
FAILURE_MARGIN = 0.01
"""Failing or refusing this much more often than the version before is tolerated: one request in a hundred."""
SLOW_MARGIN = 0.05
"""That one request in twenty more is slow is tolerated: so what is compared is the 95th percentile."""

State = Literal["running", "done", "rolled-back", "stopped"]
Move = Literal["stay", "advance", "roll-back"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentPlan:
    """In which stages a version is tried, and how long."""

    shares: tuple[float, ...]  #: of each stage, ascending, below 1; ``SHADOW`` first, or not at all
    every_s: float  #: how long a stage lasts at least
    requests: int  #: how many the candidate must have had in it at least
    least_agreement: float | None = None  #: in shadow: of its answers at least this share must be as before
    is_monitored: bool = False  #: no stage ends before monitoring has looked at what the candidate was asked and said

    def __post_init__(self) -> None:
        if not self.shares:
            raise UsageError("There is no stage but the whole.", do="filiera promote moves an alias at once.")
        if list(self.shares) != sorted(set(self.shares)) or not all(0 <= share < 1 for share in self.shares):
            raise UsageError(
                "The stages are not in order.",
                why="Each has a larger share than the one before, and all have less than 100 %.",
                do="Give stages such as shadow,5,25.",
            )
        if not (self.every_s >= 0 and math.isfinite(self.every_s)):
            raise UsageError("A stage cannot last less than no time.", do="Give a duration such as 10m.")
        if self.requests < 1:
            raise UsageError("A stage without requests says nothing.", do="Ask for at least 1.")
        if self.least_agreement is not None and not 0 < self.least_agreement < 1:
            raise UsageError("Agreement is a share between 0 and 1.", do="Give one such as 0.95.")

    @property
    def threshold(self) -> float:
        """Return how much evidence, as a logarithm, ends the deployment: so much that all looks keep FALSE_ALARM."""
        return math.log(len(_COUNTS) * len(self.shares) / FALSE_ALARM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a service does with a version that is being tried."""

    deployment: int  #: its number
    stage: int  #: from 0
    candidate: int  #: number of the version
    share: float  #: of the requests that it answers; ``SHADOW``: none, but it is asked behind every one

    def takes(self, key: str) -> bool:
        """Tell whether the candidate answers who has this *key*: alike in all services, and in later stages too.

        >>> trial = Trial(deployment=1, stage=0, candidate=2, share=0.5)
        >>> [trial.takes(key) for key in ("ann", "bob", "eve", "fay")]
        [False, False, True, True]
        """
        drawn = hashlib.blake2b(f"{self.deployment}:{key}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < self.share * 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineup:
    """What an endpoint shall serve now."""

    stable: int  #: number of the version that answers
    trial: Trial | None = None  #: of the one that may replace it


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What became of the requests that one version got in one stage; tallies of several services add up."""

    requests: int = 0  #: answered, refused or failed
    refused: int = 0  #: rows against the signature
    failed: int = 0  #: by the model's fault
    timed: int = 0  #: answered since it is known what is slow
    slow: int = 0  #: of these, how many took longer than that
    rows: int = 0  #: in shadow: rows answered by both versions
    agreed: int = 0  #: of these, how many with the same answer
    shift: float = 0.0  #: sum over these rows of the candidate's score less the other's
    shift_squared: float = 0.0  #: sum of the squares of these

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in TALLY_FIELDS})

    def count(self, what: str) -> tuple[int, int]:
        """Return how often something happened, and in how many cases."""
        return (self.slow, self.timed) if what == "slow" else (getattr(self, what), self.requests)

    def shift_interval(self) -> tuple[float, float, float] | None:
        """Return by how much scores moved on average, with its interval at 95 % (normal); None below two rows."""
        if self.rows < 2:
            return None
        mean = self.shift / self.rows
        variance = max(0.0, self.shift_squared - self.rows * mean**2) / (self.rows - 1)
        half = 1.96 * math.sqrt(variance / self.rows)
        return mean, mean - half, mean + half


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a service says of itself."""

    stable: int  #: number of the version that answers
    trouble: str  #: why that is not the one that shall answer; '' when it is
    trial: Trial | None = None  #: what it tries
    tried: Tally = Tally()  #: what became of the candidate's requests in this stage
    usual: Tally = Tally()  #: and of those of the version before


TALLY_FIELDS = tuple(Tally.__dataclass_fields__)
_COUNTS = ("failed", "refused", "slow", "agreed")
_TOLD = {"failed": "fails", "refused": "refuses rows", "slow": "is slow"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What follows from the tallies of a stage."""

    move: Move
    why: str  #: one line for people


def judge(plan: DeploymentPlan, trial: Trial, *, tried: Tally, usual: Tally, for_s: float) -> Verdict:
    """Return what to do next, given all that was counted in the present stage.

    May be asked as often as one likes: over all looks at all stages, a candidate that is no worse than the version
    before it is rolled back with probability at most ``FALSE_ALARM``. That holds for requests that are independent of
    one another; where a few callers send most of them, what happens to each counts many times.

    Args:
        plan: The stages.
        trial: The present one.
        tried: What the candidate did in it.
        usual: What the stable version did in it.
        for_s: Since when the stage lasts.
    """
    for why in _against(plan, trial, tried, usual):
        return Verdict(move="roll-back", why=why)
    if tried.requests < plan.requests:
        return Verdict(move="stay", why=f"{tried.requests:,} of {plan.requests:,} requests that it needs")
    if for_s < plan.every_s:
        return Verdict(move="stay", why=f"nothing against it in {tried.requests:,} requests")
    return Verdict(move="advance", why=f"nothing against it in {tried.requests:,} requests")


def _against(plan: DeploymentPlan, trial: Trial, tried: Tally, usual: Tally) -> Iterator[str]:
    for what, margin in (("failed", FAILURE_MARGIN), ("refused", FAILURE_MARGIN), ("slow", SLOW_MARGIN)):
        if trial.share == SHADOW and what == "refused":
            # It is asked only what the other one has taken: each refusal is its own.
            evidence, compared = log_evidence_above(*tried.count(what), limit=margin), "none"
        else:
            evidence = log_evidence_of_more(tried.count(what), usual.count(what), margin=margin)
            compared = _percent(*usual.count(what))
        if evidence >= plan.threshold:
            hits, of = tried.count(what)
            share = f"{hits:,} of {of:,} requests ({_percent(hits, of)})"
            yield f"it {_TOLD[what]} in {share}, the version before in {compared}"
    if trial.share == SHADOW and plan.least_agreement is not None and tried.rows:
        differing = tried.rows - tried.agreed
        if log_evidence_above(differing, tried.rows, limit=1 - plan.least_agreement) >= plan.threshold:
            asked = f"{plan.least_agreement:.0%} are asked for"
            yield f"it agrees in {_percent(tried.agreed, tried.rows)} of {tried.rows:,} rows; {asked}"


def _percent(hits: int, of: int) -> str:
    return f"{hits / of:.1%}" if of else "none"


def stage_name(share: float) -> str:
    """Return what a stage is called: "shadow", or its share.

    >>> stage_name(0.0), stage_name(0.05), stage_name(0.125)
    ('shadow', '5 %', '12.5 %')
    """
    return "shadow" if share == SHADOW else f"{share * 100:g} %"


def read_shares(text: str) -> tuple[float, ...]:
    """Return the stages that a text names, such as ``shadow,5,25,100``; the last 100 may be left out.

    Raises:
        UsageError: It names none.

    >>> read_shares("shadow,5,25,100")
    (0.0, 0.05, 0.25)
    """
    shares = []
    for part in text.replace("%", "").split(","):
        try:
            share = SHADOW if part.strip() == "shadow" else float(part) / 100
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1 or (share == SHADOW) != (part.strip() == "shadow"):
            raise UsageError(
                f"{part.strip()!r} is no stage.",
                why="A stage is 'shadow' or a percentage above 0.",
                do="Give stages such as shadow,5,25.",
            )
        shares.append(share)
    if shares[-1] == 1:
        shares.pop()
    return tuple(shares)
