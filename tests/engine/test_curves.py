from __future__ import annotations

import errno
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.artifact import ArtifactRef
from filiera.core.logged import Curves, Log, Logged, Point, begin, end, log_metric
from filiera.engine.curves import CurveFiles, CurveLog, joined
from filiera.errors import StoreFull, TrialPruned
from tests.engine.plain_artifacts import PlainArtifacts

KEY = "a" * 64


@pytest.fixture
def files(tmp_path: Path) -> CurveFiles:
    return CurveFiles(tmp_path / "metrics")


@contextmanager
def running(log: Log) -> Iterator[None]:
    """Be the step that *log* is for."""
    token = begin(log)
    try:
        yield
    finally:
        end(token)


def shown(curves: Curves) -> dict[str, list[tuple[int, float]]]:
    return {curve.name: [(point.step, point.value) for point in curve.points()] for curve in curves}


def kept(log: CurveLog, *, keep: bool = False) -> dict[str, list[tuple[int, float]]]:
    """End the step; return what is stored of it."""
    values = PlainArtifacts()
    logged = log.finish(values, keep=keep)
    return {} if logged is None else shown(values.get(logged.curves))


def test_points_are_seen_at_once_and_kept(files: CurveFiles, tmp_path: Path) -> None:
    """Another process sees each point; at the end they are a value, and the file is gone."""
    log = files.log_of(KEY)
    with running(log):
        log_metric("loss", 0.5)
        assert shown(files.read(KEY)) == {"loss": [(0, 0.5)]}
        log_metric("loss", math.inf)
        log_metric("a name", -0.0, 12)
        assert shown(files.read(KEY)) == {"loss": [(0, 0.5), (1, math.inf)], "a name": [(12, -0.0)]}
    assert kept(log) == {"loss": [(0, 0.5), (1, math.inf)], "a name": [(12, -0.0)]}
    assert list((tmp_path / "metrics").iterdir()) == []
    assert shown(files.read(KEY)) == {}


def test_a_step_that_logs_nothing_leaves_nothing(files: CurveFiles, tmp_path: Path) -> None:
    """No file, no folder, no value."""
    assert files.log_of(KEY).finish(PlainArtifacts(), keep=False) is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_has_logged_is_there(files: CurveFiles) -> None:
    """Every point that was logged before the kill; the next attempt goes on behind them."""
    child = os.fork()
    if child == 0:
        with running(files.log_of(KEY)):
            for step in range(100):
                log_metric("loss", step / 100, step)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert shown(files.read(KEY)) == {"loss": [(step, step / 100) for step in range(100)]}
    log = files.log_of(KEY)
    with running(log):
        log_metric("loss", 7.0, 50)
    assert kept(log) == {"loss": [*[(step, step / 100) for step in range(50)], (50, 7.0)]}


def test_an_attempt_that_begins_anew_drops_what_was_there(files: CurveFiles) -> None:
    """Its own points are all there is; of metrics that it has not logged yet, the earlier ones stay."""
    first = files.log_of(KEY)
    with running(first):
        for step in range(5):
            log_metric("loss", 1.0)
            log_metric("other", float(step))
    assert kept(first, keep=True)["loss"] == [(step, 1.0) for step in range(5)]
    second = files.log_of(KEY)
    with running(second):
        log_metric("loss", 2.0)
        assert shown(files.read(KEY))["loss"] == [(0, 2.0)]
    assert kept(second) == {"loss": [(0, 2.0)], "other": [(step, float(step)) for step in range(5)]}


def test_two_that_compute_the_same_are_kept_apart(files: CurveFiles) -> None:
    """Of steps that are never cached, each ends with its own points, though both wrote to one file."""
    one, other = files.log_of(KEY), files.log_of(KEY)
    for step in range(3):
        one.add("loss", 1.0, step)
        other.add("loss", 2.0, step)
    assert kept(one) == {"loss": [(step, 1.0) for step in range(3)]}
    other.add("loss", 2.0, 3)
    assert kept(other) == {"loss": [(step, 2.0) for step in range(4)]}


def test_threads_and_forked_processes_log_too(files: CurveFiles) -> None:
    """A step's helpers write to the same curves."""
    log = files.log_of(KEY)
    with running(log):
        log_metric("loss", 1.0, 0)
        thread = threading.Thread(target=log_metric, args=("loss", 2.0, 1))
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            log_metric("loss", 3.0, 2)
            os._exit(0)
        os.waitpid(child, 0)
    assert kept(log) == {"loss": [(0, 1.0), (1, 2.0), (2, 3.0)]}


@given(cut=st.integers(0, 200), garbage=st.binary(max_size=60))
def test_a_torn_end_costs_only_itself(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    """Whatever stands behind the last whole line, those before it are read, and what comes after is not lost."""
    folder = tmp_path_factory.mktemp("torn")
    log = CurveFiles(folder).log_of(KEY)
    for step in range(3):
        log.add("loss", 0.5, step)
    content = (folder / KEY).read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    (folder / KEY).write_bytes(content[:cut] + garbage.replace(b"\n", b""))
    whole = sum(end < cut for end in ends)
    found = shown(CurveFiles(folder).read(KEY)).get("loss", [])
    assert found[:whole] == [(step, 0.5) for step in range(whole)]
    assert len(found) <= 3


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 251, "\0"])
def test_impossible_names(files: CurveFiles, name: str) -> None:
    """A name that would break a line or a table is refused."""
    with running(files.log_of(KEY)), pytest.raises(ValueError, match="name of a metric"):
        log_metric(name, 1.0)


def test_impossible_steps(files: CurveFiles) -> None:
    """A step beyond 2**53 would not be exact in other programs; a fraction is none."""
    with running(files.log_of(KEY)):
        with pytest.raises(ValueError, match="2\\*\\*53"):
            log_metric("loss", 1.0, 2**60)
        with pytest.raises(TypeError):
            log_metric("loss", 1.0, 1.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a text"):
            log_metric(3, 1.0)  # type: ignore[arg-type]


def test_a_full_disk_costs_points_and_not_the_step(
    files: CurveFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said once, and what was logged before is kept."""
    log = files.log_of(KEY)
    log.add("loss", 0.5, 0)

    def refuse(fd: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        log.add("loss", 0.5, 1)
        log.add("loss", 0.5, 2)
    assert capsys.readouterr().err.count("No space left") == 1
    assert kept(log) == {"loss": [(0, 0.5)]}


def test_curves_that_cannot_be_stored_cost_the_curves(files: CurveFiles, capsys: pytest.CaptureFixture[str]) -> None:
    """The step has succeeded all the same; its log tells."""

    class Full(PlainArtifacts):
        def put(self, value: object, codec: str | None = None) -> ArtifactRef:
            raise StoreFull("No space is left.")

    log = files.log_of(KEY)
    log.add("loss", 0.5, 0)
    found: Logged | None = log.finish(Full(), keep=False)
    assert found is None
    assert "No space is left" in capsys.readouterr().err


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.floats(allow_nan=False)), max_size=30))
def test_attempts_in_a_row(lines: list[tuple[str, int, float]]) -> None:
    """Each metric ends as a reader who rewinds when the attempt changes would see it."""
    by_attempt = [(f"{number // 7}", name, Point(step, value, 0.0)) for number, (name, step, value) in enumerate(lines)]
    expected: dict[str, list[tuple[str, Point]]] = {}
    for attempt, name, point in by_attempt:
        known = expected.setdefault(name, [])
        if all(earlier != attempt for earlier, _ in known):
            known[:] = [(earlier, one) for earlier, one in known if one.step < point.step]
        known.append((attempt, point))
    found = joined(by_attempt)
    assert shown(found) == {name: [(p.step, p.value) for _, p in points] for name, points in expected.items()}


def test_returned_metrics_never_fail_a_step(files: CurveFiles, tmp_path: Path) -> None:
    """Not by names that cannot be logged, and not by pruning: the step is over."""
    (tmp_path / "usual").write_text('{"0": 0.9}')
    log = files.log_of(KEY, ("f1", True, str(tmp_path / "usual")))
    log.add_returned([("f1", 0.1), ("a\nb", 1.0), ("x" * 999, 1.0)])
    assert kept(log) == {"f1": [(0, 0.1)]}
    with running(files.log_of(KEY, ("f1", True, str(tmp_path / "usual")))), pytest.raises(TrialPruned, match="step 0"):
        log_metric("f1", 0.1)
