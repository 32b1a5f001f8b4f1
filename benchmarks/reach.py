"""What Filiera wants to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from measurements import OURS, Measurements, Outcome, shown, shown_ratio
from scenarios import SCENARIOS, Scenario, title_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """Our figure over another, or alone, may be so much."""

    title: str  #: of what is measured
    at_most: float  #: times the peer's figure; without a peer in seconds or MB
    peer: str = ""  #: subject
    peer_title: str = ""  #: what is measured of the peer, if something else
    as_times_faster: bool = False  #: shown the other way round
    unit: str = "s"

    def outcome(self, found: Measurements) -> Outcome:
        """Return how far we came."""
        ours = found.median(self.title, OURS)
        if not self.peer:
            reach = f"≤ {shown(self.at_most, self.unit)}"
            text = "" if ours is None else shown(ours, self.unit)
            return Outcome(
                work=self.title, reach=reach, found=text, is_reached=None if ours is None else ours <= self.at_most
            )
        peer_title = self.peer_title or self.title
        theirs = found.median(peer_title, self.peer)
        return self._compared(ours, theirs, found.ratio(self.title, OURS, peer_title, self.peer))

    def _compared(self, ours: float | None, theirs: float | None, ratio: float | None) -> Outcome:
        other = self.peer_title if self.peer in (OURS, "Python") else self.peer
        if self.peer_title and self.peer not in (OURS, "Python"):
            other = f"{self.peer}, {self.peer_title.rpartition(', ')[2]}"
        reach = (
            f"≥ {1 / self.at_most:.0f} × faster than {other}"
            if self.as_times_faster
            else f"≤ {self.at_most:g} × {other}"
        )
        if ours is None or theirs is None or ratio is None:
            return Outcome(work=self.title, reach=reach, found="", is_reached=None)
        said = f"{1 / ratio:.0f} × faster" if self.as_times_faster else f"{shown_ratio(ratio)} ×"
        return Outcome(
            work=self.title,
            reach=reach,
            found=f"{said} ({shown(ours, self.unit)} beside {shown(theirs, self.unit)})",
            is_reached=ratio <= self.at_most,
        )


def outcomes(found: Measurements, scenarios: tuple[Scenario, ...] = SCENARIOS) -> list[Outcome]:
    """Return all that we want to reach, in the order of the scenarios, and how far we came."""
    return [goal.outcome(found) for goal in [*_goals({s.name: s for s in scenarios}), *_store_goals(found)]]


def _goals(scenarios: dict[str, Scenario]) -> Iterator[Goal]:
    def title(name: str, number: int = 0) -> str:
        return title_of(scenarios[name].titles[number], scenarios[name])

    cold, unchanged, table = title("chain, cold"), title("chain, unchanged"), title("table")
    yield Goal(title=cold, at_most=0.5, peer="joblib")
    yield Goal(title=cold, at_most=1 / 40, peer="Kedro session", as_times_faster=True)
    yield Goal(title=cold, at_most=1 / 400, peer="ZenML", as_times_faster=True)
    yield Goal(title=unchanged, at_most=0.5, peer="joblib")
    yield Goal(title=title("fan-out"), at_most=1.0, peer="joblib")
    yield Goal(title=table, at_most=0.6, peer="joblib")
    megabytes = scenarios["table"].size * 64 / 1e6
    for process in ("driver", "worker"):
        yield Goal(title=f"{table}: memory, {process}", at_most=1.2 * megabytes, unit="MB")
    yield Goal(title=title("fits"), at_most=1.03, peer="multiprocessing")
    yield Goal(title="one step: whole command", at_most=1.0, peer="joblib")
    yield Goal(title="--help", at_most=8.0, peer="Python", peer_title="python -c pass")
    yield Goal(title=title("runs"), at_most=3.0)
    yield Goal(title=title("runs", 1), at_most=3.0)
    yield Goal(title=title("many"), at_most=1 / 3000)
    yield Goal(title=f"{title('many')}: memory, all processes", at_most=1000, unit="MB")
    yield Goal(title=title("growth", 1), at_most=1.3, peer=OURS, peer_title=title("growth"))


def _store_goals(found: Measurements) -> Iterator[Goal]:
    for name in found.numbers:
        if name.startswith("store of"):
            yield Goal(title=name, at_most=0.01)
        if name.endswith(" versions compared"):
            yield Goal(title=name, at_most=0.1)
