from __future__ import annotations

import http.client
import itertools
import json
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from filiera.core.products import ProductRef
from filiera.project.project import Project
from tests.cli.callers import ROWS, Callers
from tests.cli.command import copied, done, filiera, read_until, started
from tests.cli.conftest import Ask


def ask_service(url: str, rows: list[dict[str, object]], token: str = "") -> dict[str, object]:
    """Return the body of the answer to a prediction request."""
    body = json.dumps({"instances": rows}).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{url}/v1/models/spender:predict", data=body, headers=headers)
    with urllib.request.urlopen(request) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def status_under(host: str, url: str) -> int:
    """Return the status of an answer to somebody for whom *host* leads to the service at *url*."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    with closing(connection):
        connection.request("GET", "/health/live", headers={"Host": host})
        return connection.getresponse().status


def address(process: subprocess.Popen[str]) -> str:
    """Return the address of a service that has just been started, once it answers."""
    return read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()


def test_a_version_that_was_named_stays(twice: Path, tmp_path: Path) -> None:
    """Who serves a number gets that number, whatever aliases do. Ctrl-C ends it well."""
    folder = copied(twice, tmp_path / "shop")
    with started("serve", "spender@1", "--port", "0", cwd=folder) as process:
        url = address(process)
        done("promote", "spender@2", "--reason", "newer data", cwd=folder)
        assert ask_service(url, ROWS)["version"] == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "follows" not in out
    assert out.endswith("stopped; all predictions are logged\n")


def test_a_promoted_version_is_served_without_a_failed_request(twice: Path, tmp_path: Path, ask: Ask) -> None:
    """Under load from several callers: no request fails, and after the switch was said none gets the old version."""
    folder = copied(twice, tmp_path / "shop")
    said: list[tuple[float, int]] = []
    with started("serve", "spender", "--port", "0", cwd=folder) as process:
        url = address(process)
        with Callers(url, 4) as callers:
            for version in (2, 1, 2):
                assert ask("promote", f"spender@{version}", cwd=folder).code == 0
                read_until(process.stdout, f"now serving spender@{version}")
                said.append((time.monotonic(), version))
                seen = len(callers.answers)
                callers.until(lambda seen=seen: len(callers.answers) >= seen + 20)
        process.terminate()
        assert process.wait() == 0
    assert {status for _, status, _ in callers.answers} == {200}
    for (since, version), (until, following) in itertools.pairwise([*said, (time.monotonic(), 0)]):
        # From one announcement to the next, of which some answers may be already, beside others begun before it.
        found = [answer for began, _, answer in callers.answers if since <= began < until]
        assert found[:1] == [version]
        assert set(found) <= {version, following}


def test_a_version_that_cannot_be_served_is_not_switched_to(twice: Path, tmp_path: Path) -> None:
    """Its bytes are gone: the service says so, counts it, and goes on with the version it has."""
    folder = copied(twice, tmp_path / "shop")
    with started("serve", "spender", "--port", "0", cwd=folder) as process:
        url = address(process)
        project, second = Project.open(folder), ProductRef("spender", "2")
        digest = project.versions.get("model", second).artifact.digest
        for blob in (folder / ".filiera" / "blobs").rglob(f"*{digest[2:]}*"):
            blob.unlink()
        # As from a machine that still has them: here the contract's gate, which loads the version, would refuse.
        project.versions.promote(second, "champion", reason="", at=project.clock())
        assert "Still serving spender@1" in read_until(process.stdout, "spender@2 cannot be served")
        assert ask_service(url, ROWS)["version"] == 1
        with urllib.request.urlopen(f"{url}/metrics") as response:
            assert "\nfiliera_version_failures_total 0\n" not in response.read().decode()
        process.terminate()
        assert process.wait() == 0


def test_an_address_is_served_once(shop: Path) -> None:
    """A port that is taken is told; names that are not this machine's are not answered without a token."""
    with started("serve", "spender@1", "--port", "0", cwd=shop) as process:
        url = address(process)
        assert [status_under(host, url) for host in ("localhost", "rebound.example")] == [200, 421]
        taken = filiera("serve", "spender", "--port", url.rsplit(":", 1)[1], cwd=shop)
        taken.said(2, "Cannot listen on 127.0.0.1", "Address already in use", "choose another port")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_the_service_is_asked_for_what_it_serves(twice: Path, tmp_path: Path, ask: Ask) -> None:
    """From anywhere; another model or version than the one it serves is refused, not answered by what there is."""
    folder = copied(twice, tmp_path / "shop")
    (tmp_path / "elsewhere").mkdir()
    file = str(folder / "orders.csv")
    with started("serve", "spender@1", "--port", "0", cwd=folder) as process:
        url = address(process)
        for words in (["spender"], ["spender@1"], ["spender@champion"]):
            place = folder if "@" in words[0] else tmp_path / "elsewhere"
            asked = ask("predict", *words, file, "--url", url, "--limit", "2", cwd=place)
            assert (asked.code, len(asked.out.splitlines())) == (0, 2)
        ask("predict", "spender@2", file, "--url", url, cwd=folder).said(2, "serves spender@1, not spender@2")
        ask("predict", "spendr", file, "--url", url, cwd=folder).said(2, "It serves: spender. Did you mean 'spender'?")
        process.terminate()
        assert process.wait() == 0


def test_others_need_a_token(shop: Path, ask: Ask) -> None:
    """Where other machines reach it, a service has a token or does not start."""
    ask("serve", "spender", "--host", "0.0.0.0", cwd=shop).said(2, "other machines", "FILIERA_TOKEN")
    with started("serve", "spender", "--host", "0.0.0.0", "--port", "0", cwd=shop, env={"FILIERA_TOKEN": "s3"}) as one:
        url = address(one).replace("0.0.0.0", "127.0.0.1")
        assert status_under("models.example", url) == 200
        file = shop / "orders.csv"
        filiera("predict", "spender", file, "--url", url, cwd=shop).said(2, "status 401")
        known = filiera("predict", "spender", file, "--url", url, "--limit", "1", cwd=shop, env={"FILIERA_TOKEN": "s3"})
        assert (known.code, len(known.out.splitlines())) == (0, 1)
        one.terminate()
        assert one.wait() == 0


def test_what_cannot_be_served(shop: Path, ask: Ask) -> None:
    """A model that is not there, a port that is none, a host that nobody has."""
    ask("serve", "spendr", cwd=shop).said(2, "no model spendr@champion")
    ask("serve", "spender@7", cwd=shop).said(2, "no model spender@7")
    ask("serve", "spender", "--port", "70000", cwd=shop).said(2, "port 70000", "ports end at 65535")
    ask("serve", "spender", "--port", "http", cwd=shop).said(2, "--port")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ask("serve", "spender", "--port", str(other.getsockname()[1]), cwd=shop).said(2, "already in use")
