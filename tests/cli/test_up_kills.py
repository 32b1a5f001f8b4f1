"""A function as its users run it, while its workers and filiera up are killed: what was accepted is done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from filiera.project.identity import process_start
from filiera.project.project import Project
from filiera.project.serving.supervising import queue_of
from tests.cli.command import read_until, started

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


def call(url: str, word: str) -> None:
    """Ask the function to note a word. Raises OSError."""
    body = json.dumps({"word": word}).encode()
    request = urllib.request.Request(
        f"{url}/v1/functions/work:call", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as response:
        assert json.load(response)["result"] == word


@contextmanager
def callers(url: str, answered: list[str]) -> Iterator[None]:
    """Call until the block ends, each word again until it is answered."""
    is_over = threading.Event()

    def go_on(name: str) -> None:
        number = 0
        while not is_over.is_set():
            with suppress(OSError, ValueError):
                call(url, f"{name}{number}")
                answered.append(f"{name}{number}")
                number += 1

    threads = [threading.Thread(target=go_on, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def workers(folder: Path) -> list[int]:
    """Return the workers that live."""
    with suppress(OSError, ValueError):
        known = json.loads((folder / ".filiera" / "up" / "workers.json").read_text())
        return [int(pid) for pid in known if process_start(int(pid))]
    return []


@contextmanager
def up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the project's services."""
    with started("up", cwd=folder) as process:
        yield process, read_until(process.stdout, " at http").rsplit(" at ", 1)[1].strip()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_nothing_accepted_is_lost(tmp_path: Path, seed: int) -> None:
    """Calls and messages of a function, with ten kills of workers and supervisors."""
    chance = random.Random(seed)
    (tmp_path / "jobs.py").write_text(CODE)
    head = "[service.work]\nfunction = 'jobs:work'\nidle_s = 1\nattempts = 1000\nworkers = {max = 2, in_flight = 2}\n"
    (tmp_path / "filiera.toml").write_text(head)
    queue = queue_of(Project.open(tmp_path), "work")
    answered: list[str] = []
    accepted: list[str] = []
    with up(tmp_path) as (process, url):
        (tmp_path / "filiera.toml").write_text(f"{head}port = {url.rsplit(':', 1)[1]}\n")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
    kills = 10
    with callers(url, answered):
        while kills:
            with up(tmp_path) as (process, _):
                while kills:
                    words = [f"m{len(accepted) + number}" for number in range(5)]
                    queue.put([json.dumps({"word": word}).encode() for word in words])
                    accepted += words
                    wanted, until = len(answered) + chance.randint(0, 200), time.monotonic() + LIMIT_S
                    while len(answered) < wanted:
                        assert time.monotonic() < until, (len(answered), wanted)
                        time.sleep(0.01)
                    kills -= 1
                    victims = workers(tmp_path)
                    if not victims or chance.random() < 0.4:
                        process.kill()
                        process.wait()  # not for its output, which its workers have too
                        break
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(victims), signal.SIGKILL)
    with up(tmp_path) as (process, _):
        until = time.monotonic() + LIMIT_S
        while (standing := queue.standing()).waiting + standing.handled:
            assert time.monotonic() < until, standing
            time.sleep(0.05)
        pids = workers(tmp_path)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=LIMIT_S)
    done = set((tmp_path / "done").read_text().split())
    assert out.endswith("down; what waits in queues is kept\n")
    assert queue.standing().dead == 0
    assert set(accepted) - done == set()
    assert set(answered) - done == set()
    while any(map(process_start, pids)):  # one that was taken over has hung up, and ends at this moment
        assert time.monotonic() < until + 10.0, pids
        time.sleep(0.05)
