"""Triggers put each of their messages once, whatever happens between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import StoreError
from filiera.supervision.prompting import LOOK_S, Prompter
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service, Triggers
from tests.supervision.time import HandClock

Start = Callable[..., Prompter]


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_700_000_000.0)


@pytest.fixture
def queue(tmp_path: Path, clock: HandClock) -> Iterator[MessageQueue]:
    records = SqliteRecords(tmp_path / "records.db")
    yield MessageQueue(records, "job", clock=clock)
    records.close()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def start(queue: MessageQueue, clock: HandClock, tmp_path: Path, told: list[str]) -> Start:
    """Return what starts a new supervisor's prompter."""

    def make(**triggers: object) -> Prompter:
        service = Service(name="job", function="m:f", triggers=Triggers(**triggers))  # type: ignore[arg-type]
        return Prompter(service, queue, root=tmp_path, clock=clock, tell=told.append)

    return make


def taken(queue: MessageQueue) -> list[tuple[str, dict[str, str]]]:
    """Take all messages; return what put them, and their bodies."""
    found = queue.receive(10_000)
    for message in found:
        queue.acknowledge(message)
    return [(message.origin, json.loads(message.body)) for message in found]


def test_a_clock_puts_one_message_each_time(queue: MessageQueue, start: Start, clock: HandClock) -> None:
    """However often it is looked at; the first time counts from when the service was first up."""
    prompter = start(every_s=60.0)
    for _ in range(600):
        prompter.step()
        clock.turn(1.0)
    assert taken(queue) == [("every", {})] * 10
    prompter.step()
    assert taken(queue) == []


def test_what_was_missed_is_one_message_and_told(
    queue: MessageQueue, start: Start, clock: HandClock, told: list[str]
) -> None:
    """Down for a day, then called once; down for less than the next time, not at all."""
    start(cron="0 * * * *").step()
    clock.turn(30.0)
    start(cron="0 * * * *").step()
    assert (taken(queue), told) == ([], [])
    clock.turn(86_400.0)
    prompter = start(cron="0 * * * *")
    prompter.step()
    prompter.step()
    assert taken(queue) == [("cron", {})]
    assert told == ["cron 0 * * * * UTC: 23 times were missed; called once now for all of them"]


def test_another_schedule_begins_anew(queue: MessageQueue, start: Start, clock: HandClock) -> None:
    """A changed expression has missed nothing."""
    start(cron="0 0 1 1 *").step()
    clock.turn(86_400.0)
    start(cron="0 * * * *").step()
    assert taken(queue) == []


def test_a_clock_that_is_set_back_repeats_nothing(queue: MessageQueue, start: Start, clock: HandClock) -> None:
    """And goes on when the time has come again."""
    prompter = start(every_s=60.0)
    prompter.step()
    clock.turn(60.0)
    prompter.step()
    assert len(taken(queue)) == 1
    clock.turn(-3600.0)
    for _ in range(60):
        clock.turn(60.0)
        prompter.step()
    assert taken(queue) == []
    clock.turn(60.0)
    prompter.step()
    assert len(taken(queue)) == 1


def test_each_file_is_one_message_also_after_a_restart(
    queue: MessageQueue, start: Start, clock: HandClock, tmp_path: Path
) -> None:
    """Those that are there already, new ones and changed ones; each when it is whole, and once."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / name).write_text("1")

    def look(prompter: Prompter, times: int = 3) -> list[dict[str, str]]:
        for _ in range(times):
            clock.turn(LOOK_S * 100)
            prompter.step()
        return [body for _, body in taken(queue)]

    prompter = start(files="in/*")
    assert look(prompter, 1) == []
    assert look(prompter) == [{"path": "in/a"}, {"path": "in/b"}]
    assert look(prompter) == []
    (tmp_path / "in" / "a").write_text("12")
    (tmp_path / "in" / "b").unlink()
    (tmp_path / "in" / "c").write_text("1")
    assert look(start(files="in/*")) == [{"path": "in/a"}, {"path": "in/c"}]
    (tmp_path / "in" / "b").write_text("1")
    for size in range(5):
        (tmp_path / "in" / "d").write_text("x" * size)
        assert {"path": "in/d"} not in look(prompter, 1)
    assert {"path": "in/d"} in look(prompter)
    assert look(start(files="in/*")) == []


def test_many_files_are_put_in_parts(queue: MessageQueue, start: Start, clock: HandClock, tmp_path: Path) -> None:
    """A folder with thousands of them too."""
    for number in range(1_203):
        (tmp_path / f"{number:04d}.csv").touch()
    prompter = start(files="*.csv")
    for _ in range(3):
        clock.turn(100.0)
        prompter.step()
    found = [str(body["path"]) for _, body in taken(queue)]
    assert sorted(found) == [f"{number:04d}.csv" for number in range(1_203)]


def test_what_could_not_be_put_is_put_later(
    queue: MessageQueue, start: Start, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that refuses loses no time."""
    prompter = start(every_s=60.0)
    prompter.step()
    clock.turn(61.0)

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "put", refuse)
        with pytest.raises(StoreError):
            prompter.step()
    prompter.step()
    assert len(taken(queue)) == 1
