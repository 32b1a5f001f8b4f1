"""A second major of a contract answers applications of the first, where it was said how: commands and services."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import copied, done, read_until, started
from tests.cli.conftest import Ask
from tests.cli.test_contract_gate import ASKING, PYTHON, RECORD, publish

IMPORT = "import Dataset, Gate", "import Contract, Conversion, Dataset, Gate"
SHARED = "may_share_rows=True"
SAID = SHARED + ', contract=Contract(major=2, units={"price": "ct"}, conversion=Conversion(factors={"price": 100}))'
EUROS = 'contract=Contract(units={"price": "EUR"})'


@pytest.fixture(scope="module")
def versions(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with spender@2, which takes euros, and spender@3, a major that takes cents."""
    folder = copied(shop, tmp_path_factory.mktemp("majors") / "shop")
    publish(folder, IMPORT, (SHARED, f"{SHARED}, {EUROS}"))
    done("promote", "spender@2", cwd=folder)
    done(*RECORD, *PYTHON, ASKING, cwd=folder)
    in_cents = 'inputs = rows.select("pieces", "price")', 'inputs = rows.select("pieces", pl.col("price") * 100)'
    publish(folder, (f"{SHARED}, {EUROS}", SAID), in_cents)
    return folder


@contextmanager
def serving(folder: Path, *names: str) -> Iterator[tuple[str, str]]:
    """Yield the address of a service and what it said first."""
    with started("serve", *names, "--port", "0", cwd=folder) as process:
        line = read_until(process.stdout, " at ")
        try:
            yield line.rsplit(" at ", 1)[1].strip(), line
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0


def predict(url: str, model: str, **row: Any) -> dict[str, Any]:
    """Return the answer to one row."""
    body = json.dumps({"instances": [row]}).encode()
    request = urllib.request.Request(f"{url}/v1/models/{model}:predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_applications_of_the_first_major_are_answered_by_the_second(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """Where it was said what a euro is, both addresses answer alike; the alias of the first major stays where it is."""
    folder = copied(versions, tmp_path / "shop")
    assert ask("promote", "spender@3", "next", cwd=folder).code == 0
    with serving(folder, "spender@next") as (url, said):
        assert said.startswith("serving spender@3, spender by conversion from it")
        for pieces, price in ((1, 2.5), (9, 49.0), (3, 30.0)):
            old = predict(url, "spender", pieces=pieces, price=price)
            new = predict(url, "spender.v2", pieces=pieces, price=price * 100)
            assert (old["model"], old["version"]) == ("spender", 3)
            assert [old["predictions"][0][key] for key in ("label", "probabilities")] == [
                new["predictions"][0][key] for key in ("label", "probabilities")
            ]
        with pytest.raises(urllib.error.HTTPError) as refused:
            predict(url, "spender", pieces=0, price=1)
        with refused.value as answer:
            assert (answer.code, json.load(answer)["errors"][0]["at"]) == (422, "instances[0].pieces")
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            assert {"/v1/models/spender:predict", "/v1/models/spender.v2:predict"} <= json.load(answer)["paths"].keys()
    assert ask("show", "spender@champion", "--json", cwd=folder).data["version"] == 2


def test_the_first_major_itself_goes_before_a_conversion(versions: Path, tmp_path: Path) -> None:
    """Two majors are served by one process under both names."""
    with serving(versions, "spender@3", "spender@2") as (url, said):
        assert said.startswith("serving spender@3, spender@2 at")
        assert predict(url, "spender", pieces=1, price=2.5)["version"] == 2
        assert predict(url, "spender.v2", pieces=1, price=250)["version"] == 3


def test_the_gate_asks_what_applications_of_the_first_major_recorded(versions: Path, ask: Ask) -> None:
    """At their address, where the version is held to what they were promised."""
    converts = ask("contract", "verify", "spender@3", "next", cwd=versions)
    assert converts.code == 0
    assert "applications of major 1 get at spender what spender@2 promised" in converts.out
    assert "all that was recorded is answered: shop@1.4 (1)" in converts.out
