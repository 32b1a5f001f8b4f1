"""Whatever is done with a store, beside live runs and killed anywhere, clean-up takes what nothing needs, no more."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project.upkeep.garbage import drop_version
from tests.project.keeping import DAY_S, PIPELINES, House, LiveRun

OF_LIVE_RUNS = 9
INPUTS = st.sampled_from([0, 1, OF_LIVE_RUNS])


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextmanager
def interrupted_at(moment: int, act: Callable[[], object]) -> Iterator[None]:
    """Do something before a clean-up's look, write, rename or removal number *moment* of the block, once."""
    from filiera.adapters.sqlite_records import SqliteRecords

    count = 0

    def interrupted(original: Any) -> Any:
        def act_first(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == moment:
                act()
            return original(*args, **options)

        return act_first

    places = [(SqliteRecords, "read"), (SqliteRecords, "write"), (Path, "rename"), (Path, "unlink"), (shutil, "rmtree")]
    with ExitStack() as patches:
        for owner, name in places:
            patches.enter_context(mock.patch.object(owner, name, interrupted(getattr(owner, name))))
        with suppress(Killed):
            yield


def die() -> None:
    """End the process."""
    raise Killed


class Keeping(RuleBasedStateMachine):
    """A project that runs, publishes, ages and is cleaned."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.house = House(self.folder)
        sys.path.insert(0, str(self.folder))  # for the live run, whatever the others do with their imports
        self.house.read("find_aliases")  # makes the tables
        self.live: LiveRun | None = None
        self.versions: list[int] = []

    def teardown(self) -> None:
        if self.live is not None:
            self.live.finish()
        sys.path.remove(str(self.folder))
        shutil.rmtree(self.folder)

    @rule(pipeline=st.sampled_from(PIPELINES), x=INPUTS)
    def run_one(self, pipeline: str, x: int) -> None:
        """Run a pipeline to its end."""
        assert self.house.run(pipeline, x=self.free(x)).status == "succeeded"

    @precondition(lambda self: self.live is None)
    @rule(pipeline=st.sampled_from(PIPELINES))
    def begin(self, pipeline: str) -> None:
        """Begin a run that goes on while other things happen."""
        self.live = LiveRun(self.house, pipeline, x=OF_LIVE_RUNS)

    def free(self, x: int) -> int:
        """Return an input that no live run has: who computes the same as a paused run waits for it for ever."""
        return x if self.live is None else x % OF_LIVE_RUNS

    @precondition(lambda self: self.live is not None)
    @rule(stops=st.integers(1, 12))
    def go_on(self, stops: int) -> None:
        """Let the live run go on a little."""
        assert self.live is not None
        if not all(self.live.step() for _ in range(stops)):
            self.end()

    @precondition(lambda self: self.live is not None)
    @rule()
    def end(self) -> None:
        """Let the live run end."""
        assert self.live is not None
        live, self.live = self.live, None
        live.finish()
        assert live.run.status == "succeeded"

    @precondition(lambda self: self.finished())
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        """Publish what a run made."""
        self.versions.append(self.house.publish(data.draw(st.sampled_from(self.finished()))))

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), alias=st.sampled_from(["good", "better"]))
    def move_alias(self, data: st.DataObject, alias: str) -> None:
        """Point an alias at a version."""
        self.house.promote(data.draw(st.sampled_from(self.versions)), alias)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Drop a version, unless it is in use."""
        number = data.draw(st.sampled_from(self.versions))
        with self.house.opened() as project:
            try:
                drop_version(project, ProductRef("kept", str(number)))
            except UsageError:
                return
        self.versions = [other for other in self.versions if other != number]

    @precondition(lambda self: self.live is None)
    @rule(days=st.sampled_from([0.05, 0.6, 3]))
    def let_pass(self, days: float) -> None:
        """Let time pass."""
        self.house.let_pass(days * DAY_S)

    @rule(keep_days=st.sampled_from([0.0, 0.5, 2.0]))
    def collect(self, keep_days: float) -> None:
        """Clean up; a look before says what it does, and a second time there is nothing left to do."""
        expected_runs = self.staying(keep_days)
        expected = self.house.collect(keep_days=keep_days, dry_run=True)
        removed = self.house.collect(keep_days=keep_days)
        assert removed.live == expected.live
        assert self.house.runs() == expected_runs
        if not removed.live:
            assert removed == expected
            self.house.check_clean()
            assert removed.size_bytes >= 0
            again = self.house.collect(keep_days=keep_days)
            assert not any(amount.count for amount in again.amounts.values())

    @rule(keep_days=st.sampled_from([0.0, 0.5, 2.0]), moment=st.integers(1, 60))
    def collect_and_die(self, keep_days: float, moment: int) -> None:
        """Be killed while cleaning up."""
        with interrupted_at(moment, die):
            self.house.collect(keep_days=keep_days)

    @rule(
        keep_days=st.sampled_from([0.0, 0.5]),
        moment=st.integers(1, 60),
        pipeline=st.sampled_from(PIPELINES),
        x=INPUTS,
        then=st.sampled_from(["go on", "publish", "die"]),
    )
    def run_while_collecting(self, keep_days: float, moment: int, pipeline: str, x: int, then: str) -> None:
        """Run from beginning to end between two actions of a clean-up, which goes on or is killed."""

        def run() -> None:
            done = self.house.run(pipeline, x=self.free(x))
            assert done.status == "succeeded", done.state
            if then == "publish":
                self.versions.append(self.house.publish(done.run_id))
            if then == "die":
                die()

        with interrupted_at(moment, run):
            self.house.collect(keep_days=keep_days)

    @rule(keep_days=st.sampled_from([0.0, 0.5]), moment=st.integers(1, 60), stops=st.integers(1, 20))
    @precondition(lambda self: self.live is not None)
    def go_on_while_collecting(self, keep_days: float, moment: int, stops: int) -> None:
        """Let the live run go on a little between two actions of a clean-up."""

        def go_on() -> None:
            if self.live is not None:
                self.go_on(stops)

        with interrupted_at(moment, go_on):
            self.house.collect(keep_days=keep_days)

    @rule(
        keep_days=st.sampled_from([0.0, 0.5]),
        moment=st.integers(1, 60),
        pipeline=st.sampled_from(PIPELINES),
        stops=st.integers(1, 30),
    )
    @precondition(lambda self: self.live is None)
    def begin_while_collecting(self, keep_days: float, moment: int, pipeline: str, stops: int) -> None:
        """Begin a run between two actions of a clean-up, and stop it somewhere until later."""

        def begin() -> None:
            self.begin(pipeline)
            self.go_on(stops)

        with interrupted_at(moment, begin):
            self.house.collect(keep_days=keep_days)

    @invariant()
    def what_is_named_is_there(self) -> None:
        """Whatever a record names can be read."""
        self.house.check_whole()

    def finished(self) -> Sequence[str]:
        return self.house.column("SELECT run_id FROM run WHERE state = 'succeeded' ORDER BY run_id")

    def staying(self, keep_days: float) -> set[str]:
        """Return the runs that stay by the rules, found in another way than clean-up does."""
        with self.house.opened() as project:
            now = project.clock()
        versioned = set(self.house.column("SELECT run_id FROM product_version"))
        with self.house.database() as database:
            rows = database.execute("SELECT run_id, pipeline, number, heartbeat_at, state FROM run").fetchall()
        newest = {pipeline: max(row[2] for row in rows if row[1] == pipeline) for _, pipeline, *_ in rows}
        return {
            run_id
            for run_id, pipeline, number, seen_at, state in rows
            if number == newest[pipeline]
            or seen_at >= now - keep_days * DAY_S
            or run_id in versioned
            or state == "running"
        }


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=settings().max_examples // 8, stateful_step_count=18)
