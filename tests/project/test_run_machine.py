"""Runs that are started, cancelled, given up, asked about, answered and resumed in any order keep their promises."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from filiera.core.events import Event
from filiera.errors import UsageError
from filiera.project import approvals, launch, runs
from filiera.project.runs import Run
from tests.crash.soundness import check_store
from tests.projects import Hears, SmallProject

FILES = {
    "flows/__init__.py": "",
    "flows/asking.py": '''
        """An uncached step, one that can be broken, a map, a question in the middle."""

        from pathlib import Path

        from filiera import approve, pipeline, step

        HERE = Path(__file__).parent
        CONSTANT = 1


        def note(word):
            with (HERE / "calls").open("a") as file:
                file.write(word + "\\n")


        @step(cache=False)
        def salt(x: int) -> int:
            note("salt")
            return 7


        @step
        def numbers(x: int) -> list[int]:
            note("numbers")
            return [x, x + 1, x + 2]


        @step
        def double(n: int) -> int:
            note(f"double {n}")
            return 2 * n


        @step
        def work(parts: list[int], salt: int) -> int:
            note("work")
            if (HERE / "break").exists():
                raise ValueError("it is broken")
            return sum(parts) + salt + CONSTANT


        @step
        def finish(y: int) -> int:
            note("finish")
            return -y


        @pipeline(kind="data")
        def asking(x: int = 1):
            return finish(approve(work(double.map(numbers(x)), salt(x)), "Is it good?"))
        ''',
}
NEVER = 99


class GivenUp(Exception):
    """What a listener raises that does not want to go on."""


class Runs(RuleBasedStateMachine):
    """A project whose runs people step into."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.project = SmallProject(self.folder, FILES)
        self.constant = 1
        self.xs: dict[str, int] = {}  #: of each run
        self.answers: dict[int, bool] = {}  #: by the value that was asked about
        self.told = mock.patch("filiera.engine.journal.FLUSH_AFTER_S", 0.0)  # what happens is told at once
        self.told.start()

    def teardown(self) -> None:
        self.told.stop()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        """Have one run."""
        self.start(1, NEVER, "cancel")

    @rule(x=st.integers(1, 2), moment=st.integers(0, 20) | st.just(NEVER), how=st.sampled_from(["cancel", "give up"]))
    def start(self, x: int, moment: int, how: str) -> None:
        """Start a run, which is perhaps stopped at an event."""
        run_id = f"asking-{len(self.xs) + 1}"
        self.xs[run_id] = x
        self._drive(run_id, moment, how)

    @rule(data=st.data(), moment=st.integers(0, 20) | st.just(NEVER), how=st.sampled_from(["cancel", "give up"]))
    def resume(self, data: st.DataObject, moment: int, how: str) -> None:
        """Go on with any run: one that succeeded is refused, no other repeats what it has finished."""
        self.resume_one(data.draw(st.sampled_from(sorted(self.xs))), moment, how)

    def resume_one(self, run_id: str, moment: int = NEVER, how: str = "cancel") -> None:
        if self.status(run_id) == "succeeded":
            with self.project.opened() as project, pytest.raises(UsageError, match="has succeeded"):
                launch.resume(project, run_id)
            return
        self._drive(run_id, moment, how)

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), is_approved=st.booleans())
    def answer(self, data: st.DataObject, is_approved: bool) -> None:
        """Answer a question, perhaps not for the first time."""
        run_id = data.draw(st.sampled_from(self.asked()))
        with self.project.opened() as project:
            question = approvals.get_question(project, runs.get_run(project, run_id))
            value = project.value(question.artifact)
            approvals.answer(project, question, is_approved=is_approved, why="so")
        self.answers[value] = is_approved

    @rule(is_broken=st.booleans())
    def break_or_mend(self, is_broken: bool) -> None:
        """Let a step fail, or work again."""
        file = self.folder / "flows/break"
        if is_broken:
            file.touch()
        else:
            file.unlink(missing_ok=True)

    @rule(constant=st.integers(1, 2))
    def change_code(self, constant: int) -> None:
        """Change what a step computes, and so what is asked about."""
        if constant != self.constant:
            self.project.replace("flows/asking.py", f"CONSTANT = {self.constant}\n", f"CONSTANT = {constant}\n")
            self.constant = constant

    @invariant()
    def the_store_is_sound(self) -> None:
        """Records agree, and all bytes are there."""
        with self.project.opened() as project:
            check_store(project)

    def status(self, run_id: str) -> str:
        return str(self.project.read("get_run", run_id=run_id)[0]["state"])

    def asked(self) -> list[str]:
        return [run_id for run_id in sorted(self.xs) if self.status(run_id) == "waiting"]

    def value(self, run_id: str) -> int:
        """Return what the run asks about, by the code of now."""
        x = self.xs[run_id]
        return 2 * (3 * x + 3) + 7 + self.constant

    def _drive(self, run_id: str, moment: int, how: str) -> None:
        """Start or resume a run, and compare how it ends, and what it executes, with what should be."""
        finished = self._finished(run_id)
        calls = self.folder / "flows/calls"
        calls.unlink(missing_ok=True)
        listener = Hears(lambda event: self._step_in(listener, event, moment, how))
        run: Run | None = None
        with self.project.opened() as project:
            try:
                if finished is None:
                    run = launch.start(project, "asking", {"x": self.xs[run_id]}, listener=listener)
                else:
                    run = launch.resume(project, run_id, listener=listener)
            except GivenUp:
                assert how == "give up"
            except KeyboardInterrupt:
                assert (how, moment) == ("cancel", 0)  # nobody drives yet who could end it in order
            if run is not None:
                assert run.run_id == run_id
                assert run.status in self._possible_ends(run_id, is_stopped=moment < len(listener.events)), run.state
                if run.status == "succeeded":
                    assert run.value("finish") == -self.value(run_id)
                assert set(run.state.published) == set()
        found = Counter(calls.read_text().split("\n")[:-1] if calls.exists() else ())
        again = {name for name, times in found.items() if times > 1}
        assert not again, f"{again} ran twice"
        assert not found.keys() & (finished or set()), "what was finished ran again"
        if run is None:
            assert self.status(run_id) in ("interrupted", "succeeded", "failed", "rejected", "waiting", "cancelled")

    def _finished(self, run_id: str) -> set[str] | None:
        """Return what a run has finished with the code of now, None when it is not there."""
        if not self.project.read("get_run", run_id=run_id):
            return None
        steps = self.project.state(run_id).steps
        done = {name for name, step in steps.items() if step.status in ("succeeded", "hit")}
        counted = {"salt", "numbers"} & done
        return counted | {f"double {self.xs[run_id] + place}" for place in range(3) if f"double[{place}]" in done}

    def _possible_ends(self, run_id: str, *, is_stopped: bool) -> set[str]:
        answer = self.answers.get(self.value(run_id))
        decided = {None: "waiting", True: "succeeded", False: "rejected"}[answer]
        ends = {decided}
        if (self.folder / "flows/break").exists():
            ends.add("failed")  # unless its result is in the cache
        return ends | ({"cancelled", "failed"} if is_stopped else set())

    def _step_in(self, listener: Hears, event: Event, moment: int, how: str) -> None:
        if len(listener.events) - 1 == moment:
            if how == "cancel":
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise GivenUp


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=max(8, settings().max_examples // 20), stateful_step_count=12)


@pytest.mark.parametrize("how", ["cancel", "give up"])
def test_a_run_is_left_before_it_is_driven(how: str) -> None:
    """A listener that fails at once, and Ctrl-C right after a run was recorded, leave one that is interrupted."""
    machine = Runs()
    try:
        machine.start(1, 0, how)
        assert machine.status("asking-1") == "interrupted"
        machine.resume_one("asking-1")
        assert machine.status("asking-1") == "waiting"
    finally:
        machine.teardown()
