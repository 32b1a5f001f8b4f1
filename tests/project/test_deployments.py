from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from filiera.core.delivery import SHADOW, DeploymentPlan, Report, Tally
from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project import audit
from filiera.project.deployments import SERVICE_LEASE_S, services
from filiera.project.project import Project
from filiera.project.serving.endpoints import AliasDesk
from filiera.project.serving.monitoring import verdicts
from tests.project.published import make_project, publish

PLAN = DeploymentPlan(shares=(SHADOW, 0.5), every_s=60.0, requests=10)
CHAMPION = ProductRef("m", "champion")


class Scene:
    """A project with three versions of a model and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.project = Project.open(make_project(folder))
        self.project.clock = lambda: self.now
        for number in (1, 2, 3):
            publish(self.project, b"%d" % number, run=f"train-{number}")
        self.deployments = self.project.deployments

    def desk(self) -> AliasDesk:
        return AliasDesk(self.project, CHAMPION, log=None)

    def champion(self) -> int:
        return self.project.versions.get("model", CHAMPION).number

    def deploy(self, number: int = 2) -> int:
        return self.deployments.start(ProductRef("m", str(number)), "champion", PLAN, reason="newer data").number

    def monitored(self, number: int, verdict: str) -> None:
        """Let monitoring have said something of a version."""
        said = {"verdict": verdict, "summary": f"{verdict} of m@{number}", "rows": 60, "first_at": 1.0, "last_at": 2.0}
        row = {"name": "m", "version": number, "at": self.now, "by": "somebody", **said}
        self.project.records.write([("add_monitor_verdict", row)])

    def report(self, desk: AliasDesk, tried: Tally, usual: Tally | None = None) -> bool:
        """Let a service tell what it counted in the present stage."""
        trial = desk.lineup().trial
        return desk.report(Report(stable=1, trouble="", trial=trial, tried=tried, usual=usual or Tally(requests=1000)))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Return a project with m@1 as champion."""
    made = Scene(tmp_path / "small")
    yield made
    made.project.close()


def test_a_version_goes_through_its_stages_to_the_alias(scene: Scene) -> None:
    """Each stage when its time and requests are over; at the end the alias moves, with the reason in its history."""
    number, desk = scene.deploy(), scene.desk()
    shares = []
    for _ in range(2):
        trial = desk.lineup().trial
        assert trial is not None
        shares.append(trial.share)
        assert not scene.report(desk, Tally(requests=10))
        scene.now += 60.0
        assert scene.report(desk, Tally(requests=10))
    assert shares == [SHADOW, 0.5]
    done = scene.deployments.get(number)
    assert [(note.what, note.why[:11]) for note in done.notes] == [
        ("shadow", "newer data"), ("50 %", "nothing aga"), ("done", "nothing aga"),
    ]  # fmt: skip
    assert (done.state, scene.champion(), desk.lineup().trial) == ("done", 2, None)
    assert scene.project.versions.moves("model", "m")[0].reason.startswith(f"deployment {number}: nothing against")
    assert [entry.action for entry in audit.find(scene.project.records)][:2] == ["promote", "deploy"]


def test_what_several_services_counted_adds_up(scene: Scene) -> None:
    """Neither has had enough requests or failures for a verdict, both together have."""
    scene.deploy()
    one, two = scene.desk(), scene.desk()
    assert not scene.report(one, Tally(requests=6, failed=4), Tally(requests=30))
    assert scene.report(two, Tally(requests=6, failed=5), Tally(requests=30))
    ended = scene.deployments.find("m")[0]
    assert (ended.state, scene.champion(), one.lineup().trial) == ("rolled-back", 1, None)
    assert "fails in 9 of 12 requests" in scene.deployments.get(ended.number).notes[-1].why


def test_what_monitoring_says_of_the_candidate_counts(scene: Scene) -> None:
    """Drift found since it began ends it; what was said before, of another version, or is mended does not."""
    scene.monitored(2, "drift")
    scene.now += 1.0
    scene.deploy()
    scene.monitored(1, "drift")
    scene.monitored(2, "drift")
    scene.now += 1.0
    scene.monitored(2, "quiet")
    assert not scene.report(scene.desk(), Tally(requests=1))
    scene.now += 1.0
    scene.monitored(2, "drift")
    assert scene.report(scene.desk(), Tally(requests=1))
    ended = scene.deployments.find("m")[0]
    assert (ended.state, scene.champion()) == ("rolled-back", 1)
    assert scene.deployments.get(ended.number).notes[-1].why == "monitoring: drift of m@2"
    said = verdicts(scene.project.records, "m", 2, limit=2)
    assert [(each.verdict, each.at, each.rows) for each in said] == [
        ("drift", scene.now, 60),
        ("quiet", scene.now - 1, 60),
    ]


def test_monitoring_looks_before_a_stage_ends_if_asked_for(scene: Scene) -> None:
    """Not in shadow, whose predictions nobody keeps; later its verdict decides, when all the rest is well."""
    plan = DeploymentPlan(shares=(SHADOW, 0.5), every_s=0.0, requests=10, is_monitored=True)
    scene.deployments.start(ProductRef("m", "2"), "champion", plan)
    looked = []

    def judge(verdict: str) -> bool:
        def monitor() -> None:
            looked.append(verdict)
            scene.monitored(2, verdict)

        running = scene.deployments.try_running("m", "champion")
        assert running is not None
        return scene.deployments.judge(running, monitor=monitor)

    scene.report(scene.desk(), Tally(requests=10))
    trial = scene.desk().lineup().trial
    assert trial is not None
    assert (trial.share, looked) == (0.5, [])
    assert not judge("drift")  # it has had no requests yet
    scene.deployments.add_tallies(trial, "s", tried=Tally(requests=10), usual=Tally(requests=10))
    assert judge("drift")
    assert looked == ["drift"]
    assert (scene.deployments.find("m")[0].state, scene.champion()) == ("rolled-back", 1)


def test_a_step_is_taken_once(scene: Scene) -> None:
    """Of services that both see that a stage is over, the first takes the step; the other finds it taken."""
    number = scene.deploy()
    seen = scene.deployments.get(number)
    scene.now += 60.0
    scene.report(scene.desk(), Tally(requests=10))
    assert not scene.deployments.end(seen, "rolled-back", "too late")
    now = scene.deployments.get(number)
    assert (now.state, now.stage, len(now.notes)) == ("running", 1, 2)


def test_only_one_version_is_tried_at_a_time(scene: Scene) -> None:
    """Else nobody could tell which one it was; after it has ended another may begin."""
    scene.deploy()
    with pytest.raises(UsageError, match="Another version is being deployed"):
        scene.deploy(3)
    assert scene.deployments.roll_back("m", "champion", reason="enough") == (2, 1)
    scene.deploy(3)
    assert [one.state for one in scene.deployments.find("m")] == ["running", "rolled-back"]


def test_what_cannot_be_deployed(scene: Scene) -> None:
    """The version that callers have, one that is not there, to an alias that is not there."""
    for ref, alias, words in (
        (ProductRef("m", "1"), "champion", "is version 1 already"),
        (ProductRef("m", "9"), "champion", "no model m@9"),
        (ProductRef("m", "2"), "gold", "no model m@gold"),
        (ProductRef("m", "2"), "../x", "cannot name an alias"),
    ):
        with pytest.raises(UsageError, match=words):
            scene.deployments.start(ref, alias, PLAN)
    assert scene.deployments.find() == []


def test_an_alias_that_is_moved_by_hand_ends_the_deployment(scene: Scene) -> None:
    """What was compared with is not there any more: whoever looks next says so, and serves where the alias points."""
    number = scene.deploy()
    scene.project.versions.promote(ProductRef("m", "3"), "champion", reason="", at=scene.now)
    lineup = scene.desk().lineup()
    assert (lineup.stable, lineup.trial) == (3, None)
    assert scene.deployments.get(number).state == "stopped"


def test_a_rollback_goes_step_by_step_to_the_first(scene: Scene) -> None:
    """Each goes to the version before, also after versions were left out or come back to; then there is none."""
    for number in (3, 2):
        scene.now += 1.0
        scene.project.versions.promote(ProductRef("m", str(number)), "champion", reason="", at=scene.now)
    went = []
    for _ in range(2):
        scene.now += 1.0
        went.append(scene.deployments.roll_back("m", "champion", reason="worse"))
    assert (went, scene.champion()) == ([(2, 3), (3, 1)], 1)
    with pytest.raises(UsageError, match="no version to go back to"):
        scene.deployments.roll_back("m", "champion", reason="")
    scene.now += 1.0
    scene.project.versions.promote(ProductRef("m", "2"), "champion", reason="", at=scene.now)
    assert scene.deployments.roll_back("m", "champion", reason="") == (2, 1)


def test_a_candidate_that_cannot_be_served_is_rolled_back(scene: Scene) -> None:
    """A service that has given up loading it says why; one that speaks of an earlier stage is not heard."""
    number, desk = scene.deploy(), scene.desk()
    trial = desk.lineup().trial
    assert trial is not None
    scene.now += 60.0
    scene.report(desk, Tally(requests=10))
    desk.refuse(trial, "its bytes are gone")
    assert scene.deployments.get(number).state == "running"
    again = desk.lineup().trial
    assert again is not None
    desk.refuse(again, "its bytes are gone")
    assert scene.deployments.get(number).notes[-1].why == "its bytes are gone"


def test_services_are_listed_while_they_say_something(scene: Scene) -> None:
    """What each serves and tries; one that leaves is gone at once, one that was killed after its lease."""
    one, two = scene.desk(), scene.desk()
    scene.deploy()
    for desk in (one, two):
        desk.report(Report(stable=1, trouble="", trial=desk.lineup().trial))
    found = services(scene.project.records, now=scene.now)
    assert [(each.version, each.candidate, each.trouble) for each in found] == [(1, 2, ""), (1, 2, "")]
    two.leave()
    assert len(services(scene.project.records, now=scene.now, name="m")) == 1
    assert services(scene.project.records, now=scene.now, name="other") == []
    scene.now += SERVICE_LEASE_S + 1
    assert services(scene.project.records, now=scene.now) == []
