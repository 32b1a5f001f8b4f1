"""Whatever is killed, whenever: nothing finished is lost or repeated, and results are as in an undisturbed run."""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.killing import Battlefield, Kill, fight, reference
from tests.projects import digests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by their handles")
KILLS = 12
CAMPAIGN_KILLS = 200
TARGETS = ("driver", "worker", "both")


@dataclass
class Peace:
    """What an undisturbed run makes."""

    digests: dict[str, list[str]]
    versions: list[str]
    lines: int


@dataclass
class Battle:
    """One run, killed some times, and resumed until it is done."""

    field: Battlefield
    peace: Peace
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)

    def kill(self, words: tuple[str, ...]) -> None:
        """Run a command and kill it or its worker at a random line; nothing that is recorded as finished runs again."""
        kill = Kill(self.chance.choice(TARGETS), self.chance.randrange(self.peace.lines))
        before = self._finished_executions()
        fight(self.field, words, kill)
        self.kills.append(kill)
        self._check_nothing_repeated(before)
        is_alone = kill.whom == "worker"
        expected = ("succeeded", "failed") if is_alone else ("interrupted", "succeeded", "not begun")
        assert kill.outcome in expected, kill.said
        assert self.field.versions() in ([], self.peace.versions)

    def end(self) -> None:
        """Resume until the run has succeeded: it made what an undisturbed run makes, and published it once."""
        before = self._finished_executions()
        if self.outcome != "succeeded":
            last = Kill("nobody", 0)
            fight(self.field, self.next_words, last)
            assert last.outcome == "succeeded", last.said
        self._check_nothing_repeated(before)
        state = self.field.state()
        assert state.status == "succeeded"
        assert digests(state) == self.peace.digests
        assert self.field.versions() == self.peace.versions

    @property
    def outcome(self) -> str:
        return self.kills[-1].outcome if self.kills else "not begun"

    @property
    def next_words(self) -> tuple[str, ...]:
        return ("run", "counts") if self.outcome == "not begun" else ("resume", "latest")

    def _finished_executions(self) -> Counter[str]:
        if not self.field.has_begun():
            return Counter()
        counts = self.field.executions()
        return Counter({name: counts[name] for name in self.field.finished()})

    def _check_nothing_repeated(self, before: Counter[str]) -> None:
        counts = self.field.executions()
        assert {name: counts[name] for name in before} == dict(before), "a finished step was executed again"


def wage(folder: Path, peace: Peace, seed: int, kills: int) -> list[Kill]:
    """Fight battles until so many kills were made, and return them."""
    chance = random.Random(seed)
    made: list[Kill] = []
    while len(made) < kills:
        battle = Battle(Battlefield(folder / f"battle-{seed}-{len(made)}"), peace, chance)
        while battle.outcome != "succeeded" and len(battle.kills) < 3 and len(made) + len(battle.kills) < kills:
            battle.kill(battle.next_words)
        battle.end()
        made += battle.kills
    return made


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    return Peace(*reference(tmp_path_factory.mktemp("peace") / "project"))


@pytest.mark.parametrize("share", range(2))
def test_killed_runs_are_resumed(tmp_path: Path, peace: Peace, share: int) -> None:
    """A sample of kills at random points of runs and of resumed runs; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    assert len(wage(tmp_path, peace, seed, KILLS // 2)) == KILLS // 2


@pytest.mark.campaign
def test_many_killed_runs_are_resumed(tmp_path: Path, peace: Peace, capsys: pytest.CaptureFixture[str]) -> None:
    """Hundreds of kills: every one leaves a run that ends like an undisturbed one; a table shows who died when."""
    seed = random.randrange(2**32)
    with capsys.disabled():
        print(f"\nseed {seed}")
        kills = wage(tmp_path, peace, seed, CAMPAIGN_KILLS)
        table = Counter((kill.whom, kill.outcome) for kill in kills)
        print(f"{'killed':10}{'then shown as':16}{'times':>6}")
        for (whom, outcome), times in sorted(table.items()):
            print(f"{whom:10}{outcome:16}{times:6}")
        print(f"{'':10}{'':16}{len(kills):6}")
