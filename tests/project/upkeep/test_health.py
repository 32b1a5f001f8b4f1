"""What ``filiera doctor`` looks at, and what it can repair."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from filiera.errors import StoreBusy, StoreFull
from filiera.project import launch, plugins, runs
from filiera.project.housekeeping import alone
from filiera.project.upkeep.health import Finding, examine
from tests.project.chains import CHAIN, WIDE_SHOP
from tests.project.keeping import House
from tests.projects import SmallProject, full_disk_after, statuses


def findings(project: SmallProject, *, repair: bool = False) -> dict[str, Finding]:
    with project.opened() as opened:
        return {finding.what: finding for finding in examine(opened, repair=repair, tell=lambda text: None)}


@pytest.fixture
def chain(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {name: text for name, text in CHAIN.items() if "unreadable" not in name})


def pretend_driver_died(project: SmallProject, run_id: str, state: str = "running") -> None:
    """Leave the run's record as a driver does that was killed."""
    with project.opened() as opened:
        row = runs.get_run(opened, run_id)
        driver = json.dumps({**json.loads(row["driver"]), "start": "before"})
        adopted = {"run_id": run_id, "driver": driver, "seen_driver": row["driver"], "at": 1.0, "steps_total": 4}
        opened.records.write([("adopt_run", adopted)])


def _die(*args: object) -> None:
    raise StoreFull("No space is left.")


def test_a_sound_project_is_sound(chain: SmallProject) -> None:
    """Environment, extras, pipelines and blobs are looked at, and found well."""
    chain.run("chain")
    found = findings(chain)
    assert {what: finding.state for what, finding in found.items() if finding.state == "problem"} == {}
    assert {"environment", "extras", "pipelines", "blobs"} <= set(found)
    assert "chain" in found["pipelines"].detail


def test_code_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    """A module that cannot be imported is named with the reason, a pipeline that is wired wrongly too."""
    project = SmallProject(
        tmp_path,
        {**CHAIN, "flows/bad.py": "from filiera import pipeline\n1 / 0\n@pipeline(kind='data')\ndef bad(): ...\n"},
    )
    found = findings(project)
    assert found["module flows.bad"].state == "problem"
    assert "ZeroDivisionError" in found["module flows.bad"].detail
    assert found["pipeline misbuilt"].state == "warning"
    assert "flows.unreadable" in found["pipeline unreadable"].detail


def test_what_cannot_be_followed_is_a_warning(tmp_path: Path) -> None:
    """A step that looks names up while it runs is named: its cache key cannot see what it finds."""
    text = """
        from filiera import pipeline, step


        @step
        def evaluates(x: int) -> int:
            return eval("x + 1")


        @pipeline(kind="data")
        def p(x: int = 1):
            return evaluates(x)
        """
    found = findings(SmallProject(tmp_path, {"flows/__init__.py": "", "flows/p.py": text}))
    assert found["step p/evaluates"].state == "warning"


@pytest.mark.parametrize("events_say", ["running", "interrupted"])
@pytest.mark.usefixtures("told_at_once")
def test_a_run_without_its_driver_is_found(
    chain: SmallProject, monkeypatch: pytest.MonkeyPatch, events_say: str
) -> None:
    """A run whose driver died is a warning; repaired, it is recorded as interrupted, and can be resumed."""
    if events_say == "running":
        # The driver is killed: nothing says so in the events.
        monkeypatch.setattr(launch, "drive", _die)
        with chain.opened() as project, pytest.raises(StoreFull):
            launch.start(project, "chain", {})
        monkeypatch.undo()
    else:
        with chain.opened() as project, pytest.raises(StoreFull):
            launch.start(project, "chain", {}, listener=full_disk_after("read"))
    pretend_driver_died(chain, "chain-1")
    assert chain.state("chain-1").status == events_say
    found = findings(chain)
    assert found["run chain-1"].state == "warning"
    assert "filiera resume chain-1" in found["run chain-1"].detail
    assert findings(chain, repair=True)["run chain-1"].state == "repaired"
    assert chain.read("get_run", run_id="chain-1")[0]["state"] == "interrupted"
    assert "run chain-1" not in findings(chain)
    assert chain.resume("chain-1").status == "succeeded"


def test_damaged_and_lost_bytes_are_found(tmp_path: Path) -> None:
    """Bytes that changed are a problem, removed when repaired; versions that lack them are named until made again."""
    project = SmallProject(tmp_path, WIDE_SHOP)
    run = project.run("sales", rows=90)
    assert run.version is not None
    with project.opened() as opened:
        digest = next(plugins.blobs_of(run.version.artifact, opened.blobs.get))
        file = opened.blobs.path(digest)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    name = f"blob {digest[:12]}"
    assert findings(project)[name].state == "problem"
    repaired = findings(project, repair=True)
    assert repaired[name].state == "repaired"
    assert repaired[run.version.ref].state == "problem"
    assert "filiera run sales makes it again" in repaired[run.version.ref].detail
    again = project.run("sales", rows=90)
    assert statuses(again)["publish"] == "succeeded"
    assert again.version == run.version
    assert {finding.state for finding in findings(project).values()} <= {"ok", "warning"}


def test_damage_is_told_with_what_needs_it(tmp_path: Path) -> None:
    """A damaged part of a folder, a damaged value and one in the records are named with their steps and versions."""
    house = House(tmp_path)
    house.run("values", x=1)
    house.publish("values-1")
    steps = house.state("values-1").steps
    folder, large, small = (steps[name].outputs[0] for name in ("folder", "large", "small"))
    with house.opened() as project:
        row = project.records.read("get_artifact", {"digest": folder.digest, "codec": folder.codec})[0]
        part = next(iter(plugins.blobs_of(replace(folder, inline=row["inline"]), project.blobs.get)))
        bad = {"digest": small.digest, "codec": small.codec, "size_bytes": small.size_bytes, "inline": b"?"}
        project.records.write([("drop_artifact", bad), ("put_artifact", bad)])
    for digest in (part, large.digest):
        file = house.store / "blobs" / digest[:2] / digest[2:]
        file.chmod(0o600)
        file.write_bytes(b"!" + file.read_bytes()[1:])
    found = findings(house)
    for digest, step in ((part, "folder"), (large.digest, "large"), (small.digest, "small")):
        finding = found[f"blob {digest[:12]}"]
        assert (finding.state, finding.area) == ("problem", "store")
        assert f"values-1/{step}" in finding.detail and "kept@1" in finding.detail
    repaired = findings(house, repair=True)
    assert {repaired[f"blob {digest[:12]}"].state for digest in (part, large.digest)} == {"repaired"}
    assert len(list((house.store / "damaged").iterdir())) == 3
    again = statuses(house.run("values", x=1))
    assert [again[name] for name in ("folder", "large", "small")] == ["succeeded"] * 3
    assert {finding.state for finding in findings(house).values()} <= {"ok", "warning"}
    house.check_whole()
    assert len(house.column("SELECT * FROM audit WHERE action = 'repair'")) == 3


def test_what_a_killed_clean_up_had_aside_is_put_back(tmp_path: Path) -> None:
    """Repair puts back what was on its way out."""
    house = House(tmp_path)
    house.run("numbers")
    with house.database() as database:
        database.execute("INSERT INTO leaving_artifact SELECT * FROM artifact")
        database.execute("DELETE FROM artifact")
        database.commit()
    findings(house, repair=True)
    house.check_whole()


def test_repairing_waits_for_nobody(tmp_path: Path) -> None:
    """While another process keeps house, looking is fine and repairing is refused."""
    house = House(tmp_path)
    house.run("numbers")
    with alone(house.store):
        assert findings(house)["blobs"].state == "ok"
        with pytest.raises(StoreBusy):
            findings(house, repair=True)
