"""What a runner does when a worker ends, looked at from inside; real supervisors are in ``test_supervisor.py``."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.supervision.control import Channel, Gone
from filiera.supervision.couriers import Couriers
from filiera.supervision.fleet import Fleet
from filiera.supervision.prompting import Prompter
from filiera.supervision.queue import MessageQueue
from filiera.supervision.runner import Parts, Runner
from filiera.supervision.service import Service
from tests.supervision.time import HandClock


def test_the_connection_of_a_dead_worker_is_open_until_who_watches_it_has_seen_the_end(tmp_path: Path) -> None:
    """Closed before, its number could be that of the next caller, of whom the watcher would think that it knows it."""
    service, told = Service(name="work", function="m:work"), []
    records = SqliteRecords(tmp_path / "records.db")
    queue = MessageQueue(records, "work", clock=HandClock())
    options: dict[str, Any] = {"tell": told.append}
    runner = Runner(
        Parts(
            service=service,
            fleet=Fleet(service.workers, now=0.0, chance=lambda: 0.5),
            couriers=Couriers(service, queue, chance=lambda: 0.5, **options),
            prompter=Prompter(service, queue, root=tmp_path, clock=HandClock(), **options),
            launch=lambda *_: subprocess.Popen(["sleep", "60"]),
            prepare=lambda: None,
            **options,
        )
    )
    ours, theirs = socket.socketpair()
    with closing(records), closing(Channel(ours)) as channel, theirs:
        runner.listen(socket.create_server(("127.0.0.1", 0)), "http://127.0.0.1", ("127.0.0.1", 0))
        runner.fleet.wanted()
        runner.step(0.0)
        (pid,) = runner.pids
        assert runner.greeted(pid, channel)
        assert channel.receive() == []
        runner.stop()
        runner.kill_all()
        while runner.pids:
            runner.step(1.0)
        assert f"worker {pid} has ended" in told
        assert channel.socket.fileno() >= 0
        with pytest.raises(Gone):
            channel.receive()
        runner.lost(pid, 2.0)
        runner.close()
