"""Nodes of serving graphs: asked together, in time, watched, in processes of their own."""

from __future__ import annotations

import datetime as dt
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Model, graphs
from filiera.core.signature import Field
from filiera.serving.batch import Batch
from filiera.serving.course import NodeDied, NodeDown, NodeLate
from filiera.serving.node_process import NodeProcess
from filiera.serving.node_wire import Ask, ask_of, batch_of, outputs_of, packed_outputs
from filiera.serving.predictor import PredictionFailed
from tests.serving.test_graphs import SIZE, VALUE, Line, ask, member, put

NUMBER = (SIZE,)
PARROT = Path(__file__).with_name("node_parrot.py")


class Meeting:
    """Answers when all who are to come are there."""

    is_brief = False

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties, timeout=30)

    def predict(self, batch: Batch) -> Any:
        self.barrier.wait()
        return (np.zeros(batch.height),)


class Waiting:
    """Answers when it is let."""

    is_brief = False

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked: list[int] = []

    def predict(self, batch: Batch) -> Any:
        self.asked.append(batch.height)
        assert self.may_answer.wait(30)
        return (np.ones(batch.height),)


def batch_until(left_s: float) -> Batch:
    """Return rows of which an answer is of use for so long."""
    found = Batch(fields=NUMBER, columns=[[1.0, 2.0]], height=2)
    found.deadline_s = time.perf_counter() + left_s
    return found


def value(predictor: Any) -> Any:
    return member(predictor, outputs=(VALUE,))


def test_members_are_asked_together() -> None:
    """Two that wait for one another both answer: of an ensemble, a stack, and the parts of a split."""
    meeting = Meeting(2)
    both = {"a": value(meeting), "b": value(meeting)}
    assert list(ask(put(graphs.ensemble(Model("a"), Model("b"), how="mean"), **both))[0]) == [0.0] * 8
    made = put(graphs.route((graphs.where("size", ">", 3), Model("a")), otherwise=Model("b")), **both)
    assert list(ask(made)[0]) == [0.0] * 8


def test_a_slow_branch_is_waited_for_as_long_as_an_answer_is_of_use() -> None:
    """Then the node is named; what is begun later is not begun at all."""
    slow, quick = Waiting(), Waiting()
    quick.may_answer.set()
    predictor, _ = put(graphs.ensemble(Model("a"), Model("b"), how="mean"), a=value(slow), b=value(quick))
    with pytest.raises(NodeLate, match="'a'"):
        predictor.predict(batch_until(0.05))
    with pytest.raises(NodeLate, match="'ensemble'"):
        predictor.predict(batch_until(-1.0))
    assert (slow.asked, quick.asked) == ([2], [2])
    slow.may_answer.set()


def test_a_shadow_is_asked_and_not_heard() -> None:
    """Callers get the other's answers at once; the log gets both, under the same ids, in any order."""
    slow, kept = Waiting(), Kept()
    predictor, promised = put(graphs.shadow(Model("a"), Model("b")), a=value(Line(3)), b=value(slow))
    assert promised.outputs == (VALUE,)
    predictor.log_to(kept.log_of)
    answers = predictor.predict(Batch(fields=NUMBER, columns=[[1.0, 2.0]], height=2))
    assert list(answers[0]) == [3.0, 6.0]
    predictor.log_nodes(answers, ["x", "y"])
    assert kept.told == {"a": [("x", 3.0), ("y", 6.0)]}
    slow.may_answer.set()
    kept.until("b")
    assert kept.told["b"] == [("x", 1.0), ("y", 1.0)]


def test_what_each_model_answered_is_logged_under_the_ids_of_the_graph() -> None:
    """Of a router only the rows that it was given; of a fallback what was used; nothing where nobody logs."""
    kept = Kept()
    node = graphs.route((graphs.where("size", ">", 5), Model("c")), otherwise=graphs.fallback(Model("a"), Model("b")))
    failing = Line(2)
    failing.predict = lambda batch: _failed(batch)  # type: ignore[method-assign]
    predictor, _ = put(node, a=value(failing), b=value(Line(5)), c=value(Line(7)))
    batch = Batch(fields=NUMBER, columns=[[6.0, 1.0, 2.0]], height=3)
    assert not hasattr(predictor.predict(batch), "notes")
    predictor.log_to(kept.log_of)
    answers = predictor.predict(batch)
    assert list(answers[0]) == [42.0, 5.0, 4.0]
    predictor.log_nodes(answers, ["x", "y", "z"])
    assert kept.told == {"c": [("x", 42.0)], "b": [("y", 5.0)], "a": [("z", 4.0)]}
    counted = dict(predictor.samples())
    assert counted['filiera_node_rows_total{node="c"}'] == 2
    assert counted['filiera_node_failures_total{node="a"}'] == 4


def _failed(batch: Batch) -> Any:
    if 1.0 in batch.column(0):
        raise PredictionFailed("no")
    return (2 * np.asarray(batch.column(0)),)


class Kept:
    """Logs, by the name of a model: ids with values."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[str, float]]] = {}
        self._changed = threading.Condition()

    def log_of(self, name: str) -> Any:
        kept = self

        class Log:
            def append_requests(self, about: Any, requests: Any, answers: Any, *, count: int, raw: Any = ()) -> None:
                content = msgspec.json.decode(answers[0])
                assert about["model"] in ("m", name)
                rows = content if isinstance(content, list) else _rows(content, raw)
                with kept._changed:
                    kept.told.setdefault(name, []).extend((row["id"], row["value"]) for row in rows)
                    kept._changed.notify_all()

        return Log()

    def until(self, name: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: name in self.told, 30)


def _rows(content: Any, raw: Any) -> list[Any]:
    values = np.frombuffer(raw[-1])
    return [{"id": name, "value": value} for name, value in zip(content["columns"]["id"], values.tolist(), strict=True)]


def test_equal_nodes_are_one() -> None:
    """A model in two places has one name and is counted once for each; nodes of a kind are numbered."""
    mean = graphs.ensemble(Model("a"), Model("b"), how="mean")
    node = graphs.fallback(graphs.fallback(mean, Model("a")), mean)
    predictor, _ = put(node, a=value(Line(1)), b=value(Line(2)))
    assert set(predictor.nodes) == {"ensemble", "a", "b", "fallback", "fallback-2"}


FIELDS = (
    Field(name="n", type="float64", nullable=True),
    Field(name="i", type="int64"),
    Field(name="s", type="string", nullable=True),
    Field(name="d", type="date", nullable=True),
    Field(name="t", type="timestamp", nullable=True),
)
NUMBERS = st.floats(allow_nan=False) | st.none()
TIMES = st.datetimes(min_value=dt.datetime(1900, 1, 1)) | st.none()
ROW = st.tuples(NUMBERS, st.integers(-(2**63), 2**63 - 1), st.text() | st.none(), st.dates() | st.none(), TIMES)


@given(rows=st.lists(ROW, min_size=1, max_size=5), labels=st.lists(st.text(max_size=3), min_size=1, max_size=4))
def test_batches_and_answers_pass_bit_for_bit(rows: list[Any], labels: list[str]) -> None:
    """Rows as values and as arrays, of every type; answers of numbers, labels and tables of probabilities."""
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(ask_of(7, Batch.of_rows(FIELDS, rows), 0.5)), type=Ask)
    found = batch_of(sent, FIELDS)
    assert [list(column) for column in found.columns] == [list(column) for column in zip(*rows, strict=True)]
    numbers = np.array([row[0] if row[0] is not None else math.nan for row in rows])
    outputs = (
        np.array(labels),
        np.array(labels, dtype=object),
        numbers,
        np.column_stack([numbers, -numbers]),
        np.array([1, 2]),
    )
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(packed_outputs(outputs)))
    for before, after in zip(outputs, outputs_of(wire), strict=True):
        assert (before.dtype, before.shape, before.tobytes()) == (after.dtype, after.shape, after.tobytes()) or (
            before.dtype == object and list(before) == list(after)
        )


@pytest.fixture
def parrot() -> Iterator[NodeProcess]:
    """Return a node in a process of its own."""

    def launch(theirs: socket.socket) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(PARROT), str(theirs.fileno())]
        return subprocess.Popen(words, pass_fds=(theirs.fileno(),))

    node = NodeProcess("parrot", launch)
    node.start()
    yield node
    node.stop()


def test_a_process_that_is_killed_is_started_again(parrot: NodeProcess) -> None:
    """Who asks meanwhile hears that the node is not there, by name; then it answers as before."""
    rows = Batch(fields=NUMBER, columns=[np.array([1.0, 2.5])], height=2)
    assert list(parrot.predict(rows)[0]) == [1.0, 2.5]
    with pytest.raises(NodeDied, match="'parrot'"):
        parrot.predict(Batch(fields=NUMBER, columns=[[-1.0]], height=1))
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        try:
            assert list(parrot.predict(rows)[0]) == [1.0, 2.5]
        except NodeDown as error:
            assert not isinstance(error, NodeDied), "it was not asked"
            continue
        break
    assert parrot.restarts == 1


def test_a_deadline_is_passed_on_and_kept(parrot: NodeProcess) -> None:
    """The process knows how long an answer is of use; what comes too late is not taken for the next answer."""
    late = Batch(fields=NUMBER, columns=[[1000.0]], height=1)
    late.deadline_s = time.perf_counter() + 0.05
    moved, _ = put(Model("a"), a=value(parrot))
    with pytest.raises(NodeLate, match="'parrot'"):
        moved.predict(late)
    left = moved.predict(batch_until(30.0))[1]
    assert 0 < left[0] < 30
