"""Bits that flip on the disk: never a wrong value, the damage is named, and what made it is computed again."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from filiera.engine.rows import read_refs
from filiera.errors import BlobCorrupted, BlobMissing
from filiera.project import launch
from filiera.project.project import Project
from filiera.project.runs import Run
from filiera.project.upkeep.health import examine
from tests.crash.soundness import check_store
from tests.projects import SmallProject, statuses

FILES = {
    "flows/__init__.py": "",
    "flows/values.py": '''
        """Values of every shape in the store: small, large, folders, lists in parts, tables, results of maps."""

        import random
        import tempfile
        from pathlib import Path

        import numpy as np

        from filiera import pipeline, step


        @step
        def small(x: int) -> list[int]:
            return [x + number for number in range(3)]


        @step
        def large(x: int) -> bytes:
            return random.Random(x).randbytes(9000)


        @step
        def table(content: bytes) -> np.ndarray:
            return np.frombuffer(content, dtype=np.uint8).reshape(90, 100)


        @step
        def folder(content: bytes) -> Path:
            made = Path(tempfile.mkdtemp()) / "made"
            made.mkdir()
            (made / "a").write_bytes(content[:6000])
            (made / "b").write_bytes(content[3000:])
            return made


        @step
        def each(x: int, content: bytes) -> bytes:
            return bytes([x]) + content[: 5000 + x]


        @step
        def parts(content: bytes, rows: np.ndarray) -> list[np.ndarray]:
            return [rows + number for number in range(len(content) % 3 + 2)]


        @step(dynamic=True)
        def plan(numbers: list[int], content: bytes) -> list[bytes]:
            return [each(number, content) for number in numbers]


        @step
        def count(first: Path, mapped: list[bytes], listed: list[np.ndarray], planned: list[bytes]) -> int:
            files = sum(sum(file.read_bytes()) for file in first.iterdir())
            return files + sum(map(sum, mapped)) + int(sum(item.sum() for item in listed)) + sum(map(sum, planned))


        @pipeline(kind="data")
        def values(x: int = 1):
            content = large(x)
            numbers = small(x)
            mapped = each.map(numbers, content=content)
            return count(folder(content), mapped, parts(content, table(content)), plan(numbers, content))
        ''',
}
OWN = ("small", "large", "table", "folder", "each", "parts", "plan", "count")
SAMPLE = 12


@dataclass
class Peace:
    """A project whose pipeline has run, and the bytes of each value."""

    project: SmallProject
    digests: dict[str, list[str]]

    def database(self) -> Any:
        return closing(sqlite3.connect(self.project.root / ".filiera/records.sqlite", isolation_level=None))

    def places(self) -> list[tuple[str, Any]]:
        """Return where values lie: files of blobs, and rows of the records."""
        files = [("file", path) for path in sorted(self.project.root.glob(".filiera/blobs/??/*")) if path.is_file()]
        with self.database() as database:
            rows = database.execute("SELECT digest, codec FROM artifact WHERE inline <> '' ORDER BY digest, codec")
            inline = [("record", row) for row in rows.fetchall()]
            keys = [("result", key) for (key,) in database.execute("SELECT key FROM cache_entry ORDER BY key")]
        return [*files, *inline, *keys]

    def flip(self, place: tuple[str, Any], chance: random.Random) -> str:
        """Flip one bit, and return the digest of what is damaged now, "" when nothing is."""
        kind, what = place
        if kind == "file":
            what.chmod(0o644)
            what.write_bytes(flipped(what.read_bytes(), chance))
            what.chmod(0o444)
            return str(what.parent.name + what.name)
        with self.database() as database:
            if kind == "record":
                where = "FROM artifact WHERE digest = ? AND codec = ?"
                content = database.execute(f"SELECT inline {where}", what).fetchone()[0]
                changed = flipped(content, chance)
                database.execute("UPDATE artifact SET inline = ? WHERE digest = ? AND codec = ?", (changed, *what))
                return str(what[0])
            text = database.execute("SELECT outputs FROM cache_entry WHERE key = ?", (what,)).fetchone()[0]
            refs = [ref for ref in read_refs(text) if ref.inline]
            if not refs:
                return ""
            ref = chance.choice(refs)
            from filiera.engine.rows import write_whole_refs

            whole = write_whole_refs([ref])
            changed_ref = type(ref)(
                digest=ref.digest, codec=ref.codec, size_bytes=ref.size_bytes, inline=flipped(ref.inline or b"", chance)
            )
            database.execute(
                "UPDATE cache_entry SET outputs = ? WHERE key = ?",
                (text.replace(whole, write_whole_refs([changed_ref])), what),
            )
            return ref.digest


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Return *content* with one other bit."""
    at = chance.randrange(len(content) * 8)
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.fixture
def peace(tmp_path: Path) -> Peace:
    project = SmallProject(tmp_path, FILES)
    run = project.run("values")
    assert run.status == "succeeded", run.state.message
    return Peace(project, {name: [ref.digest for ref in step.outputs] for name, step in run.state.steps.items()})


def runs_of(peace: Peace, project: Project, fresh: frozenset[str]) -> Iterator[Run]:
    """Yield runs until one has succeeded: what a map or a graph became is made again by the next run only."""
    for _ in range(3):
        run = launch.start(project, "values", {}, fresh=fresh)
        yield run
        if run.status == "succeeded":
            return
    raise AssertionError(f"it does not heal: {run.state.message}")


def problems(project: Project, *, repair: bool = False) -> list[str]:
    """Return what ``filiera doctor`` finds wrong."""
    found = examine(project, repair=repair, tell=lambda *progress: None)
    return [finding.what for finding in found if finding.state == "problem"]


def check_flip(peace: Peace, place: tuple[str, Any], chance: random.Random) -> None:
    """Flip a bit, compute some steps again, and compare all that can be read with what it was."""
    digest = peace.flip(place, chance)
    fresh = frozenset(name for name in OWN if chance.random() < 0.4)
    with peace.project.opened() as project:
        if place[0] == "file":
            assert f"blob {digest[:12]}" in problems(project)
        for run in runs_of(peace, project, fresh):
            if run.status != "succeeded":
                failures = [step.failure for step in run.state.steps.values() if step.failure is not None]
                assert any(digest[:12] in failure.message for failure in failures), failures
            check_values(peace, run, digest)
        problems(project, repair=True)
        for run in runs_of(peace, project, frozenset()):
            check_values(peace, run, digest)
        check_store(project, may_lack=True)


def check_values(peace: Peace, run: Run, damaged: str) -> None:
    """Assert that what a run made is what it should be, or cannot be read because of the damage."""
    for name, step in run.state.steps.items():
        if step.status in ("succeeded", "hit"):
            assert [ref.digest for ref in step.outputs] == peace.digests[name]
            try:
                run.value(name)
            except (BlobCorrupted, BlobMissing) as error:
                assert damaged[:12] in str(error)


def test_a_bit_flips(peace: Peace) -> None:
    """A sample of the places where values lie; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for place in chance.sample(peace.places(), SAMPLE):
        print(*place)
        check_flip(peace, place, chance)


@pytest.mark.campaign
@pytest.mark.parametrize("time", range(5))
def test_bits_flip_everywhere(peace: Peace, time: int) -> None:
    """Every place where a value lies, one after the other."""
    chance = random.Random(time)
    for place in peace.places():
        print(*place)
        if place[0] != "file" or place[1].exists():
            check_flip(peace, place, chance)


def test_a_run_heals_itself(tmp_path: Path) -> None:
    """A run that meets damaged bytes computes what made them again, goes on, and says so."""
    project = SmallProject(tmp_path, FILES, executor="processes")
    first = project.command("run", "values")
    assert first.returncode == 0, first.stdout + first.stderr
    digest = project.state("values-1").steps["large"].outputs[0].digest
    Peace(project, {}).flip(("file", project.root / ".filiera/blobs" / digest[:2] / digest[2:]), random.Random(1))
    second = project.command("run", "values", "--fresh", "table")
    assert second.returncode == 0, second.stdout + second.stderr
    state = project.state("values-2")
    found = statuses(state)
    assert (found["large"], found["table"], found["count"]) == ("succeeded", "succeeded", "hit")
    kinds = [row["kind"] for row in project.read("events_of_run", run_id="values-2", since=0)]
    assert kinds.count("StepLost") == 1
    assert len(list((project.root / ".filiera/damaged").iterdir())) == 1
