"""Messages of real brokers reach a function of filiera up, whoever is killed between: the broker, too."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import pytest

from filiera.project.identity import process_start
from filiera.project.project import Project
from filiera.project.serving.supervising import queue_of
from tests.brokers import PASSWORD
from tests.cli.command import done, read_until, started
from tests.cli.conftest import Ask

CODE = '''\
import os


def work(word: str) -> str:
    """Note a word for ever."""
    file = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word}\\n".encode())
    os.close(file)
    return word
'''
LIMIT_S = 120.0


class Broker(Protocol):
    """What these tests do with a broker."""

    def url(self, name: str) -> str: ...
    def send(self, name: str, bodies: list[bytes]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture(params=["redis_server", "rabbit_server", "kafka_cluster"])
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Broker:
    monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def name(broker: Broker) -> str:
    """Return the name of a stream, queue or topic that is new."""
    name = f"words-{token_hex(4)}"
    for make in ("declare", "create"):
        if hasattr(broker, make):
            getattr(broker, make)(name)
    return name


@pytest.fixture
def folder(tmp_path: Path, broker: Broker, name: str) -> Path:
    """Return a project with one function that takes the broker's messages."""
    (tmp_path / "jobs.py").write_text(CODE)
    (tmp_path / "filiera.toml").write_text(
        f"[project]\nname = '{name}'\n[service.work]\nfunction = 'jobs:work'\nidle_s = 1\nattempts = 1000\n"
        f"workers = {{max = 2, in_flight = 2}}\nmessages = '{broker.url(name)}'\n"
    )
    return tmp_path


@contextmanager
def up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the project's services."""
    with started("up", cwd=folder) as process:
        read_until(process.stdout, "up; Ctrl-C")
        yield process


class Words:
    """What was sent, and what was done."""

    def __init__(self, broker: Broker, name: str, folder: Path) -> None:
        self._broker, self._name, self._folder = broker, name, folder
        self.sent: list[str] = []

    def send(self, count: int) -> None:
        words = [f"w{len(self.sent) + number}" for number in range(count)]
        self._broker.send(self._name, [json.dumps({"word": word}).encode() for word in words])
        self.sent += words

    def done(self) -> list[str]:
        with suppress(FileNotFoundError):
            return (self._folder / "done").read_text().split()
        return []

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(set(self.done())) >= count, lambda: f"{len(set(self.done()))} of {count}")


def wait_until(is_so: Callable[[], bool], what: Callable[[], object]) -> None:
    until = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < until, what()
        time.sleep(0.02)


def workers(folder: Path) -> list[int]:
    with suppress(OSError, ValueError):
        known = json.loads((folder / ".filiera" / "up" / "workers.json").read_text())
        return [int(pid) for pid in known if process_start(int(pid))]
    return []


def test_messages_are_handled_and_a_broker_may_be_restarted(broker: Broker, name: str, folder: Path) -> None:
    """A wrong message is dead with its reason; what comes after the broker was away is handled as what came before."""
    words = Words(broker, name, folder)
    words.send(3)
    with up(folder) as process:
        words.send(20)
        broker.send(name, [b'{"wrod": 1}'])
        words.wait_for(23)
        broker.stop()
        broker.start()
        words.send(5)
        words.wait_for(28)
        (standing,) = done("services", "--json", cwd=folder).data
        assert standing["messages"] == "receiving"
        assert "MESSAGES" in done("services", cwd=folder).out
        wait_until(lambda: len(done("queue", "dead", "work", "--json", cwd=folder).data) == 1, lambda: "none is dead")
        (dead,) = done("queue", "dead", "work", "--json", cwd=folder).data
        assert (dead["body"], dead["origin"]) == ('{"wrod": 1}', broker.url(name).replace(":${BROKER_PASSWORD}@", ""))
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=LIMIT_S)
    assert out.endswith("down; what waits in queues is kept\n")
    assert PASSWORD not in out
    assert sorted(set(words.done())) == sorted(words.sent)


def test_what_no_broker_can_be_is_told_at_once(project: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that is written down, an unknown kind, a variable that is not set: exit code 4, and nothing starts."""
    monkeypatch.delenv("NOBODY_SET_IT", raising=False)
    file = project / "filiera.toml"
    text = file.read_text() + '\n[service.a]\nfunction = "m:f"\nmessages = '
    for messages, *words in (
        ("redis://:secret@localhost/orders", "has a password in it", "write ${NAME}"),
        ("redis://localhost/0", "a database and no stream", "redis://localhost/0/STREAM"),
        ("orders", "is no address of messages", "redis://host/STREAM"),
        ("redis://localhost/orders?size=3", "'size' means nothing there", "group"),
        ("nats://localhost/orders", "no broker 'nats'", "There are: amqp, amqps, kafka"),
        ("redis://:${NOBODY_SET_IT}@localhost/orders", "NOBODY_SET_IT is not set", "export NOBODY_SET_IT"),
    ):
        file.write_text(f"{text}'{messages}'\n")
        ask("up", cwd=project).said(4, *words)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_whoever_is_killed(broker: Broker, name: str, folder: Path, seed: int) -> None:
    """Workers, supervisors and the broker are killed twelve times under load: each message is handled."""
    chance = random.Random(seed)
    words = Words(broker, name, folder)
    kills = {"worker": 0, "supervisor": 0, "broker": 0}
    while sum(kills.values()) < 12:
        with up(folder) as process:
            while sum(kills.values()) < 12:
                words.send(chance.randint(1, 60))
                words.wait_for(int(len(words.sent) * chance.random()))
                victim = chance.choice(list(kills))
                kills[victim] += 1
                if victim == "supervisor":
                    process.kill()
                    process.wait()
                    break
                if victim == "broker":
                    broker.stop()
                    broker.start()
                for pid in chance.sample(found := workers(folder), min(len(found), 1)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
    with up(folder) as process:
        words.wait_for(len(words.sent))
        queue = queue_of(Project.open(folder), "work")
        wait_until(lambda: queue.standing().waiting + queue.standing().handled == 0, queue.standing)
        assert queue.standing().dead == 0
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
    did = words.done()
    assert set(did) == set(words.sent)
    print(f"{kills}: {len(words.sent)} messages, {len(did) - len(words.sent)} of them handled again")
