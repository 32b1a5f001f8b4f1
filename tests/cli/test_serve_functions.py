"""``filiera serve`` with functions, as somebody types it."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from filiera.serving.client import ServiceClient
from tests.cli.command import copied, filiera, started
from tests.cli.conftest import Ask

GREETING = '''
from collections.abc import Iterator


def greet(name: str, times: int = 1) -> list[str]:
    """Greetings for a person."""
    return [f"hello {name}"] * times


def count(end: int) -> Iterator[int]:
    """Numbers up to an end."""
    yield from range(end)


def endless(chunk: int) -> Iterator[str]:
    """Text without end."""
    made = 0
    try:
        while True:
            made += 1
            yield "x" * chunk
    finally:
        print("closed after", made, flush=True)


def untyped(name):
    return name
'''
MARKED = '''
from filiera import service


@service(name="shout", version="2.1")
class Shouter:
    def __init__(self) -> None:
        self.loud = str.upper

    def __call__(self, text: str) -> str:
        """Loud text."""
        return self.loud(text)
'''


def call(url: str, name: str, /, **arguments: Any) -> Any:
    """Return the answer to a call, of a stream the lines."""
    headers = {"Content-Type": "application/json"}
    body = json.dumps(arguments).encode()
    request = urllib.request.Request(f"{url}/v1/functions/{name}:call", data=body, headers=headers)
    with urllib.request.urlopen(request) as response:
        lines = [json.loads(line) for line in response]
    return lines[0] if len(lines) == 1 else lines


def said_first(process: subprocess.Popen[str]) -> list[str]:
    """Return what a service says when it is ready."""
    assert process.stdout is not None
    lines = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
    return [line.rstrip("\n") for line in lines]


def test_functions_are_served_where_no_project_is(tmp_path: Path) -> None:
    """A file with typed functions in an empty folder is enough; what is served is said, also that nothing is logged."""
    (tmp_path / "greeting.py").write_text(GREETING)
    with started("serve", "greeting:greet", "greeting:count", "--port", "0", cwd=tmp_path) as process:
        head = said_first(process)
        url = head[0].rsplit(" at ", 1)[1]
        assert call(url, "greet", name="Ann", times=2)["result"] == ["hello Ann"] * 2
        *items, last = call(url, "count", end=3)
        assert (items, last["done"]["count"]) == ([{"item": 0}, {"item": 1}, {"item": 2}], 3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert f"  call      POST {url}/v1/functions/greet:call" in head
    assert "  log       none: this is no project" in head
    assert out == "stopped; nothing was logged\n"


def test_a_stream_waits_for_its_reader_and_ends_with_it(tmp_path: Path) -> None:
    """Of items that nobody reads few are made; when the caller hangs up the generator is closed, and others go on."""
    (tmp_path / "greeting.py").write_text(GREETING)
    with started("serve", "greeting:endless", "greeting:greet", "--port", "0", cwd=tmp_path) as process:
        url = said_first(process)[0].rsplit(" at ", 1)[1]
        reader = ServiceClient(url).stream("endless", chunk=100_000)
        assert next(reader) == "x" * 100_000
        assert ServiceClient(url).call("greet", name="Ann") == ["hello Ann"]
        reader.close()
        assert process.stdout is not None
        closed = next(line for line in process.stdout if line.startswith("closed after"))
        assert int(closed.split()[-1]) < 1000  # 100 MB: buffers of the connection are far smaller
        assert ServiceClient(url).call("greet", name="Bob") == ["hello Bob"]


def test_a_model_and_a_marked_class_are_served_together(shop: Path, tmp_path: Path) -> None:
    """By their names, in one process; calls of both are logged."""
    folder = copied(shop, tmp_path / "shop")
    (folder / "shopflows" / "shouting.py").write_text(MARKED)
    with started("serve", "spender", "shout", "--port", "0", cwd=folder) as process:
        head = said_first(process)
        url = head[0].rsplit(" at ", 1)[1]
        assert head[0] == f"serving spender@1, shout 2.1 at {url}"
        assert (call(url, "shout", text="hey")["result"], call(url, "shout", text="x")["version"]) == ("HEY", "2.1")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert f"  predict   POST {url}/v1/models/spender:predict" in head
    assert out == "stopped; all predictions are logged\n"


def test_what_cannot_be_served_is_told(tmp_path: Path, shop: Path, ask: Ask) -> None:
    """Without a traceback, with the exit code of its class."""
    (tmp_path / "greeting.py").write_text(GREETING)
    for words, code, said in (
        (["greeting:untyped"], 4, "parameter 'name' has no type"),
        (["greeting:gret"], 2, "Did you mean 'greet'?"),
        (["greeting:"], 2, "no address of a function"),
        (["greting:greet"], 4, "cannot be imported"),
        (["greeting:greet", "greeting:greet"], 2, "named twice"),
        (["greet"], 4, "filiera.toml"),
    ):
        done = filiera("serve", *words, "--port", "0", cwd=tmp_path)
        assert (done.code, done.out) == (code, ""), done.err
        assert said in done.err
        assert "Traceback" not in done.err
    ask("serve", "shoot", cwd=shop).said(2, "no model shoot@champion")
