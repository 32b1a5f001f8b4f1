"""Whatever is killed, whenever: nothing finished is lost or repeated, and results are as in an undisturbed run."""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.killing import UNCACHED, Battlefield, Kill, fight, reference
from tests.projects import digests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by their handles")
KILLS = 20
CAMPAIGN_KILLS = 500
TARGETS = ("driver", "worker", "both")
LONGEST_S = 0.02
"""A kill comes so long after a line was told at the most: lines are that far apart, and so it may come anywhere."""
START_S = 0.5
"""The same for one that comes before the first line: so long does a driver take to begin."""


@dataclass
class Peace:
    """What an undisturbed run makes."""

    digests: dict[str, list[str]]
    versions: list[str]
    lines: int


@dataclass
class Battle:
    """One run, killed some times, and resumed until it is done; perhaps another one on the way."""

    field: Battlefield
    peace: Peace
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    others: int = 0  #: further runs of the same pipeline

    def kill(self) -> None:
        """Run or resume, and kill at a random moment; nothing that is recorded as finished runs again."""
        after = self.chance.randrange(self.peace.lines)
        then_s = self.chance.uniform(0, LONGEST_S if after else START_S)
        kill = Kill(self.chance.choice(TARGETS), after, then_s, back=self.chance.choice((1, 2)))
        self.kills.append(kill)
        self._fight(kill)
        is_alone = kill.whom == "worker"
        expected = ("succeeded", "failed") if is_alone else ("interrupted", "succeeded", "failed", "not begun")
        assert kill.outcome in expected, kill.said
        assert self.field.versions() in ([], self.peace.versions)

    def run_beside(self) -> None:
        """Run the pipeline anew: another driver is not held up by what the dead one had begun."""
        self.others += 1
        before = self._finished_executions()
        before.pop(UNCACHED, None)
        last = Kill("nobody", -1, 0.0)
        self.field.check(fight(self.field, "run", "counts", last))
        number = self.others + (self.outcome != "not begun")
        self._check_made(f"counts-{number}", last.said)
        self._check_nothing_repeated(before)

    def end(self) -> None:
        """Resume until the run has succeeded: it made what an undisturbed run makes, and published it once."""
        if self.outcome != "succeeded":
            last = Kill("nobody", -1, 0.0)
            self._fight(last)
            assert last.outcome == "succeeded", last.said
        self._check_made("counts-1", "")

    @property
    def outcome(self) -> str:
        return self.kills[-1].outcome if self.kills else "not begun"

    def _fight(self, kill: Kill) -> None:
        before = self._finished_executions()
        words = ("run", "counts") if self.field.shown("counts-1") == "not begun" else ("resume", "counts-1")
        told = fight(self.field, *words, kill)
        self.field.check(told)
        self._check_nothing_repeated(before)
        kill.outcome = self.field.shown("counts-1")

    def _check_made(self, run_id: str, said: str) -> None:
        state = self.field.state(run_id)
        assert state.status == "succeeded", said
        assert digests(state) == self.peace.digests
        assert self.field.versions() == self.peace.versions
        assert len(state.published) == 1

    def _finished_executions(self) -> Counter[str]:
        counts = self.field.executions()
        return Counter({name: counts[name] for name in self.field.finished("counts-1")})

    def _check_nothing_repeated(self, before: Counter[str]) -> None:
        counts = self.field.executions()
        assert {name: counts[name] for name in before} == dict(before), "a finished step was executed again"


def wage(folder: Path, peace: Peace, seed: int, kills: int) -> list[Kill]:
    """Fight battles until so many kills were made, and return them."""
    chance = random.Random(seed)
    made: list[Kill] = []
    while len(made) < kills:
        battle = Battle(Battlefield(folder / f"battle-{seed}-{len(made)}"), peace, chance)
        while battle.outcome != "succeeded" and len(battle.kills) < 4 and len(made) + len(battle.kills) < kills:
            battle.kill()
        if battle.outcome not in ("not begun", "succeeded") and chance.random() < 0.25:
            battle.run_beside()
        battle.end()
        made += battle.kills
    return made


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    return Peace(*reference(tmp_path_factory.mktemp("peace") / "project"))


@pytest.mark.parametrize("share", range(2))
def test_killed_runs_are_resumed(tmp_path: Path, peace: Peace, share: int) -> None:
    """A sample of kills at random moments of runs and of resumed runs; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    assert len(wage(tmp_path, peace, seed, KILLS // 2)) == KILLS // 2


@pytest.mark.campaign
@pytest.mark.parametrize("share", range(2))
def test_many_killed_runs_are_resumed(tmp_path: Path, peace: Peace, share: int) -> None:
    """Hundreds of kills: every one leaves a run that ends like an undisturbed one; a table shows who died when."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    kills = wage(tmp_path, peace, seed, CAMPAIGN_KILLS // 2)
    table = Counter((kill.whom, kill.outcome) for kill in kills)
    print(f"{'killed':10}{'then shown as':16}{'times':>6}")
    for (whom, outcome), times in sorted(table.items()):
        print(f"{whom:10}{outcome:16}{times:6}")
    print(f"{'':10}{'':16}{len(kills):6}")
