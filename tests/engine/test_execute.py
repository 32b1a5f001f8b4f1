from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.task import Failure, Finished, Task
from filiera.core.types import Lazy
from filiera.engine.artifacts import Artifacts
from filiera.engine.execute import execute, execute_here, find_function
from filiera.errors import BlobMissing, CodecError, StepFailed, StoreFull
from tests.engine import steps_to_execute as steps
from tests.engine.plain_artifacts import PlainArtifacts
from tests.engine.runs import artifacts_in

STORE = PlainArtifacts()


def task_for(function: str, *, inputs: tuple[ArtifactRef, ...] = (), outputs: int = 1, **arguments: Any) -> Task:
    name = function if ":" in function else f"tests.engine.steps_to_execute:{function}"
    return Task(task_id="1", function=name, arguments=plain.encode(arguments), inputs=inputs, outputs=outputs)


def value_of(finished: Finished) -> Any:
    assert finished.failure is None, finished.failure
    return STORE.get(finished.outputs[0])


def failure_of(finished: Finished) -> Failure:
    assert finished.failure is not None
    assert (finished.outputs, finished.blocked) == ((), "")
    return finished.failure


class TestArguments:
    def test_placeholders_are_filled_wherever_they_are(self) -> None:
        """Inputs are found in lists, tuples and dictionaries; other values stay as they are."""
        one, two = STORE.put("one"), STORE.put([2])
        a, b = plain.Placeholder(0), plain.Placeholder(1)
        task = task_for("give", inputs=(one, two), value={"x": [a, (b, 3)], 4: {"y": (a,)}, "z": {5}})
        assert value_of(execute(task, artifacts=STORE)) == {"x": ["one", ([2], 3)], 4: {"y": ("one",)}, "z": {5}}

    def test_input_used_twice_is_one_object(self) -> None:
        """An input is loaded once, however many parameters get it."""
        a = plain.Placeholder(0)
        assert value_of(execute(task_for("same", inputs=(STORE.put([1]),), a=a, b=a), artifacts=STORE)) is True

    def test_classes_of_the_step_module_are_known(self) -> None:
        """Data classes and enumerations of the step's module arrive as such."""
        settings = steps.Settings(colour=steps.Colour.RED, depth=3)
        assert value_of(execute(task_for("depth", settings=settings), artifacts=STORE)) == 4

    def test_class_of_a_module_not_loaded_is_named(self) -> None:
        """An argument of a class that nothing has loaded is a failure of kind "input" with its name."""
        arguments = b'{"value":{"$":"enum","of":"no.such.module:Colour","v":"RED"}}'
        task = Task(task_id="1", function="tests.engine.steps_to_execute:give", arguments=arguments)
        failure = failure_of(execute(task, artifacts=STORE))
        assert failure.kind == "input"
        assert "no.such.module:Colour" in failure.message

    def test_input_that_cannot_be_loaded(self) -> None:
        """An input without its bytes is a failure of kind "input", and the step does not run."""

        class Empty(PlainArtifacts):
            def get(self, ref: ArtifactRef, *, lazily: bool = False) -> Any:
                raise BlobMissing(f"No blob {ref.short}.", do="filiera resume")

        task = task_for("fail_deep", inputs=(STORE.put(1),), value=plain.Placeholder(0))
        failure = failure_of(execute(task, artifacts=Empty()))
        assert (failure.kind, failure.error) == ("input", "BlobMissing")
        assert "filiera resume" in failure.message


class TestOutputs:
    @pytest.mark.parametrize("value", [(1, 2), [1, 2]], ids=str)
    def test_result_is_split(self, value: object) -> None:
        """A tuple or list of as many values as there are outputs becomes that many artifacts."""
        finished = execute(task_for("give", outputs=2, value=value), artifacts=STORE)
        assert [STORE.get(ref) for ref in finished.outputs] == [1, 2]

    @pytest.mark.parametrize(
        ("outputs", "value", "words"),
        [
            (0, 1, "returned a int, but declares no output"),
            (2, (1, 2, 3), "returned 3 values, but declares 2 outputs"),
            (2, "ab", "returned one str, but declares 2 outputs"),
            (3, None, "returned one NoneType, but declares 3 outputs"),
        ],
    )
    def test_wrong_number_is_told(self, outputs: int, value: object, words: str) -> None:
        """A result that cannot be split as declared fails with both numbers."""
        failure = failure_of(execute(task_for("give", outputs=outputs, value=value), artifacts=STORE))
        assert (failure.kind, failure.error, failure.traceback) == ("raised", "StepFailed", "")
        assert words in failure.message

    def test_one_output_may_be_a_tuple(self) -> None:
        """With one output the result is the value, whatever it is."""
        assert value_of(execute(task_for("give", value=(1, 2)), artifacts=STORE)) == (1, 2)

    def test_verdicts_that_block_are_told_together(self) -> None:
        """The summaries of those that block are joined; the outputs are kept."""
        finished = execute(task_for("verdicts", outputs=3), artifacts=STORE)
        assert (finished.blocked, len(finished.outputs)) == ("too few rows; f1 too low", 3)

    def test_table_is_no_verdict(self) -> None:
        """A value that has columns called ``blocks`` and ``summary`` does not block; here no codec takes it."""
        failure = failure_of(execute(task_for("table"), artifacts=STORE))
        assert (failure.kind, failure.error) == ("codec", "CodecError")

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(CodecError("No codec."), "codec"), (StoreFull("Full."), "raised"), (ValueError("bug"), "codec")],
        ids=lambda value: type(value).__name__,
    )
    def test_storing_fails(self, error: Exception, kind: str) -> None:
        """A value no codec takes is a failure of kind "codec"; a full disk is not the value's fault."""

        class Broken(PlainArtifacts):
            def put(self, value: object, codec: str | None = None) -> ArtifactRef:
                raise error

        failure = failure_of(execute(task_for("give", value=1), artifacts=Broken()))
        assert (failure.kind, failure.error) == (kind, type(error).__name__)


class TestLists:
    """Values that are stored and loaded piece by piece."""

    @pytest.fixture
    def real(self, tmp_path: Path) -> Artifacts:
        return artifacts_in(tmp_path)

    def test_a_generator_is_stored_as_it_runs(self, real: Artifacts) -> None:
        """What a step yields becomes a list in parts, of which only one is in memory at a time."""
        finished = execute(task_for("stream", to=3), artifacts=real)
        assert finished.failure is None
        assert finished.outputs[0].codec == "parts/1"
        assert real.get(finished.outputs[0]) == [b"0" * 5000, b"1" * 5000, b"2" * 5000]

    def test_a_generator_that_fails_is_the_steps_failure(self, real: Artifacts) -> None:
        """What the function raises between two items is told as what it is; what no codec takes as that."""
        failure = failure_of(execute(task_for("stream", to=-1), artifacts=real))
        assert (failure.kind, failure.error) == ("raised", "ValueError")
        assert "in stream" in failure.traceback
        assert failure_of(execute(task_for("stream_odd"), artifacts=real)).kind == "codec"

    def test_lists_are_loaded_when_asked_for(self, real: Artifacts) -> None:
        """A step that takes a sequence lazily gets one that is no list; others get a list."""
        stored = real.put_parts([b"1", b"2"])
        cases: list[tuple[dict[str, Lazy], str]] = [({"value": "sequence"}, "StoredItems"), ({}, "list")]
        for lazy, kind in cases:
            task = replace(task_for("kind_of", inputs=(stored,), value=plain.Placeholder(0)), lazy=lazy)
            finished = execute(task, artifacts=real)
            assert real.get(finished.outputs[0]) == [kind, "bytes"]

    def test_a_dynamic_step_returns_its_graph(self, real: Artifacts) -> None:
        """Of a function that calls steps, the one output is the steps it called, as plain data, and what those need."""
        task = replace(task_for("tests.engine.shapes_to_run:plan", count=2), is_dynamic=True)
        finished = execute(task, artifacts=real)
        assert finished.failure is None
        description, *_ = real.get(finished.outputs[0])
        assert set(description) == {"nodes", "result", "futures", "modules"}


class TestFailures:
    def test_traceback_has_the_frames_of_the_user(self) -> None:
        """Frames and causes in the step's code are shown as Python prints them; ours are cut away."""
        failure = failure_of(execute(task_for("fail_deep"), artifacts=STORE))
        assert (failure.kind, failure.error, failure.message) == ("raised", "LookupError", "outer")
        assert failure.traceback.startswith("Traceback (most recent call last):\n")
        assert failure.traceback.endswith("LookupError: outer\n")
        for words in ("in fail_deep", "in _inner", "return 1 / zero", "direct cause of the following"):
            assert words in failure.traceback
        assert "filiera" not in failure.traceback.replace(str(Path(__file__).parents[2]), "")

    def test_our_errors_speak_for_themselves(self) -> None:
        """An error made for people keeps what, why and what to do."""
        failure = failure_of(execute(task_for("fail_with_ours"), artifacts=STORE))
        assert failure.message == "No file 'x.csv'.\nWhy: It was moved.\nDo:  Look for it."
        assert "in fail_with_ours" in failure.traceback

    def test_groups_are_shown_whole(self) -> None:
        """An exception group shows its members."""
        failure = failure_of(execute(task_for("fail_with_group"), artifacts=STORE))
        assert failure.error == "ExceptionGroup"
        assert "ValueError: one" in failure.traceback
        assert "KeyError: 'two'" in failure.traceback

    def test_memory_error_is_of_its_own_kind(self) -> None:
        """Python finding no memory is a failure of kind "memory"."""
        assert failure_of(execute(task_for("run_out_of_memory"), artifacts=STORE)).kind == "memory"

    def test_endless_recursion_ends(self) -> None:
        """A recursion error is told briefly."""
        failure = failure_of(execute(task_for("recurse"), artifacts=STORE))
        assert failure.error == "RecursionError"
        assert len(failure.traceback) < 2000

    def test_long_words_are_cut(self) -> None:
        """A message of a megabyte is shortened, and says so."""
        failure = failure_of(execute(task_for("fail_with", message="x" * 1_000_000), artifacts=STORE))
        assert len(failure.message) < 20_000
        assert "characters cut" in failure.message

    def test_words_can_be_stored(self) -> None:
        """Text that UTF-8 does not have is escaped."""
        failure = failure_of(execute(task_for("fail_with", message="bad \udc80"), artifacts=STORE))
        assert failure.message == "bad \\udc80"
        failure.traceback.encode()

    def test_wrong_parameters(self) -> None:
        """Arguments that the function does not take are told by their name."""
        assert "'surplus'" in failure_of(execute(task_for("give", surplus=1), artifacts=STORE)).message

    def test_module_that_cannot_be_imported(self) -> None:
        """A missing module is told without our frames."""
        failure = failure_of(execute(task_for("tests.engine.not_there:f"), artifacts=STORE))
        assert (failure.kind, failure.error) == ("raised", "ModuleNotFoundError")
        assert "filiera" not in failure.traceback

    def test_ctrl_c_travels_on(self) -> None:
        """KeyboardInterrupt is not the step's failure here: the caller knows what it means."""
        with pytest.raises(KeyboardInterrupt):
            execute(task_for("interrupt"), artifacts=STORE)

    def test_classes_of_an_exception_are_told(self) -> None:
        """A failure names the exception's class and its bases, from which a driver sees what not to retry."""
        failure = failure_of(execute(task_for("fail_with_ours"), artifacts=STORE))
        assert failure.bases[0].endswith(":SourceError")
        assert failure.bases[1:] == ("filiera.errors:FilieraError", "builtins:Exception", "builtins:BaseException")

    def test_times_are_told(self) -> None:
        """Success or failure, the end has the time of starting and a duration."""
        for name in ("verdicts", "fail_deep"):
            finished = execute(task_for(name, outputs=3), artifacts=STORE)
            assert finished.started_at > 1.7e9
            assert finished.duration_s >= 0


class TestFindingFunctions:
    def test_plain_nested_and_wrapped(self) -> None:
        """A function is found by its qualified name; of a step object, the function inside it."""
        module = "tests.engine.steps_to_execute"
        assert find_function(f"{module}:give") is steps.give
        assert find_function(f"{module}:wrapped") is steps.give
        assert find_function(f"{module}:Holder.nested")(1) == 2

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("tests.engine.steps_to_execute:gone", "has no 'gone'"),
            ("tests.engine.steps_to_execute:outer.<locals>.inner", "inside another function"),
            ("__main__:step_of_a_script", "script or notebook"),
        ],
    )
    def test_missing_ones_say_why(self, name: str, words: str) -> None:
        """A name that is not there says what may be the reason."""
        with pytest.raises(StepFailed) as raised:
            find_function(name)
        assert words in str(raised.value)
        assert raised.value.do


def test_executing_here_leaves_no_trace(tmp_path: Path) -> None:
    """Folder and environment of this process are put back, also when the step fails."""
    before = Path.cwd(), dict(os.environ)
    for function in ("spoil_surroundings", "leave"):
        name = f"filiera.testing.executor_steps:{function}"
        arguments = {"folder": str(tmp_path)} if function == "spoil_surroundings" else {"code": 1}
        execute_here(task_for(name, outputs=0, **arguments), artifacts=STORE)
        assert (Path.cwd(), dict(os.environ)) == before


def test_code_that_changed_since_the_run_was_planned_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result of other code than the key stands for would be a wrong hit for ever."""
    file = tmp_path / "edited_meanwhile.py"
    file.write_text("def answer():\n    return 1\n")
    stat = file.stat()
    monkeypatch.syspath_prepend(str(tmp_path))
    task = Task(
        task_id="1",
        function="edited_meanwhile:answer",
        arguments=b"{}",
        sources=(("edited_meanwhile", str(file), stat.st_size, stat.st_mtime_ns),),
    )
    file.write_text("def answer():\n    return 22\n")
    refused = execute(task, artifacts=PlainArtifacts())
    assert refused.failure is not None
    assert "was changed while the run was going" in refused.failure.message
    assert "edited_meanwhile" not in sys.modules
