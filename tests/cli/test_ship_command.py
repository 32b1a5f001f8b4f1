"""``filiera ship``: what is written runs from that alone."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import filiera as package
from filiera.cli import services_command
from filiera.cli.verbs import build_parser
from filiera.project.shipping.forms import FORMS
from tests.cli.command import COMMAND, copied, done, environment, filiera, read_until, started
from tests.wheels import make_wheel

JOBS = '''
def count(text: str = "") -> int:
    """Count words."""
    import httpx

    return len(text.split()) + len(httpx.__name__) - 5


def hello(name: str) -> str:
    return f"hello {name}"
'''
TOML = """
[project]
name = "words"

[service.count]
function = "jobs:count"
cron = "0 6 * * 1-5"
port = 9000

[service.greeter]
function = "jobs:hello"
workers = {min = 0, max = 2}
"""
ROWS = [{"pieces": pieces, "price": price} for pieces in (1, 9, 60) for price in (2.0, 40.0)]


def commit(folder: Path) -> None:
    """Commit all that a folder has."""
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what stands for a wheel of Filiera, which tests run from a working copy."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "filiera", package.__version__)
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a committed project of two services of functions."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "jobs.py").write_text(JOBS)
    (folder / "filiera.toml").write_text(TOML)
    (folder / ".gitignore").write_text(".filiera/\n__pycache__/\nsecret.env\n")
    (folder / "secret.env").write_text("KEY=1\n")
    commit(folder)
    return folder


def content(folder: Path) -> Mapping[str, bytes]:
    """Return the bytes of all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def moved_in(shipped: Path, store: Path) -> Path:
    """Let the store of what is shipped be where a test may write; return its project."""
    toml = shipped / "project" / "filiera.toml"
    text = re.sub(r'store = ".*"', f'store = "{store}"', toml.read_text())
    toml.write_text(text.replace('"0.0.0.0"', '"127.0.0.1"'))
    return toml.parent


def call(url: str, path: str, body: Any) -> Any:
    """Return the answer to a request."""
    request = urllib.request.Request(
        f"{url}{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60.0) as response:
        return json.load(response)


def test_every_form_can_be_asked_for() -> None:
    """The command knows the forms that there are."""
    parser: argparse.ArgumentParser = build_parser("ship")
    for form in FORMS:
        assert parser.parse_args(["ship", "--to", "x", "--for", form]).form == form


def test_a_function_runs_from_what_was_shipped(words: Path, wheels: Path, tmp_path: Path) -> None:
    """Code of the commit, the packages that it needs and no others; the same twice; no file that git ignores."""
    out, again = tmp_path / "out", tmp_path / "again"
    said = done("ship", "greeter", "--wheels", wheels, "--to", out, cwd=words).out
    assert said.startswith(f"shipped greeter to {out}\n")
    assert "podman build" in said
    done("ship", "greeter", "--wheels", wheels, "--to", again, cwd=words)
    assert content(out) == content(again)
    assert set(content(out / "project")) == {"filiera.toml", "jobs.py", ".gitignore"}
    lock = (out / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in lock} >= {"filiera", "blake3", "msgspec"}
    assert not any(line.startswith(("scikit-learn", "numpy", "httpx", "pytest")) for line in lock)
    project = moved_in(out, tmp_path / "store")
    with started("serve", "jobs:hello", "--port", "0", cwd=project) as process:
        url = read_until(process.stdout, "serving ").split(" at ")[1].strip()
        assert call(url, "/v1/functions/hello:call", {"name": "Ada"})["result"] == "hello Ada"
        assert (tmp_path / "store" / "predictions").is_dir()


def test_declared_services_keep_what_is_declared(words: Path, wheels: Path, tmp_path: Path) -> None:
    """All that their tables say stays, but where they listen; a library that is imported late comes along."""
    done("ship", "--wheels", wheels, "--to", tmp_path / "out", cwd=words)
    services = tomllib.loads((tmp_path / "out" / "project" / "filiera.toml").read_text())["service"]
    assert services == {
        "count": {"function": "jobs:count", "cron": "0 6 * * 1-5", "port": 9000, "host": "0.0.0.0"},
        "greeter": {"function": "jobs:hello", "workers": {"min": 0, "max": 2}, "host": "0.0.0.0", "port": 8080},
    }
    assert "\nhttpx==" in (tmp_path / "out" / "requirements.txt").read_text()


@pytest.mark.parametrize("form", ["systemd"])
def test_a_socket_that_is_held_is_served(words: Path, wheels: Path, tmp_path: Path, form: str) -> None:
    """Handed over as systemd does it, the socket is where the service answers, also who called before it ran."""
    done("ship", "greeter", "--for", form, "--wheels", wheels, "--to", tmp_path / "out", cwd=words)
    project = moved_in(tmp_path / "out", tmp_path / "store")
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        port = held.getsockname()[1]
        toml = project / "filiera.toml"
        toml.write_text(toml.read_text().replace("port = 8080", f"port = {port}"))
        launch = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [sys.executable, "-c", launch, str(held.fileno()), *COMMAND, "up", "greeter"]
        with subprocess.Popen(command, cwd=project, env=environment(None), pass_fds=(held.fileno(),)) as process:
            try:
                answer = call(f"http://127.0.0.1:{port}", "/v1/functions/hello:call", {"name": "Ada"})
                assert answer["result"] == "hello Ada"
                assert done("services", "--healthy", cwd=project).out == "up: greeter\n"
            finally:
                process.terminate()
        assert process.returncode == 0
    assert filiera("services", "--healthy", cwd=project).code == 1


def test_a_model_runs_from_what_was_shipped(shop: Path, wheels: Path, tmp_path: Path) -> None:
    """Without code, without the store that it came from, under the number that it had, with the same answers."""
    folder = copied(shop, tmp_path / "shop")
    rows = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    before = [json.loads(line) for line in done("predict", "spender", "-", cwd=folder, stdin=rows).out.splitlines()]
    out = tmp_path / "out"
    done("ship", "spender", "--for", "kserve", "--wheels", wheels, "--to", out, cwd=folder)
    assert set(content(out / "project")) == {"filiera.toml", "versions.filiera"}
    folder.rename(tmp_path / "gone")
    project = moved_in(out, tmp_path / "store")
    with started("serve", "spender@champion", "--port", "0", cwd=project) as process:
        said = read_until(process.stdout, "serving ")
        assert said.startswith("serving spender@1 at")
        url = said.split(" at ")[1].strip()
        after = call(url, "/v1/models/spender:predict", {"instances": ROWS})["predictions"]
        assert call(url, "/v2/models/spender/infer", tensors())["outputs"]
    assert [{**row, "id": ""} for row in after] == [{**row, "id": ""} for row in before]
    assert {part["fault"] for part in filiera("verify", "spender@1", "--json", cwd=project).data["parts"]} == {""}


GIVEN = """
from filiera import Model, graphs


def dear(pieces: int, price: float, model=Model("spender")) -> str:
    import polars as pl

    return str(model.predict(pl.DataFrame({"pieces": [pieces], "price": [price]}))[0])


twice = graphs.graph("twice", graphs.ensemble(Model("spender"), Model("spender"), how="mean"))
"""


def test_functions_and_graphs_take_their_models_along(shop: Path, wheels: Path, tmp_path: Path) -> None:
    """What a function is given, and what a graph asks, is shipped with their code, and with the rules of the log."""
    folder = copied(shop, tmp_path / "shop")
    (folder / "shopflows" / "serving.py").write_text(GIVEN)
    (folder / ".gitignore").write_text(".filiera/\n__pycache__/\n")
    with (folder / "filiera.toml").open("a") as file:
        file.write("\n[predictions]\nkeep_days = 30\n")
    commit(folder)
    out = tmp_path / "out"
    names = ("shopflows.serving:dear", "shopflows.serving:twice")
    done("ship", *names, "--wheels", wheels, "--to", out, cwd=folder)
    project = moved_in(out, tmp_path / "store")
    assert tomllib.loads((project / "filiera.toml").read_text())["predictions"]["keep_days"] == 30
    folder.rename(tmp_path / "gone")
    with started("serve", *names, "--port", "0", cwd=project) as process:
        url = read_until(process.stdout, "serving ").split(" at ")[1].strip()
        predicted = call(url, "/v1/models/twice:predict", {"instances": ROWS[:1]})["predictions"][0]
        assert call(url, "/v1/functions/dear:call", ROWS[0])["result"] == str(predicted["label"])


def tensors() -> dict[str, Any]:
    """Return a row as the Open Inference Protocol has it."""
    values = (("pieces", "INT64", 9), ("price", "FP64", 40.0))
    return {
        "inputs": [{"name": name, "datatype": kind, "shape": [1, 1], "data": [value]} for name, kind, value in values]
    }


def test_what_cannot_be_shipped_is_told(words: Path, wheels: Path, tmp_path: Path) -> None:
    """Each reason has its words and exit code, and leaves nothing behind."""
    folder = copied(words, tmp_path / "words")
    here = tmp_path / "place"
    here.mkdir()

    def refused(code: int, *told: str, words: tuple[str, ...] = ("count",)) -> None:
        filiera("ship", *words, "--wheels", wheels, "--to", here / "out", cwd=folder).said(code, *told)
        assert list(here.iterdir()) == []

    refused(2, "There is no model count@1", words=("count@1",))
    refused(2, "count is a service of filiera.toml, and jobs:hello is none", words=("count", "jobs:hello"))
    refused(2, "KServe serves models", words=("greeter", "--for", "kserve"))
    refused(2, "cron of [service.count] would call nobody", words=("count", "--for", "kserve"))
    (folder / "jobs.py").write_text(f"{JOBS}\nmore = 1\n")
    refused(4, "There are changes that are not committed", "git status")
    (folder / ".gitignore").write_text(".filiera/\n__pycache__/\nsecret.env\nlocal.py\n")
    (folder / "local.py").write_text("")
    (folder / "jobs.py").write_text(f"import local\n{JOBS}")
    commit(folder)
    refused(4, "It does not start from what would be shipped", "No module named 'local'", "Commit all")
    shutil.rmtree(folder / ".git")
    refused(4, "no commit to take the code from", "git init")
    (here / "out").mkdir()
    (here / "out" / "kept").touch()
    filiera("ship", "count", "--to", here / "out", cwd=folder).said(2, "has something in it")
    assert (here / "out" / "kept").exists()


def test_nuclio_gets_what_its_clocks_call(words: Path, wheels: Path, tmp_path: Path) -> None:
    """The clock of a service becomes a trigger; its handler serves the function, by the name of the service."""
    done("ship", "count", "--for", "nuclio", "--wheels", wheels, "--to", tmp_path / "out", cwd=words)
    text = (tmp_path / "out" / "function.yaml").read_text()
    assert "count-cron:" in text and "/v1/functions/count:call" in text and "0 6 * * 1-5" in text
    assert 'SERVED = ["jobs:count"]' in (tmp_path / "out" / "main.py").read_text()
    assert tomllib.loads((tmp_path / "out" / "project" / "filiera.toml").read_text()).get("service") is None


@pytest.mark.parametrize(
    ("standing", "code", "said"),
    [
        (None, 1, "no services are up\n"),
        ([("a", "asleep"), ("b", "ready")], 0, "up: a, b\n"),
        ([("a", "failing"), ("b", "ready")], 1, "failing: a\n"),
    ],
)
def test_health_is_what_the_supervisor_says(
    standing: list[tuple[str, str]] | None,
    code: int,
    said: str,
    words: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that sleeps is well; one that was given up is not."""
    rows = None if standing is None else [{"name": name, "state": state} for name, state in standing]
    monkeypatch.setattr(services_command, "standing_services", lambda project: rows)
    monkeypatch.chdir(words)
    options = argparse.Namespace(profile=None, renew="", healthy=True, json=False)
    assert services_command.run(options) == code
    assert capsys.readouterr().out == said


BASE = os.environ.get("FILIERA_BASE_IMAGE", "localhost/python:3.11")
"""An image with the Python that runs the tests and venv, for what builds images."""


def has_base() -> bool:
    """Tell whether images can be built and run here."""
    if shutil.which("podman") is None:
        return False
    return subprocess.run(["podman", "image", "exists", BASE], capture_output=True, check=False).returncode == 0


@pytest.mark.campaign
@pytest.mark.skipif(not has_base(), reason=f"podman or the image {BASE} is not here")
def test_an_image_is_built_and_answers(words: Path, tmp_path: Path) -> None:
    """Built from what was shipped, it answers with a root that cannot be written, as nobody, and stops when told."""
    source = Path(package.__file__).parents[2]
    make = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "wheels",
        str(source),
    ]
    subprocess.run(make, cwd=tmp_path, check=True)
    out = tmp_path / "out"
    done("ship", "greeter", "--wheels", tmp_path / "wheels", "--to", out, cwd=words)
    podman = ["podman", "build", "--quiet", "--network=host", f"--build-arg=BASE={BASE}", "--tag=filiera-greeter", "."]
    subprocess.run(podman, cwd=out, check=True, capture_output=True)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    run = ["podman", "run", "--detach", "--rm", "--read-only", "--cap-drop=all", "--env=FILIERA_TOKEN=t"]
    named = [*run, f"--publish=127.0.0.1:{port}:8080", "filiera-greeter"]
    container = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
    try:
        log = subprocess.Popen(["podman", "logs", "--follow", container], stdout=subprocess.PIPE, text=True)
        with log:
            read_until(log.stdout, "up; ")
            ask = [
                "curl", "--silent", f"http://127.0.0.1:{port}/v1/functions/hello:call", "-H", "Authorization: Bearer t",
                "-H", "Content-Type: application/json", "-d", '{"name": "Ada"}',
            ]  # fmt: skip
            assert json.loads(subprocess.run(ask, check=True, capture_output=True).stdout)["result"] == "hello Ada"
            inside = ["podman", "exec", container]
            for command, code in ((["filiera", "services", "--healthy"], 0), (["touch", "/srv/service/x"], 1)):
                assert subprocess.run([*inside, *command], capture_output=True, check=False).returncode == code
            assert subprocess.run([*inside, "id", "-u"], capture_output=True, check=True).stdout == b"10001\n"
            subprocess.run(["podman", "stop", container], check=True, capture_output=True)
            assert "down; what waits in queues is kept" in log.stdout.read()
    finally:
        subprocess.run(["podman", "rm", "--force", "--ignore", container], capture_output=True, check=False)
        subprocess.run(["podman", "rmi", "--force", "filiera-greeter"], capture_output=True, check=False)
