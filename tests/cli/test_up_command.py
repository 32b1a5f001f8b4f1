"""Services as a person runs them: up, called, put messages for, looked at, killed, down."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from filiera.project.identity import process_start
from filiera.project.plugins import prediction_log
from tests.cli.command import copied, done, filiera, read_until, started
from tests.cli.conftest import Ask

MODEL = '\n[service.spend]\nmodel = "spender"\nidle_s = 600\nattempts = 2\n'
GRAPH = """\
from filiera import Model, graphs

wise = graphs.graph("wise", graphs.fallback(Model("spender"), Model("spender@1"), timeout_s=30.0))
"""
ROW = {"pieces": 9, "price": 40.0}
ONE = json.dumps({"instances": [ROW]})


@pytest.fixture
def folder(shop: Path, tmp_path: Path) -> Path:
    """Return a project of its own that has published a model, with services of it and of a graph over it."""
    folder = copied(shop, tmp_path / "shop")
    with (folder / "filiera.toml").open("a") as file:
        file.write(f"{MODEL}[service.wise]\nfunction = 'shopflows.graph:wise'\n")
    (folder / "shopflows" / "graph.py").write_text(GRAPH)
    return folder


@contextmanager
def up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the services of a project; gives the process and the address of the first one."""
    with started("up", cwd=folder) as process:
        yield process, read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()


def predict(url: str) -> dict[str, Any]:
    """Return the answer to a prediction request."""
    request = urllib.request.Request(
        f"{url}/v1/models/spender:predict", data=ONE.encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60.0) as response:
        found: dict[str, Any] = json.load(response)
    return found


def services(folder: Path) -> dict[str, Any]:
    """Return how the first service stands."""
    found: dict[str, Any] = done("services", "--json", cwd=folder).data[0]
    return found


def until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """Return what a look finds when it is as asked for."""
    limit = time.monotonic() + 60.0
    while not is_so(found := look()):
        assert time.monotonic() < limit, found
    return found


def test_a_model_is_woken_fed_and_put_down(folder: Path) -> None:
    """Asleep until called; messages are predictions too; wrong ones are dead with a reason and can be put back.

    The same for a graph of models.
    """
    assert services(folder)["state"] == "down"
    early = done("queue", "put", "spend", ONE, cwd=folder).out.strip()
    assert [row["id"] for row in done("queue", "list", "spend", "--json", cwd=folder).data] == [early]
    done("queue", "put", "wise", ONE, cwd=folder)
    with up(folder) as (process, url):
        until(lambda: services(folder), lambda standing: standing["requests"] == 1)
        assert predict(url)["version"] == 1
        lines = f'{ONE}\n\n{{"instances": []}}\n{ONE}\nno json\n{ONE}\n'
        filiera("queue", "put", "spend", "-", cwd=folder, stdin=lines).said(2, "Line 5 is no JSON")
        (dead,) = until(lambda: done("queue", "dead", "spend", "--json", cwd=folder).data, len)
        assert "HTTP 422" in dead["why"]
        assert dead["body"] == '{"instances": []}'
        table = done("queue", "dead", "spend", cwd=folder).out
        assert "HTTP 422" in table and dead["id"] in table
        assert "again: 1 message\n" in done("queue", "retry", "spend", dead["id"], cwd=folder).out
        again = until(lambda: done("queue", "dead", "spend", "--json", cwd=folder).data, len)
        assert again[0]["id"] == dead["id"]
        assert "dropped of spend: 1 message\n" in done("queue", "drop", "spend", "all", cwd=folder).out
        filiera("queue", "retry", "spend", dead["id"], cwd=folder).said(2, "has no dead message", "filiera queue dead")
        standing = until(lambda: services(folder), lambda found: found["waiting"] == 0)
        assert (standing["state"], standing["workers"], standing["address"]) == ("ready", "1 of 0–1", url)
        until(lambda: done("queue", "list", "wise", "--json", cwd=folder).data, lambda waiting: waiting == [])
        filiera("up", cwd=folder).said(2, "runs already", str(process.pid), "filiera services")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60.0)
    assert out.endswith("down; what waits in queues is kept\n")
    assert process.returncode == 0
    assert services(folder)["state"] == "down"
    logged = list(prediction_log(folder / ".filiera", "spender").read())
    assert len(logged) >= 4, "messages are predictions, and logged"
    assert len(list(prediction_log(folder / ".filiera", "wise").read())) == 1


def metrics(url: str) -> dict[str, float]:
    """Return what is told there, by name and labels."""
    with urllib.request.urlopen(url, timeout=60.0) as response:
        lines = response.read().decode().splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_metrics_of_all_services_are_told_and_wake_nobody(tmp_path: Path) -> None:
    """Also of one that sleeps; what its workers counted outlives them, and a restart of the supervisor."""
    (tmp_path / "filiera.toml").write_text("[service.twice]\nfunction = 'jobs:twice'\nidle_s = 600\n")
    (tmp_path / "jobs.py").write_text("def twice(number: int) -> int:\n    return 2 * number\n")
    counted = 'filiera_requests_total{service="twice",function="twice",status="200"}'
    workers, wakes = 'filiera_service_workers{service="twice"}', 'filiera_service_wakes_total{service="twice"}'

    def call(url: str) -> None:
        request = urllib.request.Request(
            f"{url}/v1/functions/twice:call", data=b'{"number": 4}', headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60.0).close()

    for number in (1, 2):
        with started("up", "--metrics-port", "0", cwd=tmp_path) as process:
            url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
            told = read_until(process.stdout, "metrics at ").rsplit(" at ", 1)[1].strip()
            before = metrics(told)
            assert (before[workers], before[wakes], before.get(counted, 0)) == (0, 0, number - 1)
            assert before['filiera_queue_messages{service="twice",state="dead"}'] == 0
            call(url)
            found = until(lambda told=told: metrics(told), lambda found, number=number: found.get(counted) == number)  # type: ignore[misc]
            assert (found[workers], found[wakes]) == (1, 1)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60.0)


@pytest.mark.skipif(sys.platform != "linux", reason="children of a process are read from /proc")
def test_who_has_the_library_loaded_becomes_the_worker(folder: Path) -> None:
    """The process that waited while the service slept answers the first call."""
    with up(folder) as (process, url):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (spare,) = until(lambda: children.read_text().split(), len)
        assert predict(url)["version"] == 1
        assert services(folder)["pids"] == [int(spare)]


def test_a_supervisor_that_is_killed_is_followed(tmp_path: Path) -> None:
    """The service answers while there is none, and through the change to new workers of the next one."""
    (tmp_path / "filiera.toml").write_text("[service.twice]\nfunction = 'jobs:twice'\nidle_s = 600\n")
    (tmp_path / "jobs.py").write_text("def twice(number: int) -> int:\n    return 2 * number\n")

    def call(url: str) -> int:
        request = urllib.request.Request(
            f"{url}/v1/functions/twice:call", data=b'{"number": 4}', headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60.0) as response:
            return int(json.load(response)["result"])

    with up(tmp_path) as (process, url):
        assert call(url) == 8
        (pid,) = services(tmp_path)["pids"]
        process.kill()
        process.wait()
        assert call(url) == 8
        assert services(tmp_path)["state"] == "down"
        with up(tmp_path) as (following, same):
            assert same == url
            while pid in services(tmp_path)["pids"]:
                assert call(url) == 8
            assert call(url) == 8
            assert "being replaced" in done("services", "--renew", "twice", cwd=tmp_path).out
            following.send_signal(signal.SIGTERM)
            assert following.wait(60.0) == 0
    assert not process_start(pid)


def test_each_method_of_a_class_takes_messages(tmp_path: Path) -> None:
    """The one that a message names; else the one that the service names, which clocks call too."""
    (tmp_path / "filiera.toml").write_text(
        "[service.notes]\nfunction = 'jobs:Notes'\nmethod = 'close_day'\n[service.wrong]\nfunction = 'jobs:Notes'\n"
        "method = 'clse_day'\n"
    )
    (tmp_path / "jobs.py").write_text(
        "from pathlib import Path\n\n\nclass Notes:\n"
        "    def add(self, word: str) -> None:\n"
        "        with Path('notes').open('a') as file:\n            file.write(f'{word}\\n')\n\n"
        "    def close_day(self) -> None:\n        self.add('closed')\n"
    )
    done("queue", "put", "notes", '{"word": "hello"}', "--method", "add", cwd=tmp_path)
    done("queue", "put", "notes", cwd=tmp_path)
    done("queue", "put", "notes", "--method", "ad", cwd=tmp_path)
    with started("up", "notes", cwd=tmp_path) as process:
        (dead,) = until(lambda: done("queue", "dead", "notes", "--json", cwd=tmp_path).data, len)
        assert dead["why"] == "There is no method 'ad' to call. There are: add, close_day."
        assert "ad {}" in done("queue", "dead", "notes", cwd=tmp_path).out
        until(lambda: services(tmp_path), lambda standing: standing["waiting"] == 0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60.0)
    assert sorted((tmp_path / "notes").read_text().split()) == ["closed", "hello"]
    done("queue", "put", "wrong", cwd=tmp_path)
    with started("up", "wrong", cwd=tmp_path) as process:
        assert "Did you mean 'close_day'?" in read_until(process.stderr, "There are: add, close_day.")


DEADLY = """\
import ctypes
import time
from pathlib import Path

from filiera import service


@service(concurrency=8)
def work(number: int) -> None:
    if number == 3:
        ctypes.string_at(0)
    while not Path("gate").exists():
        time.sleep(0.01)
    with Path("done").open("a") as file:
        file.write(f"{number}\\n")
"""


def test_a_message_that_kills_workers_takes_no_other_along(tmp_path: Path) -> None:
    """One of twenty-one that were put together breaks the process: it alone is dead, and all others are handled."""
    (tmp_path / "filiera.toml").write_text("[service.work]\nfunction = 'jobs:work'\nattempts = 2\n")
    (tmp_path / "jobs.py").write_text(DEADLY)
    bodies = "\n".join(json.dumps({"number": number}) for number in range(21))
    assert "21 messages" in filiera("queue", "put", "work", "-", cwd=tmp_path, stdin=bodies).out
    with started("up", cwd=tmp_path) as process:
        assert "has ended by SIGSEGV" in read_until(process.stdout, "has ended")
        rows = done("queue", "list", "work", cwd=tmp_path).out.splitlines()
        assert any("waiting, alone" in row for row in rows)
        (tmp_path / "gate").touch()
        (dead,) = until(lambda: done("queue", "dead", "work", "--json", cwd=tmp_path).data, len)
        assert (dead["body"], dead["attempts"], dead["is_suspect"]) == ('{"number": 3}', 2, True)
        assert dead["why"].startswith("The connection broke")
        until(lambda: services(tmp_path), lambda standing: standing["waiting"] == 0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60.0)
    handled = [int(number) for number in (tmp_path / "done").read_text().split()]
    assert sorted(handled) == [number for number in range(21) if number != 3]


def test_what_cannot_be_up_is_told_at_once(project: Path, ask: Ask) -> None:
    """An unknown model, a service for all the world without a token, a taken port, an unknown name: exit code 2."""
    file = project / "filiera.toml"
    text = file.read_text()
    ask("up", cwd=project).said(2, "has no service", "Add [service.NAME]")
    ask("queue", "put", "mail", cwd=project).said(2, "has no service 'mail'")
    assert ask("services", cwd=project).out == "no services: add [service.NAME] to filiera.toml\n"
    file.write_text(text + '[service.a]\nmodel = "nobody"\n')
    ask("up", cwd=project).said(2, "nobody")
    ask("up", "b", cwd=project).said(2, "no service 'b'", "There are: a.")
    ask("services", "--renew", "a", cwd=project).said(1, "'a' is not up", "filiera up")
    ask("queue", "put", "a", "{", cwd=project).said(2, "The message is no JSON")
    file.write_text(text + '[service.a]\nfunction = "m:f"\nhost = "0.0.0.0"\n')
    ask("up", cwd=project).said(2, "can be reached from other machines", "Set FILIERA_TOKEN")
    file.write_text(text + '[service.a]\nfunction = "m:f"\ncron = "x"\n')
    ask("up", cwd=project).said(4, "is no cron expression", "five fields")
    file.write_text(text + "service = 3\n")
    ask("services", cwd=project).said(4, "service")
