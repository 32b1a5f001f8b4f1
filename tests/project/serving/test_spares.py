"""Real processes that wait for their words."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from filiera.project.serving.spares import Spares
from filiera.serving.listening import listen

WAITS = """
import json, socket, sys
from filiera.project.serving.spares import wait_for_words
given = json.loads(sys.argv[1])
words = wait_for_words(given["spare"], given["libraries"])
if words is None:
    print("over", flush=True)
    sys.exit(7)
address = socket.socket(fileno=words.pop("listener")).getsockname()
print(json.dumps([words, address[1], "colorsys" in sys.modules]))
"""
LIBRARIES = ("colorsys", "not_there_at_all")


class Begun:
    """Starts processes and keeps them, with what they print."""

    def __init__(self, said: BinaryIO) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.said = said

    def __call__(self, words: dict[str, Any], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WAITS, json.dumps(words)]
        self.processes.append(subprocess.Popen(command, stdout=self.said, pass_fds=descriptors))
        return self.processes[-1]


@pytest.fixture
def begun() -> Iterator[Begun]:
    """What starts spares; none of them is left."""
    with tempfile.TemporaryFile() as said:
        begin = Begun(said)
        yield begin
        for process in begin.processes:
            process.kill()
            process.wait()


def test_a_spare_becomes_the_worker_that_it_is_told_to_be(begun: Begun) -> None:
    """It has loaded what there is of the libraries, and gets words and socket; another is started when asked for."""
    with closing(Spares(begun)) as spares, closing(listen("127.0.0.1", 0)) as listener:
        spares.prepare(LIBRARIES)
        spares.prepare(LIBRARIES)
        port = listener.getsockname()[1]
        taken = spares.try_take(LIBRARIES, {"service": "a"}, listener.fileno())
        assert [taken] == begun.processes
        assert taken is not None and taken.wait(60) == 0
        begun.said.seek(0)
        assert json.loads(begun.said.read()) == [{"service": "a"}, port, True]
        assert spares.try_take(LIBRARIES, {"service": "a"}, listener.fileno()) is None
        spares.prepare(LIBRARIES)
        assert len(begun.processes) == 2


def test_only_a_spare_that_lives_and_fits_is_taken(begun: Begun, tmp_path: Path) -> None:
    """Who needs other libraries, or finds it killed, starts a process as if there had been none."""
    with closing(Spares(begun)) as spares, (tmp_path / "file").open("w") as file:
        spares.prepare(())
        assert begun.processes == []
        spares.prepare(LIBRARIES)
        assert spares.try_take(("json",), {}, file.fileno()) is None
        begun.processes[0].kill()
        begun.processes[0].wait()
        assert spares.try_take(LIBRARIES, {}, file.fileno()) is None
        spares.prepare(LIBRARIES)
        begun.processes[1].kill()
        begun.processes[1].wait()
        spares.prepare(LIBRARIES)
        assert len(begun.processes) == 3


def test_a_spare_ends_with_who_would_have_told_it(tmp_path: Path) -> None:
    """However its supervisor ends, it does not stay."""
    code = f"""
import os, subprocess, sys, json
from filiera.project.serving.spares import Spares
WAITS = {WAITS!r}
def begin(words, descriptors):
    process = subprocess.Popen([sys.executable, "-c", WAITS, json.dumps(words)], pass_fds=(*descriptors, 1))
    print(process.pid, flush=True)
    return process
spares = Spares(begin)
spares.prepare(("colorsys",))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -9
    assert done.stdout.split()[1:] == ["over"]
