"""Workers and supervisors are killed under load, at any moment: what was accepted is done, and the service is back."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from filiera.project.identity import process_start
from tests.servers import free_port
from tests.supervision.supervised import Supervised, done, end_orphans, queue_of, supervised, wait_for


class Load:
    """Callers and somebody who puts messages, each noting what was accepted or answered."""

    def __init__(self, folder: Path, url: str) -> None:
        self.answered: list[str] = []
        self.accepted: list[str] = []
        self.broken: list[Exception] = []
        self._folder, self._url = folder, url
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(name,)) for name in "abc"]
        self._threads.append(threading.Thread(target=self._put))

    def _call(self, name: str) -> None:
        """Call again until an answer comes, as whoever needs one does."""
        service = Supervised(self._folder, None, self._url, [])  # type: ignore[arg-type]
        number = 0
        while not self._is_over.is_set():
            word = f"{name}{number}"
            try:
                service.call(word=word)
            except (OSError, ValueError) as error:
                self.broken.append(error)
                self._is_over.wait(0.02)
                continue
            self.answered.append(word)
            number += 1

    def _put(self) -> None:
        with queue_of(self._folder) as queue:
            number = 0
            while not self._is_over.is_set():
                queue.put([json.dumps({"word": f"m{number}"}).encode()])
                self.accepted.append(f"m{number}")
                number += 1
                self._is_over.wait(0.01)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Run until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()


def workers(folder: Path) -> list[int]:
    """Return the workers that are known to live."""
    with suppress(OSError, ValueError):
        return [int(pid) for pid in json.loads((folder / "workers.json").read_text()) if process_start(int(pid))]
    return []


def kill_one(folder: Path, running: Supervised, chance: random.Random) -> bool:
    """Kill a worker or the supervisor; tell whether it was the supervisor."""
    victims = workers(folder)
    if victims and chance.random() < 0.6:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)
        return False
    running.kill()
    return True


def battle(folder: Path, *, seed: int, kills: int) -> int:
    """Kill so many times under load, then look whether anything was lost; return how many calls were cut off."""
    chance = random.Random(seed)
    port = free_port()
    limits = {"least": chance.choice([0, 1]), "most": 2, "in_flight": 4, "idle_s": 0.5}
    load = Load(folder, f"http://127.0.0.1:{port}")
    options = {"port": port, "workers": limits, "attempts": 1000}
    with load.going_on():
        while kills:
            with supervised(folder, **options) as running:
                is_gone = False
                while kills and not is_gone:
                    before = len(load.answered)
                    more = chance.randint(0, 60)
                    wait_for(lambda: len(load.answered), lambda count, least=before + more: count >= least)
                    is_gone = kill_one(folder, running, chance)
                    kills -= 1
                if not kills and not is_gone:
                    running.kill()
    with supervised(folder, **options) as running, queue_of(folder) as queue:
        wait_for(queue.standing, lambda standing: standing.waiting + standing.handled == 0)
        assert queue.standing().dead == 0
        pids = workers(folder)
        assert running.end().endswith("down\n")
    did = set(done(folder))
    assert set(load.accepted) - did == set()
    assert set(load.answered) - did == set()
    # One that was taken over has hung up, and ends at this moment.
    wait_for(lambda: [pid for pid in pids if process_start(pid)], lambda alive: alive == [])
    return len(load.broken)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_orphans(tmp_path)


def test_nothing_accepted_is_lost(folder: Path) -> None:
    """A few kills; the campaign has many."""
    battle(folder, seed=4, kills=5)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(12))
def test_nothing_accepted_is_lost_in_a_long_battle(folder: Path, seed: int) -> None:
    """Whoever is killed, whenever, each accepted message and each answered call was done."""
    battle(folder, seed=seed, kills=25)
