"""A store whose time can pass, and what must hold of any store."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.products import ProductRef
from filiera.engine.rows import read_refs
from filiera.ports import MetadataStore
from filiera.project import launch, plugins
from filiera.project.project import Project
from filiera.project.record import blobs_named
from filiera.project.upkeep.garbage import Removed, collect
from filiera.project.upkeep.retention import Retention
from filiera.project.versions import Made
from tests.projects import SmallProject

DAY_S = 86_400.0
FILES = {
    "flows/__init__.py": "",
    "flows/kept.py": '''
        """Values in records and in files, folders, lists, and values that are new each time."""

        import os
        import tempfile
        from pathlib import Path

        from filiera import pipeline, step


        @step
        def small(x: int) -> int:
            return x % 3


        @step
        def large(x: int) -> bytes:
            return bytes([x]) * 10_000


        @step
        def folder(content: bytes) -> Path:
            made = Path(tempfile.mkdtemp()) / "made"
            made.mkdir()
            (made / "a").write_bytes(content[:10])
            (made / "b").write_bytes(b"the same in all folders")
            return made


        @step
        def lists(content: bytes, x: int) -> list[bytes]:
            return [content, content[:5000] + b"!", b"short"]


        @step(cache=False)
        def salt() -> bytes:
            return os.urandom(5000)


        @step
        def salted(content: bytes) -> bytes:
            return content[::-1]


        @pipeline(kind="data")
        def numbers(x: int = 1):
            return small(x)


        @pipeline(kind="data")
        def values(x: int = 1):
            content = large(x)
            return folder(content), lists(content, x), small(x)


        @pipeline(kind="data")
        def salty(x: int = 1):
            return salted(salt()), small(x)
        ''',
}
PIPELINES = ("numbers", "values", "salty")


class House(SmallProject):
    """A project whose store is cleaned."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, FILES)
        self.store = root / ".filiera"

    def publish(self, run_id: str, name: str = "kept") -> int:
        """Publish all that a run made, as a dataset of one artifact and attachments; return the version's number."""
        with self.opened() as project:
            refs = [
                ref
                for row in project.records.read("steps_of_run", {"run_id": run_id})
                for ref in read_refs(row["outputs"], project.versions.inline)
            ]
            made = Made(
                artifact=refs[0],
                description={"run": run_id},
                inputs={},
                attachments={str(place): ref for place, ref in enumerate(refs)},
            )
            version, _ = project.versions.publish("dataset", name, run_id=run_id, at=project.clock(), made=made)
            return version.number

    def promote(self, number: int, alias: str, name: str = "kept") -> None:
        with self.opened() as project:
            project.versions.promote(ProductRef(name, str(number)), alias, reason="", at=project.clock())

    def collect(self, *, dry_run: bool = False, **rules: Any) -> Removed:
        """Clean up with the rules of a ``Retention``, by default keeping one run of each pipeline and a day's grace."""
        with self.opened() as project:
            retention = Retention(**{"keep_days": 1.0, "keep_runs": 1, **rules})
            return collect(project, retention, dry_run=dry_run, tell=lambda text: None)

    def let_pass(self, seconds: float) -> None:
        """Let all that is in the store have happened so many seconds earlier."""
        with self.database() as database:
            for table, columns in {
                "run": ("started_at", "finished_at", "heartbeat_at"),
                "step_run": ("started_at",),
                "event": ("at",),
                "cache_entry": ("stored_at",),
                "product_version": ("created_at",),
            }.items():
                for column in columns:
                    database.execute(f"UPDATE {table} SET {column} = {column} - ?", (seconds,))
            database.commit()
        for base, folders, files in os.walk(self.store):
            for name in (*files, *folders):
                path = Path(base, name)
                if ".sqlite" not in name:
                    found = path.lstat().st_mtime
                    os.utime(path, (found - seconds,) * 2)

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.store / "records.sqlite")) as database:
            yield database

    def column(self, sql: str) -> list[Any]:
        """Return the first column of a query; empty when there is no store yet."""
        if not self.store.exists():
            return []
        with self.database() as database:
            return [row[0] for row in database.execute(sql)]

    def runs(self) -> set[str]:
        return set(self.column("SELECT run_id FROM run"))

    def blobs(self) -> set[str]:
        folder = self.store / "blobs"
        return {file.parent.name + file.name for file in folder.glob("[0-9a-f][0-9a-f]/*")}

    def check_whole(self) -> None:
        """Check that whatever a row names can be read: artifacts with all their parts, and code."""
        with self.opened() as project:
            for ref in refs_of(self, project, inline=project.versions.inline):
                for digest in plugins.blobs_of(ref, project.blobs.get):
                    project.blobs.get(digest)
            for record in self.column("SELECT record FROM run"):
                for digest in blobs_named(json.loads(record)):
                    project.blobs.get(digest)
        closures = set(self.column("SELECT digest FROM closure"))
        assert set(self.column("SELECT DISTINCT closure_digest FROM step_run WHERE closure_digest <> ''")) <= closures

    def check_clean(self, *, grace_s: float = DAY_S) -> None:
        """Check that there is nothing that nothing needs, but for what is younger than the grace."""
        needed: set[str] = set()
        with self.opened() as project:
            now = project.clock()
            for ref in refs_of(self, project, inline=project.versions.inline):
                needed |= {ref.digest, *plugins.blobs_of(ref, project.blobs.get)}
            for record in self.column("SELECT record FROM run"):
                needed.update(blobs_named(json.loads(record)))
            young = {d for d, _, stored_at in project.blobs.blobs() if stored_at >= now - grace_s - 60}
        assert self.blobs() - young - needed == set()
        assert set(self.column("SELECT digest FROM artifact")) - needed == set()
        used = set(self.column("SELECT key FROM step_run"))
        old = set(self.column(f"SELECT key FROM cache_entry WHERE stored_at < {now - grace_s}"))
        assert old - used == set()
        code = set(self.column("SELECT closure_digest FROM step_run"))
        assert set(self.column("SELECT digest FROM closure")) <= code
        for table in ("step_run", "event"):
            assert set(self.column(f"SELECT DISTINCT run_id FROM {table}")) <= self.runs()
        for table in ("leaving_artifact", "leaving_closure", "leaving_result"):
            assert self.column(f"SELECT COUNT(*) FROM {table}") == [0]
        assert list((self.store / "blobs").glob("leaving/*")) == []
        assert {folder.name for folder in (self.store / "logs").glob("*")} <= self.runs()


def refs_of(house: House, project: Project, *, inline: Any) -> list[ArtifactRef]:
    """Return every artifact that a row names."""
    columns = [
        *house.column("SELECT outputs FROM step_run"),
        *house.column("SELECT outputs FROM cache_entry"),
        *house.column("SELECT artifact FROM product_version"),
    ]
    for body in house.column("SELECT body FROM product_version"):
        columns += json.loads(body)["attachments"].values()
    return [ref for text in dict.fromkeys(columns) for ref in read_refs(text, inline)]


class LiveRun:
    """A run in a thread that stops before and after each look at its records, and each write, until told to go on."""

    def __init__(self, house: House, pipeline: str, **values: Any) -> None:
        self._stopped = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        self.run: Any = None
        self.error: BaseException | None = None
        self._is_over = False
        project = Project.open(house.root)
        project.records = _Pausing(project.records, self._pause)  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._drive, args=(project, pipeline, values), daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def _pause(self) -> None:
        if threading.current_thread() is self._thread:
            self._stopped.release()
            self._go.acquire()

    def _drive(self, project: Project, pipeline: str, values: dict[str, Any]) -> None:
        try:
            self.run = launch.start(project, pipeline, values)
        except BaseException as error:  # noqa: BLE001  told to the test
            self.error = error
        finally:
            project.records.close()
            self._is_over = True
            self._stopped.release()

    def step(self) -> bool:
        """Let it go on to its next stop; tell whether it has not ended."""
        if not self._is_over:
            self._go.release()
            self._stopped.acquire()
        return not self._is_over

    def until_recorded(self, house: House) -> None:
        """Let it go on until its run is recorded."""
        before = len(house.runs())
        while len(house.runs()) == before and self.step():
            continue

    def finish(self) -> None:
        """Let it go on to its end."""
        while self.step():
            continue
        self._thread.join()
        if self.error is not None:
            raise self.error


class _Pausing:
    """Records whose user can be stopped at each use."""

    def __init__(self, records: MetadataStore, pause: Callable[[], None]) -> None:
        self._records = records
        self._pause = pause

    def write(self, statements: Any, *, durable: bool = False) -> Any:
        self._pause()
        found = self._records.write(statements, durable=durable)
        self._pause()
        return found

    def read(self, query: str, parameters: Any = None) -> Any:
        self._pause()
        found = self._records.read(query, parameters)
        self._pause()
        return found

    def close(self) -> None:
        self._records.close()
