"""The token of a service: from the environment, into the memory of its processes, and nowhere else."""

from __future__ import annotations

import ast
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.architecture.tree import MODULES, short
from tests.cli.command import filiera, read_until, started
from tests.serving.offers import get, service

TOKEN = "t0p-s3cret"


def command_lines() -> str:
    """Return the command lines of all processes that can be seen."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(found)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs to see processes")
def test_a_token_is_in_no_process_list_and_no_file(tmp_path: Path) -> None:
    """Of a supervisor, its workers and their calls: neither in a command line nor in the store, nor printed."""
    (tmp_path / "filiera.toml").write_text("[service.twice]\nfunction = 'jobs:twice'\nhost = '0.0.0.0'\n")
    (tmp_path / "jobs.py").write_text("def twice(number: int) -> int:\n    return 2 * number\n")
    with started("up", cwd=tmp_path, env={"FILIERA_TOKEN": TOKEN}) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip().replace("0.0.0.0", "127.0.0.1")
        asked = {"data": b'{"number": 4}', "headers": {"Content-Type": "application/json"}}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{url}/v1/functions/twice:call", **asked))
        refused.value.close()
        asked["headers"]["Authorization"] = f"Bearer {TOKEN}"
        with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/functions/twice:call", **asked)) as answer:
            assert answer.status == 200
        assert TOKEN not in command_lines()
        told = filiera("services", "--json", cwd=tmp_path, env={"FILIERA_TOKEN": TOKEN})
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert refused.value.code == 401
    assert TOKEN not in out + err + told.out + told.err
    files = [file for file in (tmp_path / ".filiera").rglob("*") if file.is_file()]
    assert files and [file for file in files if TOKEN.encode() in file.read_bytes()] == []


def test_another_token_counts_from_the_next_start() -> None:
    """Whoever changes it and starts the service anew locks out who has the old one: there is no session beside it."""
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert get(service(token=TOKEN), "/v1/models", headers=bearer).status_code == 200
    answer = get(service(token="another"), "/v1/models", headers=bearer)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_tokens_are_compared_in_constant_time() -> None:
    """No module compares a token by ``==``, which takes longer the more of it was guessed."""
    found = {
        (short(path), ast.unparse(node))
        for path in MODULES
        if "token" in (text := path.read_text(encoding="utf-8")) and not short(path).startswith("templates/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Compare)
        and any(isinstance(how, ast.Eq | ast.NotEq) for how in node.ops)
        and "token" in ast.unparse(node).lower()
    }
    assert found == set()
