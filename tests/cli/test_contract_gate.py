"""No alias moves to a version that would break applications: ``promote`` and the verbs of ``contract``."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from sklearn.tree import DecisionTreeClassifier

from filiera.project import plugins, record
from tests.cli.command import copied, done, filiera, read_until, started
from tests.cli.conftest import Ask
from tests.making import made_once

ASKING = """
import json, os, urllib.request

body = json.dumps({"instances": [{"pieces": 3, "price": 2.5}]}).encode()
request = urllib.request.Request(
    os.environ["FILIERA_URL"] + "/v1/models/spender:predict", body, {"Content-Type": "application/json"}
)
with urllib.request.urlopen(request) as answer:
    assert json.load(answer)["predictions"][0]["label"] in ("yes", "no")
"""
RECORD = ("contract", "record", "spender", "--consumer", "shop@1.4", "--reads", "label", "--")
PYTHON = (sys.executable, "-c")


def publish(folder: Path, *changes: tuple[str, str]) -> None:
    """Publish a version of the model that comes of changed code."""
    file = folder / "shopflows" / "model.py"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    done("run", "train", cwd=folder)


@pytest.fixture(scope="module")
def versions(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a recorded contract, spender@2 that adds to it, @3 that breaks it, @4 that says so."""

    def make(folder: Path) -> None:
        copied(shop, folder)
        done(*RECORD, *PYTHON, ASKING, cwd=folder)
        plain, added = "may_share_rows=True", 'may_share_rows=True, contract=Contract(defaults={"price": 20})'
        publish(folder, ("import Dataset, Gate", "import Contract, Dataset, Gate"), (plain, added))
        publish(folder, (added, plain), ('"pieces", "price"', '"pieces"'), ("at_least=0.8", "at_least=0.1"))
        publish(folder, (plain, "may_share_rows=True, contract=Contract(major=2)"))

    return made_once(tmp_path_factory, "versions", make)


def test_an_addition_is_deployed_and_a_break_is_not(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """What is refused says which parts failed, for whom and why; nothing was moved."""
    folder = copied(versions, tmp_path / "shop")
    assert ask("promote", "spender@2", cwd=folder).out == "spender@champion is now version 2\n"
    refused = ask("promote", "spender@3", cwd=folder)
    refused.said(
        3,
        "spender@3 does not keep the contract of spender@champion: nothing was moved",
        "diff: 1 change of spender@2's contract would break applications",
        "inputs.price: requests that have it are refused",
        "replay: shop@1.4: was answered with 200, is answered with 422: instances[*].price is not a field",
        "filiera contract verify spender@3",
        "contracts/approved.toml",
    )
    assert ask("show", "spender@champion", "--json", cwd=folder).data["version"] == 2


def test_two_majors_stand_side_by_side(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """A new major does not take the place of the old one, it has an alias and an address of its own."""
    folder = copied(versions, tmp_path / "shop")
    ask("promote", "spender@4", cwd=folder).said(3, "1 → 2: served at another address, beside the old one")
    assert ask("promote", "spender@4", "next", cwd=folder).code == 0
    with started("serve", "spender@next", "--port", "0", cwd=folder) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            paths = json.load(answer)["paths"]
        assert "/v1/models/spender.v2:predict" in paths and "/v1/models/spender:predict" not in paths
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_break_that_is_approved_still_must_serve_who_recorded_it(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """The approval is for the difference; an application that is known to break blocks until its contract is gone."""
    folder = copied(versions, tmp_path / "shop")
    findings = ask("contract", "verify", "spender@3", "--json", cwd=folder).data["findings"]
    fingerprints = [one["fingerprint"] for one in findings if one["blocks"]]
    table = '[[approved]]\nmodel = "spender"\nbreak = "{}"\nreason = "all have moved"\nuntil = 2999-01-01\n'
    (folder / "contracts" / "approved.toml").write_text("\n".join(map(table.format, fingerprints)))
    said = ask("promote", "spender@3", cwd=folder)
    assert said.code == 3 and "diff:" not in said.err and "replay: shop@1.4" in said.err
    (folder / "contracts" / "shop@1.4.json").unlink()
    passed = ask("promote", "spender@3", cwd=folder)
    assert passed.code == 0 and "approved until 2999-01-01: all have moved" in passed.out


def test_all_parts_are_shown(versions: Path, ask: Ask) -> None:
    """The parts stand in the order in which they are asked, for people and for scripts."""
    said = ask("contract", "verify", "spender@2", cwd=versions)
    parts = [line.split()[0] for line in said.out.splitlines()[1:] if line and not line.startswith(" ")][:-1]
    expected = ["diff", "consumers", "start", "replay", "fuzzing", "runtime", "meaning", "shift", "speed"]
    assert (said.code, parts) == (0, expected)
    assert said.out.splitlines()[-1] == "spender@2 keeps the contract of spender@1"
    data = ask("contract", "verify", "spender@3", "--json", cwd=versions)
    assert (data.code, data.data["is_blocked"], data.data["deployed"]) == (3, True, "spender@1")


def test_who_is_deployed_counts(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """Each environment has its applications; one that is deployed without a contract blocks."""
    folder = copied(versions, tmp_path / "shop")
    ask("contract", "can-deploy", "spender@3", "--to", "prod", cwd=folder).said(2, "Nothing is known to run in 'prod'")
    assert ask("contract", "deployed", "shop@1.4", "--to", "prod", cwd=folder).code == 0
    assert ask("contract", "can-deploy", "spender@2", "--to", "prod", cwd=folder).code == 0
    cannot = ask("contract", "can-deploy", "spender@3", "--to", "prod", cwd=folder)
    assert (cannot.code, cannot.out.splitlines()[-1]) == (3, "spender@3 cannot be deployed to prod")
    assert ask("contract", "deployed", "shop@1.5", "--to", "prod", cwd=folder).code == 0
    lacking = ask("contract", "can-deploy", "spender@2", "--to", "prod", "--json", cwd=folder)
    assert (lacking.code, lacking.data["reason"]) == (3, "no contract of shop@1.5, which runs in prod")
    ask("promote", "spender@2", cwd=folder).said(3, "consumers: no contract of shop@1.5, which is deployed")
    assert ask("contract", "deployed", "other@1", "--to", "staging", cwd=folder).code == 0
    deployed = json.loads((folder / "contracts" / "deployments.json").read_text())
    assert deployed == {"prod": {"shop": "1.5"}, "staging": {"other": "1"}}
    ask("contract", "deployed", "shop", "--to", "prod", cwd=folder).said(2, "names no version of an application")
    (folder / "contracts" / "deployments.json").write_text("[]")
    ask("promote", "spender@2", cwd=folder).said(4, "does not say which versions run where")


def test_tests_that_fail_record_nothing(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """What failed is no contract; neither is a command that is not there, or one that asks nothing."""
    record = ("contract", "record", "spender", "--consumer", "shop@1", "--to", str(tmp_path / "contracts"), "--")
    ask(*record, *PYTHON, "raise SystemExit(3)", cwd=shop).said(1, "ended with exit code 3: nothing was recorded")
    ask(*record, "no-such-program", cwd=shop).said(2, "no-such-program cannot be run")
    ask(*record, *PYTHON, "pass", cwd=shop).said(2, "has asked the mock of spender nothing")
    ask("contract", "record", "spender", "--consumer", "shop", "--", "true", cwd=shop).said(2, "NAME@VERSION")
    threshold = ("contract", "record", "spender", "--consumer", "shop@1", "--threshold", "label=x", "--", "true")
    ask(*threshold, cwd=shop).said(2, "--threshold takes PART=NUMBER")
    typo = ("contract", "record", "spender", "--consumer", "shop@1", "--reads", "labell", "--", "true")
    ask(*typo, cwd=shop).said(
        2, "Predictions have no 'labell'", "id, label, probabilities, probabilities.no", "label'?"
    )
    assert not (tmp_path / "contracts").exists()


def test_a_mock_answers_without_project_and_model(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """An application's repository needs the file of the contract alone; Ctrl-C ends the mock."""
    file = tmp_path / "spender.json"
    file.write_text(ask("contract", "show", "spender", cwd=shop).out)
    with started("contract", "mock", str(file), "--port", "0", cwd=tmp_path) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        body = json.dumps({"instances": [{"pieces": 0, "price": 2.5}]}).encode()
        request = urllib.request.Request(f"{url}/v1/models/spender:predict", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        with refused.value as answer:
            assert (answer.code, json.load(answer)["errors"][0]["at"]) == (422, "instances[0].pieces")
        taken = filiera("contract", "mock", str(file), "--port", url.rsplit(":", 1)[1], cwd=tmp_path)
        taken.said(2, "Cannot listen on 127.0.0.1")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_a_library_that_answers_otherwise_is_not_let_near_callers(
    versions: Path, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version's own answers are kept with it: what gives others here is refused, with what is otherwise here."""
    folder = copied(versions, tmp_path / "shop")
    trained = DecisionTreeClassifier.predict
    with monkeypatch.context() as patch:
        patch.setattr(DecisionTreeClassifier, "predict", lambda tree, rows: trained(tree, rows)[::-1])
        patch.setattr(record, "machine", lambda: {"python": "3.99.0"})
        refused = ask("promote", "spender@2", cwd=folder)
        served = ask("serve", "spender@2", "--port", "0", cwd=folder)
    refused.said(
        3,
        "start: spender, version 2, answers otherwise than when it was published",
        "when it was published, 'yes' here",
        "since it was published: Python was 3.11",
    )
    served.said(1, "spender, version 2, answers otherwise than when it was published")
    assert ask("promote", "spender@2", cwd=folder).code == 0


def test_what_was_asked_lately_is_asked_of_both_versions(versions: Path, tmp_path: Path, ask: Ask) -> None:
    """The rows that services have logged within a month; what is older, or lacks an input, does not count."""
    folder = copied(versions, tmp_path / "shop")
    log = plugins.prediction_log(folder / ".filiera", "spender")
    now = time.time()
    ages = [0, 60, 3600 * 5, 86_400 * 3] * 10 + [86_400 * 40] * 10
    log.append(
        [
            {"id": f"{n:026}", "at": now - age, "inputs": {"pieces": n + 1, "price": 2.5}, "outputs": {"label": "no"}}
            for n, age in enumerate(ages)
        ]
    )
    log.append([{"id": "x" * 26, "at": now, "inputs": {"pieces": 1}, "outputs": {"label": "no"}}])
    log.close()
    parts = {part["name"]: part for part in ask("contract", "verify", "spender@2", "--json", cwd=folder).data["parts"]}
    assert parts["shift"]["reason"].startswith("answers to 40 logged rows: 100.0% as before, score +0.0000")
