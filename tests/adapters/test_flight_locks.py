from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.adapters.flight_locks import FlightLocks, Limits
from filiera.core.digest import blob_digest
from filiera.errors import StoreError, UsageError

ROOT = Path(__file__).parents[2]
OTHER = """
import sys
from pathlib import Path
from filiera.adapters.flight_locks import FlightLocks
_, path, holder, *keys = sys.argv
locks = FlightLocks(Path(path), holder=int(holder) or None)
print(*(locks.try_take(key) for key in keys), flush=True)
sys.stdin.read()
"""


def key(number: int) -> str:
    return blob_digest(b"%d" % number)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flights"


@pytest.fixture
def locks(path: Path) -> Iterator[FlightLocks]:
    with closing(FlightLocks(path)) as locks:
        yield locks


@contextmanager
def another_process(path: Path, *keys: str, holder: int = 0) -> Iterator[tuple[list[bool], subprocess.Popen[str]]]:
    """Yield which *keys* another process could take, and that process, which lives until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path), str(holder), *keys],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield [word == "True" for word in process.stdout.readline().split()], process
        process.kill()


class TestFlightLocks:
    def test_taken_is_taken(self, locks: FlightLocks) -> None:
        """A key can be taken once, until it is released; other keys do not matter."""
        assert [locks.try_take(key(n)) for n in (1, 2, 1)] == [True, True, False]
        locks.release(key(1))
        locks.release(key(3))
        assert [locks.try_take(key(n)) for n in (1, 2, 3)] == [True, False, True]

    def test_other_processes_see_it(self, locks: FlightLocks, path: Path) -> None:
        """What one process has taken, no other gets until it is released."""
        locks.try_take(key(1))
        with another_process(path, key(1), key(2)) as (taken, _):
            assert taken == [False, True]
            assert not locks.try_take(key(2))
            locks.release(key(2))  # it is not ours to release
            assert not locks.try_take(key(2))
            locks.release(key(1))
        with another_process(path, key(1)) as (taken, _):
            assert taken == [True]

    def test_death_releases(self, locks: FlightLocks, path: Path) -> None:
        """What a process had taken when it was killed is free."""
        with another_process(path, key(1)) as (taken, process):
            assert (taken, locks.try_take(key(1))) == ([True], False)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert locks.try_take(key(1))

    def test_worker_takes_for_its_driver(self, locks: FlightLocks, path: Path) -> None:
        """A worker takes in its driver's name: the driver sees it, outlives it and releases it."""
        locks.try_take(key(1))
        with another_process(path, key(1), key(2), holder=locks.holder) as (taken, worker):
            assert taken == [False, True]
            worker.kill()
            worker.wait()
        assert not locks.try_take(key(2))
        locks.release(key(2))
        assert locks.try_take(key(2))

    def test_objects_of_a_process_are_one_holder(self, locks: FlightLocks, path: Path) -> None:
        """A second object excludes the first, and closing it lets go of nothing that the process still holds."""
        second = FlightLocks(path)
        assert second.holder == locks.holder
        assert [locks.try_take(key(1)), second.try_take(key(1)), second.try_take(key(2))] == [True, False, True]
        second.close()
        second.close()
        with another_process(path, key(1), key(2)) as (taken, _):
            assert taken == [False, False]

    def test_closing_releases(self, path: Path) -> None:
        """When the last object of a process is closed, its keys are free."""
        locks = FlightLocks(path)
        locks.try_take(key(1))
        locks.close()
        with another_process(path, key(1)) as (taken, _):
            assert taken == [True]

    def test_a_fork_holds_nothing(self, locks: FlightLocks, path: Path) -> None:
        """A process that was forked from a holder does not keep alive what the holder took."""
        program = f"""
import os, signal, sys
from pathlib import Path
from filiera.adapters.flight_locks import FlightLocks
locks = FlightLocks(Path({str(path)!r}))
locks.try_take({key(1)!r})
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
else:
    signal.pause()
"""
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"forked\n"
            assert not locks.try_take(key(1))
            process.kill()
            process.wait()
            assert locks.try_take(key(1))

    def test_threads_exclude_each_other(self, locks: FlightLocks) -> None:
        """Of several threads that ask for the same keys at once, each key goes to one."""
        taken: list[int] = []

        def take_all() -> None:
            taken.extend(n for n in range(500) if locks.try_take(key(n)))

        threads = [threading.Thread(target=take_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(500))

    def test_no_place_left(self, locks: FlightLocks) -> None:
        """A key for which the table has no place cannot be taken until another is released."""
        crowd = [f"{(n * 8192 + 5) << 2:016x}" for n in range(1, 18)]
        assert [locks.try_take(one) for one in crowd] == [True] * 16 + [False]
        locks.release(crowd[7])
        assert locks.try_take(crowd[16])

    def test_places_of_the_dead_are_used(self, locks: FlightLocks, path: Path) -> None:
        """A full part of the table is cleared of what dead processes took."""
        crowd = [f"{(n * 8192 + 5) << 2:016x}" for n in range(1, 18)]
        with another_process(path, *crowd[:16]) as (taken, process):
            assert all(taken)
            assert not locks.try_take(crowd[16])
            process.kill()
            process.wait()
            assert locks.try_take(crowd[16])

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(moves=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=80))
    def test_is_a_set(self, locks: FlightLocks, moves: list[tuple[bool, int]]) -> None:
        """Whatever the order of taking and releasing, the table knows what a set would, though all is crowded."""
        held: set[str] = set()
        for is_take, number in moves:
            one = f"{(number * 8192 + number % 3 + 8192) << 2:016x}"
            if is_take:
                assert locks.try_take(one) == (one not in held)
                held.add(one)
            else:
                locks.release(one)
                held.discard(one)
        for one in held:
            locks.release(one)

    def test_folder_that_is_not_there(self, tmp_path: Path) -> None:
        """A file that cannot be opened is an error that names it."""
        with pytest.raises(StoreError, match="flights"):
            FlightLocks(tmp_path / "none" / "flights")


class TestLimits:
    def test_as_many_as_the_limit_says(self, path: Path) -> None:
        """Each name has its number of places; a place that was given back is there again."""
        with closing(Limits(path, {"gpu": 2, "database": 1})) as limits:
            first, second = limits.try_take("gpu"), limits.try_take("gpu")
            assert first is not None
            assert second not in (None, first)
            assert limits.try_take("gpu") is None
            assert limits.try_take("database") is not None
            limits.release(first)
            assert limits.try_take("gpu") == first

    def test_hold_across_processes_and_deaths(self, path: Path) -> None:
        """Another process's places count, until it is gone."""
        program = f"""
import sys
from pathlib import Path
from filiera.adapters.flight_locks import Limits
print(Limits(Path({str(path)!r}), {{"gpu": 1}}).try_take("gpu"), flush=True)
sys.stdin.read()
"""
        with (
            closing(Limits(path, {"gpu": 1})) as limits,
            subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None
            token = process.stdout.readline().decode().strip()
            assert limits.try_take("gpu") is None
            process.kill()
            process.wait()
            assert limits.try_take("gpu") == token

    def test_unknown_name(self, path: Path) -> None:
        """A limit that is not declared is an error that says where to declare it."""
        with closing(Limits(path, {"gpu": 1})) as limits, pytest.raises(UsageError, match=r"limits") as raised:
            limits.try_take("gpus")
        assert "There is: gpu." in str(raised.value)
