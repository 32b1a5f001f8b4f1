"""Runs of pipelines with real records, blobs and executors, in a folder of their own."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filiera.adapters.codecs.plain_values import BytesCodec, PlainCodec
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.adapters.inline import InlineExecutor
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.digest import digest
from filiera.core.events import Event, RunStarted
from filiera.core.graph import Graph, Node
from filiera.core.pipeline import Pipeline
from filiera.core.runstate import RunState
from filiera.engine.artifacts import Artifacts
from filiera.engine.conclusion import conclusion
from filiera.engine.course import Course
from filiera.engine.driver import Driver
from filiera.engine.execute import execute_here
from filiera.engine.journal import Journal
from filiera.engine.planner import Code, Planner
from filiera.engine.recorder import Recorder
from filiera.engine.rows import read_event
from filiera.ports import Executor, Row, Statement
from tests.engine.steps_to_run import CALLS

_CODECS = {codec.name: codec for codec in (BytesCodec(), PlainCodec())}


class Ledger(SqliteRecords):
    """Real records that count their transactions, and fail when told to."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.transactions: list[tuple[int, bool]] = []  #: statements and durability of each
        self.refuse: Exception | None = None

    def write(self, statements: Sequence[Statement], *, durable: bool = False) -> list[list[Row]]:
        if self.refuse is not None:
            raise self.refuse
        self.transactions.append((len(statements), durable))
        return super().write(statements, durable=durable)


class OneRun(Driver):
    """A driver, and the one run that it drives."""

    course: Course

    @property
    def recorder(self) -> Recorder:
        return self.course.recorder


class Workshop:
    """A store in a folder, and what runs pipelines with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = Ledger(folder / "records.sqlite")
        self.blobs = FolderBlobs(folder / "blobs")
        self.artifacts = artifacts_in(folder)
        self.code: dict[str, str] = {}  #: the code of a step, where it is not its name
        self.clock: Callable[[], float] = time.time
        self.heard: list[Event] = []  #: by the listener of the last run

    def inline(self) -> Executor:
        return InlineExecutor(functools.partial(execute_here, artifacts=self.artifacts), log_dir=self.folder / "logs")

    def processes(self, workers: int = 2) -> Executor:
        from filiera.adapters.processes import ProcessExecutor

        return ProcessExecutor(
            command_for=lambda env: [sys.executable, "-m", "tests.engine.runs", str(self.folder)],
            workers=workers,
            log_dir=self.folder / "logs",
            fork_main=functools.partial(run_worker, self.folder),
        )

    def planner(self, graph: Graph, fresh: Sequence[str] = ()) -> Planner:
        return Planner(
            graph=graph,
            records=self.records,
            holds=lambda ref: ref.inline is not None or self.blobs.has(ref.digest),
            code_of=self.code_of,
            compare_code=lambda old, new: [f"function {old.decode()} -> {new.decode()}"],
            clock=lambda: self.clock(),
            fresh=frozenset(fresh),
        )

    def code_of(self, node: Node) -> Code:
        text = self.code.get(node.step.name, node.step.name)
        return Code(digest("code", text.encode()), text.encode())

    def driver(
        self,
        pipeline: Pipeline | Graph,
        values: Mapping[str, Any] | None = None,
        *,
        fresh: Sequence[str] = (),
        executor: Executor | None = None,
        journal: Journal | None = None,
        **options: Any,
    ) -> OneRun:
        """Return a driver of a run that is recorded as started."""
        graph = pipeline if isinstance(pipeline, Graph) else pipeline.trace(values or {})
        texts = dict.fromkeys(("parameters", "driver", "record"), "{}")
        row = {"kind": "data", "started_at": self.clock(), "project": "p", "profile": "local", **texts}
        row |= {"pipeline": graph.pipeline, "steps_total": len(graph.nodes)}
        created = self.records.write([("create_run", row)])[0][0]
        self.heard = []
        journal = journal or Journal(records=self.records)
        recorder = Recorder(
            journal=journal,
            run_id=created["run_id"],
            clock=self.clock,
            listener=lambda event, state: self.heard.append(event),
        )
        steps = tuple((node.name, node.stage) for node in graph.nodes)
        recorder.record(RunStarted(pipeline=graph.pipeline, kind="data", steps=steps, parameters={}))
        planner = self.planner(graph, fresh)
        planner.before = created["number"]
        course = Course(graph=graph, planner=planner, recorder=recorder, artifacts=self.artifacts)
        driver = OneRun(make_executor=lambda: executor or self.inline(), journal=journal, **options)
        driver.course = course
        return driver

    def run(self, pipeline: Pipeline | Graph, values: Mapping[str, Any] | None = None, **options: Any) -> RunState:
        """Run to the end and return the state; ``CALLS`` has the steps that ran."""
        CALLS.clear()
        return self.finish(self.driver(pipeline, values, **options))

    def finish(self, driver: OneRun) -> RunState:
        driver.add(driver.course)
        try:
            driver.run()
        finally:
            driver.close()
        driver.recorder.record(conclusion(driver.course))
        driver.recorder.flush(durable=True)
        return driver.recorder.state

    def value(self, state: RunState, step: str, index: int = 0) -> Any:
        return self.artifacts.get(state.steps[step].outputs[index])

    def events(self, run_id: str) -> list[Event]:
        rows = self.records.read("events_of_run", {"run_id": run_id, "since": 0})
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        return [read_event(row["kind"], row["body"]) for row in rows]

    def rows(self, run_id: str) -> dict[str, Row]:
        return {row["step"]: row for row in self.records.read("steps_of_run", {"run_id": run_id})}

    def reasons(self, run_id: str) -> dict[str, str]:
        return {step: row["reason"] for step, row in self.rows(run_id).items()}

    def check_projections(self, run_id: str) -> None:
        """Assert that what lists read of a finished run is what its events say."""
        state = RunState.fold(self.events(run_id))
        run = self.records.read("get_run", {"run_id": run_id})[0]
        assert (run["state"], run["failure"]) == (state.status, state.message)
        assert (run["steps_done"], run["steps_hit"]) == (
            state.count("succeeded", "hit", "caught", "skipped"),
            state.count("hit"),
        )
        assert run["steps_total"] == len(state.steps)
        assert (run["finished_at"] is not None) == (state.status not in ("running", "interrupted"))
        rows = self.rows(run_id)
        assert set(rows) == set(state.steps)
        for step in state.steps.values():
            row = rows[step.name]
            assert (row["state"], row["attempt"], row["position"]) == (step.status, step.attempt, step.position)
            assert row["stage"] == step.stage
            assert row["outputs"].count(";") + bool(row["outputs"]) == len(step.outputs)
            assert all(ref.digest in row["outputs"] for ref in step.outputs)
            assert bool(row["failure"]) == (step.status == "failed")
            if step.failure and step.status == "failed":
                assert json.loads(row["failure"])["message"] == step.failure.message


def statuses(state: RunState) -> dict[str, str]:
    """Return the status of each step."""
    return {name: step.status for name, step in state.steps.items()}


def artifacts_in(folder: Path) -> Artifacts:
    def find(value: object) -> Any:
        return next(codec for codec in _CODECS.values() if codec.handles(value))

    return Artifacts(FolderBlobs(folder / "blobs"), find, _CODECS.__getitem__)


def run_worker(folder: Path) -> None:
    from filiera.engine.worker import work
    from tests.adapters.worker_main import FreeKeys

    work(artifacts_in(folder), keys=FreeKeys())


if __name__ == "__main__":
    run_worker(Path(sys.argv[1]))
