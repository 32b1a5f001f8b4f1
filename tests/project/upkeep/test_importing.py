"""Runs travel from one store to another, whole or not at all."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import ArchiveError, FilieraError, SchemaTooNew, StoreBusy, UsageError
from filiera.project.housekeeping import alone
from filiera.project.upkeep.arrivals import COLUMNS
from filiera.project.upkeep.exporting import TABLES, export_runs
from filiera.project.upkeep.importing import Imported, import_runs
from filiera.sql.loader import load_schema
from tests.project.keeping import DAY_S, House
from tests.projects import digests, statuses


def export(house: House, file: Path, *run_ids: str) -> Path:
    with house.opened() as project:
        export_runs(project, run_ids, file, tell=lambda text: None)
    return file


def take(house: House, file: Path, *, products: bool = False) -> Imported:
    with house.opened() as project:
        return import_runs(project, file, products=products, tell=lambda text: None)


def names(done: Imported) -> dict[str, tuple[str, bool]]:
    return {run.there: (run.here, run.is_new) for run in done.runs}


def content(house: House) -> dict[str, list[Any]]:
    """Return all rows of all tables, and the blobs."""
    with house.database() as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: sorted(map(repr, database.execute(f"SELECT * FROM {table}"))) for table in tables}
    return {**found, "blobs": sorted(house.blobs())}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Path]:
    """A store with runs and versions, and an archive of some of them. Neither is changed."""
    folder = tmp_path_factory.mktemp("there")
    house = House(folder / "project")
    house.run("values", x=1)
    house.run("values", x=1)
    house.run("salty", x=2)
    (house.store / "logs" / "values-1").mkdir(parents=True, exist_ok=True)
    (house.store / "logs" / "values-1" / "1.log").write_text("hello\n")
    house.publish("values-1")
    house.publish("salty-1")
    return house, export(house, folder / "runs.filiera", "values-1", "values-2", "salty-1")


@pytest.fixture
def here(tmp_path: Path) -> House:
    house = House(tmp_path / "here")
    house.read("find_aliases")
    return house


def test_a_run_comes_whole(exported: tuple[House, Path], here: House) -> None:
    """Records, values with all their parts and logs are those of the other store, and running again is a hit."""
    there, file = exported
    done = take(here, file)
    assert names(done) == {run: (run, True) for run in ("values-1", "values-2", "salty-1")}
    for run in ("values-1", "values-2", "salty-1"):
        assert digests(here.state(run)) == digests(there.state(run))
        assert here.state(run) == there.state(run)
    here.check_whole()
    assert (here.store / "logs" / "values-1" / "1.log").read_text() == "hello\n"
    assert set(statuses(here.run("values", x=1)).values()) == {"hit"}
    assert here.column("SELECT COUNT(*) FROM product_version") == [0]
    assert set(here.column("SELECT name FROM pipeline")) == {"values", "salty"}
    actions = here.column("SELECT subject FROM audit WHERE action = 'import' ORDER BY subject")
    assert actions == ["salty-1", "values-1", "values-2"]


def test_importing_twice_is_importing_once(exported: tuple[House, Path], here: House) -> None:
    """Runs that are here are told so, and nothing changes, with products or without."""
    _, file = exported
    take(here, file, products=True)
    before = content(here)
    done = take(here, file, products=True)
    assert {is_new for _, is_new in names(done).values()} == {False}
    assert [is_new for *_, is_new in done.versions] == [False, False]
    assert content(here) == before


def test_a_name_that_is_taken_becomes_the_next_number(exported: tuple[House, Path], here: House) -> None:
    """Another run of that name stays what it is, and the one that comes gets the pipeline's next number."""
    there, file = exported
    for x in (2, 3, 3):
        here.run("values", x=x)
    assert names(take(here, file)) == {
        "values-1": ("values-4", True),
        "values-2": ("values-5", True),
        "salty-1": ("salty-1", True),
    }
    assert here.state("values-4") == there.state("values-1")
    assert (here.store / "logs" / "values-4" / "1.log").is_file()
    assert set(here.column("SELECT run_id FROM cache_entry")) <= here.runs()
    here.check_whole()
    assert names(take(here, file))["values-2"] == ("values-5", False)
    assert here.run("values", x=7).run_id == "values-6"


def test_versions_get_numbers_of_their_own(exported: tuple[House, Path], here: House) -> None:
    """Asked for, versions are published under the next numbers, of the runs as they are called here."""
    _, file = exported
    here.run("values", x=3)
    assert here.publish("values-1") == 1
    done = take(here, file, products=True)
    assert [(old, new, is_new) for old, new, is_new in done.versions] == [
        ("kept@1", "kept@2", True),
        ("kept@2", "kept@3", True),
    ]
    with here.opened() as project:
        runs = [version.run_id for version in project.versions.find(name="kept", kind="dataset")]
    assert sorted(runs) == ["salty-1", "values-1", "values-2"]
    here.check_whole()


def test_what_came_is_young(exported: tuple[House, Path], here: House, tmp_path: Path) -> None:
    """Clean-up counts the age of a run that came from its coming."""
    there = House(tmp_path / "old")
    for _ in range(2):
        there.run("values")
    there.let_pass(100 * DAY_S)
    take(here, export(there, tmp_path / "old.filiera", "values-1", "values-2"))
    here.collect()
    assert here.runs() == {"values-1", "values-2"}
    here.check_whole()


def test_the_same_runs_give_the_same_bytes(exported: tuple[House, Path], tmp_path: Path) -> None:
    """An archive does not depend on when it is made, nor in which order runs are named."""
    there, file = exported
    again = export(there, tmp_path / "again.filiera", "salty-1", "values-2", "values-1", "values-1")
    assert again.read_bytes() == file.read_bytes()


def test_what_cannot_be_exported_leaves_no_file(exported: tuple[House, Path], tmp_path: Path) -> None:
    """An unknown run, a file in the way and values that are missing are refused, and nothing is written."""
    _, file = exported
    house = House(tmp_path / "broken")
    house.run("values", x=1)
    target = tmp_path / "out.filiera"
    with pytest.raises(UsageError, match="no run 'values-9'"):
        export(house, target, "values-1", "values-9")
    blob = next(iter(sorted(house.blobs())))
    (house.store / "blobs" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(FilieraError):
        export(house, target, "values-1")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
    with pytest.raises(UsageError, match="already"):
        export(house, file, "values-1")


def rewritten(file: Path, target: Path, change: Any) -> Path:
    """Write an archive anew with members as *change* makes them, and digests that fit."""
    from blake3 import blake3

    with zipfile.ZipFile(file) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if manifest.pop("as it is", None) is None:
        manifest["members"] = {name: [blake3(it).hexdigest(), len(it)] for name, it in members.items()}
    with zipfile.ZipFile(target, "w") as new:
        for name, it in members.items():
            new.writestr(zipfile.ZipInfo(name), it)
        new.writestr("manifest.json", json.dumps(manifest))
    return target


def edit(table: str, **columns: Any) -> Any:
    """Return a change of the first row of a table."""

    def change(members: dict[str, bytes], manifest: Any) -> None:
        first, _, rest = members[f"records/{table}.jsonl"].partition(b"\n")
        row = {**json.loads(first), **columns}
        members[f"records/{table}.jsonl"] = json.dumps(row).encode() + b"\n" + rest

    return change


def add(name: str) -> Any:
    """Return a change that adds a member."""
    return lambda members, manifest: members.update({name: b"x"})


def drop(prefix: str) -> Any:
    """Return a change that leaves out the first member with a prefix."""
    return lambda members, manifest: members.pop(next(name for name in sorted(members) if name.startswith(prefix)))


CHANGES = {
    "path out": add("../evil"),
    "absolute path": add("/etc/evil"),
    "unknown member": add("evil.py"),
    "log path": add("logs/values-1/.."),
    "log of nobody": add("logs/other-1/1.log"),
    "unknown table": add("records/users.jsonl"),
    "missing table": drop("records/event"),
    "missing blob": drop("blobs/"),
    "missing log": lambda members, manifest: manifest.update({"as it is": 1, "members": {}}),
    "other format": lambda members, manifest: manifest.update(format="other"),
    "no version": lambda members, manifest: manifest.update(version="1"),
    "unnamed run": edit("run", run_id="../../x-1", pipeline="../../x", number=1),
    "other name": edit("run", run_id="values-9"),
    "running": edit("run", state="running"),
    "no driver": edit("run", driver="{}"),
    "no JSON": edit("run", parameters="{"),
    "not a number": edit("run", started_at=float("nan")),
    "wrong type": edit("run", number="1"),
    "negative": edit("run", number=-1),
    "another column": edit("run", more=1),
    "half a character": edit("run", failure="\ud800"),
    "step of nobody": edit("step_run", run_id="values-77"),
    "no such value": edit("step_run", outputs=f"{'0' * 64} json/1 3"),
    "no outputs": edit("step_run", outputs="garbage"),
    "no key": edit("step_run", key="abc"),
    "event out of order": edit("event", seq=7),
    "no event": edit("event", kind="Nothing"),
    "event that cannot follow": edit("event", kind="RunInterrupted", body='{"reason":"x"}'),
    "damaged value": edit("artifact", inline="AAAA"),
    "no base64": edit("artifact", inline="?"),
    "no digest": edit("closure", digest="../x"),
    "result of nobody": edit("cache_entry", run_id="other-1"),
    "version without name": edit("product_version", name="../x"),
    "version of no kind": edit("product_version", kind="policy"),
    "version without body": edit("product_version", body="{}"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_archive_made_by_hand_is_refused(
    exported: tuple[House, Path], here: House, tmp_path: Path, what: str
) -> None:
    """An archive with sound digests but with something in it that no export writes changes nothing."""
    before = content(here)
    with pytest.raises(ArchiveError) as caught:
        take(here, rewritten(exported[1], tmp_path / "made", CHANGES[what]), products=True)
    assert caught.value.why
    assert content(here) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "made"]


@pytest.mark.parametrize("field", ["version", "schema"])
def test_an_archive_of_a_newer_version_is_refused(
    exported: tuple[House, Path], here: House, tmp_path: Path, field: str
) -> None:
    """What a newer version wrote is not guessed at."""
    newer = rewritten(exported[1], tmp_path / "newer", lambda members, manifest: manifest.update({field: 999}))
    before = content(here)
    with pytest.raises(SchemaTooNew):
        take(here, newer)
    assert content(here) == before


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_changes_nothing(
    exported: tuple[House, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, or with any byte changed, a file is refused with a sentence, or is what it was."""
    sound = exported[1].read_bytes()
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "garbage"]))
    place = data.draw(st.integers(0, len(sound) - 1))
    if kind == "cut":
        damaged = sound[:place]
    elif kind == "flip":
        damaged = sound[:place] + bytes([sound[place] ^ (1 << data.draw(st.integers(0, 7)))]) + sound[place + 1 :]
    elif kind == "zero":
        damaged = sound[:place] + bytes(min(100, len(sound) - place)) + sound[place + 100 :]
    else:
        damaged = random.Random(place).randbytes(place % 3000)
    refuse_or_take(damaged, tmp_path_factory.mktemp("damaged"))


def refuse_or_take(damaged: bytes, folder: Path) -> None:
    house = House(folder / "here")
    house.read("find_aliases")
    before = content(house)
    file = folder / "damaged.filiera"
    file.write_bytes(damaged)
    try:
        done = take(house, file)
    except ArchiveError:
        assert content(house) == before
    else:  # a byte that means nothing, such as one of a time
        assert {is_new for _, is_new in names(done).values()} == {True}
        house.check_whole()
    finally:
        shutil.rmtree(folder)


def test_what_is_no_file_is_told(here: House, tmp_path: Path) -> None:
    """A missing file, a folder, and a file of another kind have each their sentence."""
    with pytest.raises(UsageError, match="no file"):
        take(here, tmp_path / "missing")
    with pytest.raises(UsageError, match="no file"):
        take(here, tmp_path)
    for other in (b"", b"hello", bytes(100_000)):
        (tmp_path / "other").write_bytes(other)
        with pytest.raises(ArchiveError):
            take(here, tmp_path / "other")


def test_a_bomb_is_refused(here: House, tmp_path: Path) -> None:
    """Compressed members, which could be far larger than the file, are refused unread."""
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", "{}")
        bomb.writestr(f"blobs/{'0' * 64}", bytes(10_000_000))
    with pytest.raises(ArchiveError, match="compressed") as caught:
        take(here, tmp_path / "bomb")
    assert "compressed" in str(caught.value)


def test_one_keeps_house_at_a_time(exported: tuple[House, Path], here: House) -> None:
    """While the store is cleaned, nothing is imported."""
    with alone(here.store), pytest.raises(StoreBusy):
        take(here, exported[1])
    assert here.runs() == set()


def test_a_run_started_meanwhile_takes_its_name(
    exported: tuple[House, Path], here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is started while another is imported keeps its name, and the other gets the next."""
    from filiera.project.upkeep import importing

    original = importing._Import._new_results

    def run_first(self: Any, runs: Any) -> Any:
        monkeypatch.undo()
        here.run("values", x=3)
        return original(self, runs)

    monkeypatch.setattr(importing._Import, "_new_results", run_first)
    assert names(take(here, exported[1]))["values-1"] == ("values-2", True)
    assert here.state("values-1").status == "succeeded"
    here.check_whole()


def test_every_column_travels() -> None:
    """The tables of an archive have the columns that the records have."""
    schema = "\n".join(load_schema())
    for table in TABLES:
        body = schema.partition(f"CREATE TABLE {table} (")[2].partition("\n)")[0]
        lines = [line.strip().split()[0].strip('"') for line in body.splitlines() if line.strip()]
        assert set(COLUMNS[table]) == {name for name in lines if name.islower()}
