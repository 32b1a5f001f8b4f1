"""Who is driving, and whether they still are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from filiera.project import identity
from filiera.project.identity import LEASE_S, is_alive, me, pid_of, process_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def of(**changes: object) -> str:
    return json.dumps({**json.loads(me()), **changes})


def test_this_process_is_alive() -> None:
    """Whoever asks is alive, however long ago they were heard of."""
    assert is_alive(me(), last_seen_at=0.0, now=1e12)
    assert pid_of(me()) == os.getpid()
    assert me() == me()


@pytest.mark.parametrize(
    "changes",
    [{"start": "1"}, {"start": ""}, {"boot": "another"}, {"pid": 2**22 + 1}],
    ids=["pid used again", "start unknown", "machine restarted", "no such process"],
)
def test_another_process_of_that_number_is_not_it(changes: dict[str, object]) -> None:
    """A driver is dead when its number belongs to a later process, to nobody, or to another life of the machine."""
    assert not is_alive(of(**changes), last_seen_at=1e12, now=1e12)


def test_the_dead_are_dead_before_they_are_buried() -> None:
    """A driver that was killed is dead at once, even while its parent has not asked for its end."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    named = of(pid=child.pid, start=process_start(child.pid))
    assert is_alive(named, last_seen_at=0.0, now=0.0)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    assert not is_alive(named, last_seen_at=0.0, now=0.0)
    child.communicate()
    assert process_start(child.pid) == ""


@pytest.mark.parametrize(("silent_s", "lives"), [(0.0, True), (LEASE_S - 1, True), (LEASE_S, False), (-5.0, True)])
def test_on_another_host_silence_tells(silent_s: float, lives: bool) -> None:
    """Of a driver elsewhere we only know when it spoke last: it lives as long as its lease."""
    elsewhere = of(host="elsewhere")
    assert is_alive(elsewhere, last_seen_at=1000.0, now=1000.0 + silent_s) is lives
    assert pid_of(elsewhere) is None


def test_any_name_of_a_program_is_read() -> None:
    """The start of a process is found though its name has spaces and brackets."""
    child = subprocess.Popen(
        [sys.executable, "-c", "open('/proc/self/comm', 'w').write(') Z (x'); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert process_start(child.pid).isdigit()
    child.communicate(b"\n")


def test_without_proc_a_signal_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel shows no process table as files, a process that can be signalled is alive."""

    class NoProc:
        def __init__(self, path: str) -> None: ...

        def read_text(self) -> str:
            raise FileNotFoundError

        def exists(self) -> bool:
            return False

    monkeypatch.setattr(identity, "Path", NoProc)
    assert process_start(os.getpid()) == "alive"
    assert process_start(2**22 + 1) == ""
    assert is_alive(me(), last_seen_at=0.0, now=0.0)
