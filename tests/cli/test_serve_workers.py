"""One service by several processes: one address, one set of counts, and nobody notices when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.command import filiera, read_until, started
from tests.cli.test_serve_command import ROWS, ask_service


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with started("serve", "spender", "--port", "0", "--workers", "2", *more, cwd=folder) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        read_until(process.stdout, "Ctrl-C")
        yield process, url


def counted(url: str) -> float:
    """Return how many requests the service says that it answered."""
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("filiera_requests_total{"))


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a service has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process.pid:
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs to see processes")
def test_a_worker_that_dies_is_replaced_and_what_it_counted_is_kept(shop: Path, tmp_path: Path) -> None:
    """After kill -9 of each worker the service answers, its counts go on, and everything else ends with it."""
    with serving(shop, "--access-log", str(tmp_path / "access.jsonl")) as (process, url):
        first = workers_of(process)
        assert len(first) == 2
        for _ in range(20):
            assert ask_service(url, ROWS)["model"] == "spender"
        while counted(url) < 20:  # what is told is kept, so that no worker takes it along
            pass
        for pid in first:
            os.kill(pid, signal.SIGKILL)
            assert "SIGKILL" in read_until(process.stdout, f"worker {pid} ended")
        for _ in range(5):
            assert ask_service(url, ROWS)["model"] == "spender"
        while counted(url) < 25:
            pass
        assert counted(url) == 25
        second = workers_of(process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.endswith("stopped; all predictions are logged\n")
    assert [pid for pid in second if Path(f"/proc/{pid}").exists()] == []
    lines = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert sum(line["path"].endswith(":predict") for line in lines) >= 5  # of both workers, each line whole


def test_workers_end_when_who_watches_them_is_killed(shop: Path) -> None:
    """Nothing is left behind that takes requests and that nobody watches."""
    with serving(shop) as (process, _):
        pids = workers_of(process)
        process.kill()
        process.communicate()
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            pass


def test_what_keeps_workers_from_starting_is_said_once(shop: Path) -> None:
    """Bad numbers and names are told before anything is started."""
    for words, what in (
        (("spender", "--workers", "0"), "--workers takes 1 or more."),
        (("spender", "--workers", "2", "--grpc-port", "0"), "gRPC is answered by one worker only."),
        (("spender", "--cache", "60"), "--cache takes a duration such as 30m, 12h or 7d, not '60'."),
        (("nobody", "--workers", "2"), "nobody"),
    ):
        failed = filiera("serve", *words, cwd=shop)
        assert failed.code == 2
        assert failed.err.count("filiera: ") == 1
        assert what in failed.err
