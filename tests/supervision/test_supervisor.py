"""A supervisor and its workers as real processes: woken, asleep, killed, taken over, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from filiera.project.identity import process_start
from filiera.supervision.control import knock
from tests.servers import free_port
from tests.supervision.supervised import done, end_orphans, queue_of, supervised, wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_orphans(tmp_path)


def test_the_first_call_wakes_it_and_quiet_lets_it_sleep(folder: Path) -> None:
    """No worker until somebody calls; all who call while it wakes are answered, by one worker; then none again."""
    with supervised(folder, workers={"idle_s": 0.5}) as running:
        assert (running.standing()["state"], running.standing()["pids"]) == ("asleep", [])
        with ThreadPoolExecutor(16) as callers:
            answers = list(callers.map(lambda number: running.call(word=number), range(16)))
        assert len({answer["pid"] for answer in answers}) == 1
        running.wait_until(lambda standing: not standing["pids"])
        assert running.call()["pid"] != answers[0]["pid"]
        assert running.wait_until(lambda standing: standing["requests"] == 17)["restarts"] == 0
    assert sorted(map(int, filter(None, done(folder)))) == list(range(16))


def test_a_message_wakes_it(folder: Path) -> None:
    """One that was put before it was up, and one that is put by another process while it sleeps."""
    with queue_of(folder) as queue:
        queue.put([b'{"word": "early"}'])
        with supervised(folder, workers={"idle_s": 0.3}) as running:
            wait_for(lambda: done(folder), lambda words: words == ["early"])
            running.wait_until(lambda standing: not standing["pids"])
            queue.put([b'{"word": "late"}', b'{"do": "fail"}'])
            wait_for(lambda: done(folder), lambda words: words == ["early", "late"])
            letters = wait_for(lambda: queue.letters(dead=False), lambda found: found and found[0].why)
            assert letters[0].why == "HTTP 500."


def test_a_clock_and_files_wake_it(folder: Path) -> None:
    """Each puts messages, which the service handles as any other."""
    (folder / "in").mkdir()
    (folder / "in" / "a").touch()
    with supervised(folder, triggers={"every_s": 0.2, "files": "in/*"}) as running, queue_of(folder) as queue:
        wait_for(lambda: done(folder), lambda words: len(words) >= 4)
        wait_for(queue.marks, lambda marks: "file in/a" in marks)
        assert running.standing()["restarts"] == 0


def test_workers_come_and_go_with_load(folder: Path) -> None:
    """More requests at once than a worker should have start another one, up to the limit."""
    with supervised(folder, workers={"most": 2, "in_flight": 2, "idle_s": 0.5}) as running:
        with ThreadPoolExecutor(6) as callers:
            waiting = [callers.submit(running.call, do="wait") for _ in range(6)]
            running.wait_until(lambda standing: standing["workers"] == 2 and standing["in_flight"] == 6)
            (folder / "gate").touch()
            assert all(future.result() for future in waiting)
        running.wait_until(lambda standing: not standing["pids"])


def test_a_killed_worker_is_replaced(folder: Path) -> None:
    """Callers that it had are told by a broken connection; the next one is answered; the queue tries again."""
    with supervised(folder) as running, queue_of(folder) as queue:
        first = running.call()["pid"]
        os.kill(first, signal.SIGKILL)
        assert running.call()["pid"] != first
        assert "has ended by SIGKILL" in running.says("has ended")
        with pytest.raises(OSError):
            running.call(do="die")
        queue.put([b'{"word": "next"}'])
        wait_for(lambda: done(folder), lambda words: words[-1:] == ["next"])


def test_a_message_that_kills_workers_is_dead_and_its_neighbours_are_handled(folder: Path) -> None:
    """Seven are at work beside it, and cut off with it; from then on it kills alone."""
    with supervised(folder, attempts=2) as running, queue_of(folder) as queue:
        good = [json.dumps({"do": "wait", "word": f"m{number}"}).encode() for number in range(20)]
        deadly = queue.put([*good[:3], b'{"do": "die"}', *good[3:]])[3]
        assert "has ended by SIGKILL" in running.says("has ended")
        (folder / "gate").touch()
        wait_for(queue.standing, lambda standing: standing.waiting + standing.handled == 0)
        (letter,) = queue.letters(dead=True)
        assert (letter.id, letter.attempts) == (deadly, 2)
        assert letter.why.startswith("The connection broke")
        assert sorted(done(folder)) == sorted(f"m{number}" for number in range(20)), "and each of them once"
        running.wait_until(lambda standing: standing["restarts"] == 3)


def test_a_service_that_cannot_start_says_so_to_its_callers(folder: Path) -> None:
    """After some attempts callers get 503 at once instead of waiting, and it is told why."""
    with supervised(folder, mode="broken") as running:
        status, headers = running.refusal()
        assert (status, headers["Retry-After"], headers["Content-Type"]) == (503, "10", "application/problem+json")
        assert "with exit code 7; given up for" in running.says("given up")
        assert running.standing()["state"] == "failing"
        with queue_of(folder) as queue:
            queue.put([b"{}"])
            assert running.refusal()[0] == 503
            (letter,) = queue.letters(dead=False)
            assert letter.attempts == 0, "messages wait for better times"


def test_a_mended_service_is_renewed(folder: Path) -> None:
    """Told that its workers shall be new ones, it tries at once; a running one is replaced without a failed call."""
    from filiera.supervision.control import connect
    from filiera.supervision.supervisor import ask

    with supervised(folder, mode="mendable") as running:
        assert running.refusal()[0] == 503
        (folder / "mended").touch()
        assert ask(connect(folder), {"renew": "work"}) == {"renewed": True}
        assert ask(connect(folder), {"renew": "other"}) == {"renewed": False}
        first = wait_for(lambda: running.wait_until(lambda s: s["state"] == "ready")["pids"], len)[0]
        pids = {running.call()["pid"]}
        ask(connect(folder), {"renew": "work"})
        while len(pids) == 1:
            pids.add(running.call()["pid"])
        assert first in pids
        running.wait_until(lambda standing: first not in standing["pids"])


def test_a_killed_supervisor_is_followed_without_a_gap(folder: Path) -> None:
    """Its workers answer on; the next supervisor takes socket and workers over, and replaces them."""
    with supervised(folder) as running:
        first = running.call()["pid"]
        running.kill()
        assert running.call()["pid"] == first
        gate = threading.Event()
        failed: list[Exception] = []

        def call_on() -> None:
            while not gate.is_set():
                try:
                    running.call()
                except OSError as error:
                    failed.append(error)

        caller = threading.Thread(target=call_on)
        caller.start()
        try:
            with supervised(folder, port=0) as following:
                assert following.url == running.url
                following.wait_until(lambda standing: standing["pids"] and first not in standing["pids"])
                gate.set()
                caller.join()
                assert following.call()["pid"] != first
                assert following.end().endswith("down\n")
        finally:
            gate.set()
    assert failed == []


def test_a_supervisor_with_another_address_leaves_no_old_worker(folder: Path) -> None:
    """Workers of an address that the service has no more end, before the new one is taken."""
    with supervised(folder) as running:
        first = running.call()["pid"]
        running.kill()
        port = free_port()
        with supervised(folder, port=port) as following:
            assert following.url.endswith(f":{port}")
            assert not process_start(first)
            assert following.call()["pid"] != first


def test_ending_finishes_what_has_begun(folder: Path) -> None:
    """Requests and messages under way are answered and settled; what waits in the queue is kept; no process is left."""
    with supervised(folder, workers={"in_flight": 1}) as running, queue_of(folder) as queue:
        queue.put([b'{"do": "wait", "word": "m"}', b'{"word": "kept"}'])
        with ThreadPoolExecutor(1) as callers:
            wait_for(lambda: queue.standing().handled, lambda count: count == 1)
            waiting = callers.submit(running.call, do="wait", word="r")
            pids = running.wait_until(lambda standing: standing["in_flight"] == 2)["pids"]
            running.process.send_signal(signal.SIGTERM)
            running.says("ending")
            (folder / "gate").touch()
            assert waiting.result()["pid"] in pids
        rest, _ = running.process.communicate(timeout=60.0)
        assert rest.endswith("down\n")
        assert sorted(done(folder)) == ["m", "r"]
        assert [letter.body for letter in queue.letters(dead=False)] == [b'{"word": "kept"}']
    for pid in pids:
        assert not process_start(pid)
    assert not (folder / "workers.json").exists()


def test_ending_waits_for_no_worker_that_never_comes(folder: Path) -> None:
    """A message that was brought while a worker was being replaced is kept, and nothing is held against it."""
    with supervised(folder, workers={"in_flight": 1}, attempts=1) as running, queue_of(folder) as queue:
        queue.put([b'{"do": "die"}', b'{"do": "wait", "word": "kept"}'])
        running.says("has ended by SIGKILL")
        running.process.send_signal(signal.SIGTERM)
        rest, _ = running.process.communicate(timeout=60.0)
        assert rest.endswith("down\n")
        waiting = {letter.body: (letter.attempts, letter.is_suspect) for letter in queue.letters(dead=False)}
        assert waiting[b'{"do": "wait", "word": "kept"}'] == (0, False)


def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    """Without waiting for anybody; the message that was under way waits again."""
    with supervised(folder) as running, queue_of(folder) as queue:
        queue.put([b'{"do": "wait"}'])
        running.wait_until(lambda standing: standing["in_flight"] == 1)
        running.process.send_signal(signal.SIGINT)
        running.says("once more ends it at once")
        running.process.send_signal(signal.SIGINT)
        running.process.communicate(timeout=20.0)
        (letter,) = queue.letters(dead=False)
        assert not letter.is_handled


def test_strangers_on_the_control_socket_do_no_harm(folder: Path) -> None:
    """Rubbish, half a line, a worker that is none: they are hung up on or told to go, and the service goes on."""
    from filiera.supervision.control import connect

    with supervised(folder) as running:
        for rubbish in (b"\xff\n", b"{", b"[]\n", b'{"hello": "work", "pid": "x"}\n', b'{"ready": true}\n', b"1\n"):
            channel = connect(folder)
            channel.socket.send(rubbish)
            channel.close()
        stranger = subprocess.Popen(["sleep", "30"])
        try:
            channel = connect(folder)
            channel.send({"hello": "work", "pid": stranger.pid, "address": "", "ready": True, "path": "/"})
            wait_for(channel.receive, lambda messages: messages == [{"drain": True}])
            channel.close()
        finally:
            stranger.kill()
            stranger.wait()
        assert running.call()["pid"] != stranger.pid


def test_an_address_is_waited_for_after_a_kill(folder: Path) -> None:
    """A worker that a killed supervisor had no time to note may have it; without such a kill it is taken at once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match=f"port {port} is taken"), supervised(folder, port=port):
            pass
        (folder / "workers.json").write_text("{}")

        def end_when_it_waits() -> None:
            wait_for(lambda: (folder / "control.sock").exists(), bool)
            other.close()

        ending = threading.Thread(target=end_when_it_waits)
        (folder / "control.sock").unlink(missing_ok=True)
        ending.start()
        with supervised(folder, port=port) as running:
            assert running.call()["pid"]
        ending.join()


def test_a_knock_is_heard_at_once(folder: Path) -> None:
    """Who sleeps for an hour between two looks starts a worker for a message when it is told of it."""
    with queue_of(folder) as queue, supervised(folder, look_s=3600.0):
        queue.put([json.dumps({"word": "soon"}).encode()])
        knock(folder)
        wait_for(lambda: done(folder), lambda words: words == ["soon"])
    knock(folder)  # nobody is there: nothing happens
