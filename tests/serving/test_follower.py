from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from filiera.core.delivery import Lineup, Report, Trial
from filiera.errors import FilieraError, StoreBusy
from filiera.serving.endpoint import Endpoint
from filiera.serving.follower import Follower
from filiera.serving.served_model import ServedModel
from tests.serving.offers import SIGNATURE, Rule


class BrokenFromTheStart(Rule):
    """Fails on its own examples."""

    def predict(self, frame: Any) -> Any:
        raise ValueError("out of order")


class Desk:
    """Says what the test wants, and makes versions on demand."""

    def __init__(self) -> None:
        self.wanted = 1
        self.trial: Trial | None = None
        self.is_away = self.has_left = False
        self.reports: list[Report] = []
        self.refused: list[tuple[int, str]] = []
        self.models: dict[int, Callable[[], Any]] = {}
        self.loads: list[int] = []

    def shown(self, number: int) -> str:
        return f"flows@{number}"

    def lineup(self) -> Lineup:
        if self.is_away:
            raise StoreBusy("The store is busy.")
        return Lineup(stable=self.wanted, trial=self.trial)

    def report(self, report: Report) -> bool:
        self.reports.append(report)
        return False

    def refuse(self, trial: Trial, why: str) -> None:
        self.refused.append((trial.candidate, why))
        self.trial = None

    def leave(self) -> None:
        self.has_left = True

    def load(self, number: int) -> ServedModel:
        self.loads.append(number)
        model = self.models.get(number, Rule)()
        return ServedModel("flows", model, version=number, signature=SIGNATURE)


class Scene:
    """An endpoint that follows a desk, with a clock that the test moves."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.told: list[str] = []
        self.now = 0.0
        self.endpoint = Endpoint(self.desk.load(1))
        self.desk.loads.clear()
        self.follower = Follower(self.endpoint, self.desk, tell=self.told.append, clock=lambda: self.now)

    @property
    def serving(self) -> int:
        return self.endpoint.stable.contract.version


@pytest.fixture
def scene() -> Scene:
    """Return an endpoint at version 1."""
    return Scene()


def test_what_is_wanted_is_served(scene: Scene) -> None:
    """A moved alias is followed, forth and back; a look at an alias that stands still loads nothing."""
    for wanted, loads in ((1, []), (2, [2]), (2, [2]), (1, [2, 1])):
        scene.desk.wanted = wanted
        scene.follower.look()
        assert (scene.serving, scene.desk.loads) == (wanted, loads)
    assert scene.told == ["now serving flows@2, no longer flows@1", "now serving flows@1, no longer flows@2"]


def _cannot_load() -> Any:
    raise FilieraError("Its bytes are gone.")


@pytest.mark.parametrize(
    ("model", "why"),
    [(BrokenFromTheStart, "failed to predict"), (_cannot_load, "Its bytes are gone."), (lambda: 1 / 0, "ZeroDivision")],
    ids=["does not warm up", "does not load", "raises"],
)
def test_a_version_that_does_not_work_is_not_served(scene: Scene, model: Callable[[], Any], why: str) -> None:
    """The old one goes on; the new one is tried a few times, ever more seldom, and said twice."""
    scene.desk.wanted, scene.desk.models[2] = 2, model
    tried_at = []
    for second in range(200):
        scene.now = float(second)
        before = len(scene.desk.loads)
        scene.follower.look()
        tried_at += [second] * (len(scene.desk.loads) - before)
    assert tried_at == [0, 1, 3, 7, 15]
    assert (scene.serving, scene.follower.failures) == (1, 5)
    assert [word in scene.told[0] for word in (why, "Still serving flows@1", "tried again")] == [True] * 3
    assert "given up after 5 attempts" in scene.follower.trouble
    assert len(scene.told) == 2


def test_another_version_gets_its_own_attempts(scene: Scene) -> None:
    """Giving up is about one version: the next one is loaded at once, and the trouble is over."""
    scene.desk.wanted, scene.desk.models[2] = 2, _cannot_load
    scene.follower.look()
    scene.desk.wanted = 3
    scene.follower.look()
    assert (scene.serving, scene.follower.trouble) == (3, "")


def test_going_back_ends_the_trouble(scene: Scene) -> None:
    """When the alias points again at what is served, there is nothing to say, and a later move begins anew."""
    scene.desk.wanted, scene.desk.models[2] = 2, _cannot_load
    scene.follower.look()
    scene.desk.wanted = 1
    scene.follower.look()
    assert scene.follower.trouble == ""
    scene.desk.wanted, scene.desk.models[2] = 2, Rule
    scene.follower.look()
    assert scene.serving == 2


def test_a_store_that_is_away_changes_nothing(scene: Scene) -> None:
    """What is served goes on, and what could not be seen is said once."""
    scene.desk.is_away = True
    scene.follower.look()
    scene.follower.look()
    assert (scene.serving, len(scene.told)) == (1, 1)
    scene.desk.is_away, scene.desk.wanted = False, 2
    scene.follower.look()
    assert (scene.serving, scene.follower.trouble) == (2, "")


def test_a_candidate_is_tried_beside(scene: Scene) -> None:
    """It is loaded once for all stages, told and reported; at the end it answers without loading."""
    stages = []
    for stage, share in enumerate((0.0, 0.05)):
        scene.desk.trial = Trial(deployment=1, stage=stage, candidate=2, share=share)
        scene.follower.look()
        trying = scene.endpoint.trying
        assert trying is not None
        stages.append(trying.trial.share)
        assert scene.desk.reports[-1] == Report(stable=1, trouble="", trial=scene.desk.trial)
    assert (stages, scene.desk.loads, scene.serving) == ([0.0, 0.05], [2], 1)
    scene.desk.wanted, scene.desk.trial = 2, None
    scene.follower.look()
    assert (scene.serving, scene.endpoint.trying, scene.desk.loads) == (2, None, [2])
    assert scene.told == ["trying flows@2: shadow", "trying flows@2: 5 %", "now serving flows@2, no longer flows@1"]


def test_a_candidate_that_was_rolled_back_is_let_go(scene: Scene) -> None:
    """It gets no request any more."""
    scene.desk.trial = Trial(deployment=1, stage=0, candidate=2, share=0.5)
    scene.follower.look()
    scene.desk.trial = None
    scene.follower.look()
    assert (scene.endpoint.trying, scene.told[-1]) == (None, "no longer trying flows@2")


def test_a_candidate_that_does_not_load_is_refused(scene: Scene) -> None:
    """After the attempts that every version has; callers notice nothing."""
    scene.desk.trial = Trial(deployment=1, stage=0, candidate=2, share=0.5)
    scene.desk.models[2] = BrokenFromTheStart
    for second in range(20):
        scene.now = float(second)
        scene.follower.look()
    assert [number for number, _ in scene.desk.refused] == [2]
    assert "given up after 5 attempts" in scene.desk.refused[0][1]
    assert (scene.serving, scene.endpoint.trying, scene.follower.trouble) == (1, None, "")


def test_a_service_that_ends_says_so(scene: Scene) -> None:
    """The last counts are reported, and that it leaves."""
    scene.follower.start()
    scene.follower.start()
    scene.follower.stop()
    assert scene.desk.has_left
    assert scene.desk.reports
