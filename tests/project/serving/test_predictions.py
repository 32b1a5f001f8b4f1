"""Predictions move from segments into tables: each counts once, whoever reads, writes or is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.errors import StoreBusy
from filiera.project.housekeeping import alone
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions, expired, logs_of
from filiera.project.upkeep.garbage import collect
from filiera.project.upkeep.retention import Retention
from filiera.testing.prediction_log import prediction

DAY_S = 86_400.0
NOW = 20_000 * DAY_S

_KILLED = """
import os, signal, sys
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.adapters.segment_folder import SegmentFolder
from filiera.project.serving.predictions import Predictions
from filiera.project.project import Project

def end(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

project = Project.open()
step = sys.argv[1]
write = project.records.write

def written(*given, **named):
    done = write(*given, **named)
    end()

if step == "put":
    FolderBlobs.put = end
elif step == "settle":
    FolderBlobs.settle = end
elif step == "before the record":
    project.records.write = end
elif step == "after the record":
    project.records.write = written
elif step == "removing":
    unlinks = []
    os_unlink = os.unlink
    from pathlib import Path
    unlink = Path.unlink
    def some(self, missing_ok=False):
        if self.suffix == ".log":
            unlinks.append(self)
            if len(unlinks) == 2:
                end()
        unlink(self, missing_ok)
    Path.unlink = some
Predictions(project, "m").compact()
"""
STEPS = ["put", "settle", "before the record", "after the record", "removing"]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Project]:
    """Return what makes a project of which ``[predictions]`` says something."""

    def made(**rules: Any) -> Project:
        lines = [f"{name} = {json.dumps(value)}" for name, value in rules.items()]
        (tmp_path / "filiera.toml").write_text("\n".join(['[project]\nname = "p"\n[predictions]', *lines]))
        project = Project.open(tmp_path)
        project.store.mkdir(exist_ok=True)
        return project

    return made


def logged(project: Project, numbers: range, *, name: str = "m", at: float = 0.0, version: int = 1) -> SegmentLog:
    """Return a log that has written some predictions, and is not closed."""
    log = SegmentLog(project.store / "predictions" / name)
    log.append([{**prediction(number, at=at + number), "version": version} for number in numbers])
    log.flush()
    return log


def numbers_of(project: Project, **window: float) -> list[int]:
    return [int(record["id"]) for record in Predictions(project, "m").read(**window)]


def files(project: Project) -> list[str]:
    return sorted(file.name for file in (project.store / "predictions" / "m").iterdir())


def test_closed_segments_become_tables_by_version_and_day(make: Callable[..., Project]) -> None:
    """All records are read as before, those of segments that are written to too, which stay as they are."""
    project = make()
    logged(project, range(10)).close()
    logged(project, range(10, 20), at=DAY_S, version=2).close()
    still = logged(project, range(20, 23))
    before = sorted(Predictions(project, "m").read(), key=lambda record: record["id"])
    done = Predictions(project, "m").compact()
    assert (done.segments, done.rows, done.damaged) == (2, 20, 0)
    assert len(files(project)) == 1
    after = sorted(Predictions(project, "m").read(), key=lambda record: record["id"])
    assert after == before
    assert [part.version + part.day for part in Predictions(project, "m").parts()] == ["11970-01-01", "21970-01-02"]
    assert numbers_of(project, since=5.0, until=21.0) == [5, 6, 7, 8, 9, 20]
    query = Predictions(project, "m").scan()
    assert query is not None
    assert query.select("version").collect().to_series().to_list() == [1] * 10 + [2] * 10
    still.close()
    assert Predictions(project, "m").compact().rows == 3
    assert Predictions(project, "m").compact().segments == 0
    assert sorted(numbers_of(project)) == list(range(23))
    assert logs_of(project) == ["m"]


@pytest.mark.parametrize("step", STEPS)
def test_whenever_it_is_killed_each_prediction_counts_once(make: Callable[..., Project], step: str) -> None:
    """kill -9 at each step: readers see each record once before and after the next compaction, which finishes."""
    project = make()
    for start in (0, 10, 20):
        logged(project, range(start, start + 10)).close()
    killed = subprocess.run([sys.executable, "-c", _KILLED, step], cwd=project.config.root, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = Project.open(project.config.root)
    assert sorted(numbers_of(again)) == list(range(30))
    Predictions(again, "m").compact()
    Predictions(again, "m").compact()
    assert sorted(numbers_of(again)) == list(range(30))
    assert files(again) == []
    assert again.records.read("moved_segments", {"log": "m"}) == []


def test_who_reads_keeps_what_there_was(make: Callable[..., Project]) -> None:
    """A reader that has begun sees all there was at its beginning, though it is moved meanwhile, and nothing twice."""
    project = make()
    logged(project, range(10)).close()
    reading = Predictions(project, "m").read()
    found = [int(next(reading)["id"])]
    assert Predictions(project, "m").compact().rows == 10
    logged(project, range(10, 12)).close()
    assert sorted(numbers_of(project)) == list(range(12))
    found += [int(record["id"]) for record in reading]
    assert found == list(range(10))
    Predictions(project, "m").compact()
    assert files(project) == []
    assert sorted(numbers_of(project)) == list(range(12))


def test_one_at_a_time(make: Callable[..., Project]) -> None:
    """Beside a clean-up nothing is moved, and said so."""
    project = make()
    logged(project, range(3)).close()
    with alone(project.store), pytest.raises(StoreBusy):
        Predictions(project, "m").compact()
    assert numbers_of(project) == [0, 1, 2]


def test_damage_is_left_behind_and_counted(make: Callable[..., Project]) -> None:
    """What a disk has changed is not moved; the rest is."""
    project = make()
    log = logged(project, range(2))
    log.append([prediction(2)])
    log.close()
    (file,) = (project.store / "predictions" / "m").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    done = Predictions(project, "m").compact()
    assert (done.rows, done.damaged) == (2, 1)
    assert numbers_of(project) == [0, 1]


def clean(project: Project, *, dry_run: bool = False) -> dict[str, int]:
    """Return how much a clean-up removed, by kind."""
    removed = collect(project, Retention(grace_s=7200.0), dry_run=dry_run, tell=lambda text: None)
    return {kind: amount.count for kind, amount in removed.amounts.items() if amount.count}


def aged(project: Project, days: list[int]) -> None:
    """Log two predictions so many days ago each, in tables of their own, whose blobs are old."""
    for number, day in enumerate(days):
        logged(project, range(2 * number, 2 * number + 2), at=NOW - day * DAY_S).close()
        Predictions(project, "m").compact()
    for digest, _, _ in project.blobs.blobs():
        os.utime(project.blobs.path(digest), (1e9, 1e9))
    project.clock = lambda: NOW


def test_clean_up_keeps_tables(make: Callable[..., Project]) -> None:
    """Without rules nothing goes, and tables are needed."""
    project = make()
    aged(project, [4000, 10, 0])
    assert clean(project) == {}
    assert len(numbers_of(project)) == 6


def test_what_is_too_old_goes(make: Callable[..., Project]) -> None:
    """Clean-up says what would go, and then lets go of it, with its bytes; what is not packed yet is packed first."""
    project = make(keep_days=30)
    aged(project, [40, 31, 29])
    assert clean(project, dry_run=True)["predictions"] == 4
    assert len(numbers_of(project)) == 6
    assert clean(project)["predictions"] == 4
    assert numbers_of(project) == [4, 5]
    assert len(list(project.blobs.blobs())) == 1
    assert clean(project) == {}


def test_of_what_is_too_much_the_oldest_goes(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each log has its room; the newest tables that fit stay."""
    project = make(keep_mib=1)
    aged(project, [3, 2, 1])
    logged(project, range(3), name="other").close()
    Predictions(project, "other").compact()
    largest = max(part.size_bytes for part in Predictions(project, "m").parts())
    monkeypatch.setattr("filiera.project.serving.predictions._MIB", 2 * largest)
    assert [(part.log, part.number) for part in expired(project)] == [("m", 1)]
    assert clean(project)["predictions"] == 2
    assert numbers_of(project) == [2, 3, 4, 5]
