from __future__ import annotations

import random
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filiera.cli.monitor_command import look
from filiera.cli.places import find_model
from filiera.project import plugins
from filiera.project.project import Project
from tests.cli.command import copied
from tests.cli.conftest import Ask


@pytest.fixture(scope="module")
def watched(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose log has 400 predictions of dearer orders, long ago, and after them 400 usual ones."""
    folder = tmp_path_factory.mktemp("watched") / "shop"
    copied(shop, folder)
    shutil.rmtree(folder / ".filiera" / "predictions", ignore_errors=True)
    numbers = random.Random(2)
    log = plugins.prediction_log(folder / ".filiera", "spender")
    log.append([record(numbers, at=1e9 + i, dearer=3.0) for i in range(400)])
    log.append([record(numbers, at=time.time(), dearer=1.0) for _ in range(400)])
    log.append([record(numbers, at=time.time(), dearer=1.0, version=7)])
    log.close()
    return folder


def record(numbers: random.Random, *, at: float, dearer: float, version: int = 1) -> dict[str, Any]:
    """Return what a service logs of one prediction."""
    inputs = {"pieces": numbers.randint(1, 9), "price": round(numbers.uniform(1, 50) * dearer, 2)}
    label = "yes" if inputs["pieces"] * inputs["price"] > 100 else "no"
    outputs = {"label": label, "probabilities": {"yes": float(label == "yes"), "no": float(label == "no")}}
    return {"id": "x", "at": at, "model": "spender", "version": version, "inputs": inputs, "outputs": outputs}


def test_drift_is_told_with_its_own_exit_code(watched: Path, ask: Ask) -> None:
    """The worst columns come first, then the verdict; what was left out is counted by reason."""
    answer = ask("monitor", "spender", cwd=watched)
    assert answer.code == 7
    lines = answer.out.splitlines()
    assert lines[0].startswith("spender@1: 800 predictions, 2001-09-09 ")
    assert lines[0].endswith(", against 300 training rows")
    assert lines[1] == "left out: 1 of another version"
    assert lines[3].split()[:3] == ["COLUMN", "ROLE", "ASPECT"]
    states = [line.rsplit("  ", 1)[1] for line in lines[4:-2]]
    assert states == sorted(states, key=lambda state: state != "drift")
    assert lines[4].startswith("price ")
    assert lines[-1].startswith("verdict: drift in ")


def test_rows_like_those_of_the_training_are_quiet(watched: Path, ask: Ask) -> None:
    """No alarm, exit code 0, however the window was chosen."""
    for words in (["--last", "400"], ["--since", "1d"]):
        answer = ask("monitor", "spender", *words, cwd=watched)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.splitlines()[-1].startswith("verdict: quiet: 4 columns over 400 rows")
    assert (
        "left out: 1 of another version, 400 earlier ones\n"
        in ask("monitor", "spender", "--last", "400", cwd=watched).out
    )


def test_json_tells_all(watched: Path, ask: Ask) -> None:
    """Verdict, window, findings, and what was left out."""
    answer = ask("monitor", "spender", "--json", cwd=watched)
    assert (answer.code, answer.data["verdict"], answer.data["rows"]) == (7, "drift", 800)
    assert set(answer.data) == {
        "model", "verdict", "summary", "rows", "first_at", "last_at", "skipped", "findings", "unexpected"
    }  # fmt: skip
    assert answer.data["skipped"]["other_version"] == 1
    assert answer.data["findings"][0]["state"] == "drift"


def test_sensitive_inputs_are_not_missed(watched: Path) -> None:
    """An input that is never logged, because it is sensitive, is no missing column."""
    project = Project.open(watched)
    version = find_model(project, "spender")
    signature = project.value(version.attachments["signature"])
    fields = tuple(replace(field, sensitive=field.name == "price") for field in signature.inputs)
    hidden = project.artifacts.put(replace(signature, inputs=fields))
    version = replace(version, attachments={**version.attachments, "signature": hidden})
    report, _ = look(project, version)
    assert {finding.column for finding in report.findings} == {"pieces", "label", "max_probability"}


def test_too_few_predictions_are_not_enough(watched: Path, ask: Ask) -> None:
    """No alarm and no all-clear; an empty window shows no table."""
    answer = ask("monitor", "spender", "--last", "5", cwd=watched)
    assert (answer.code, "verdict: not enough data" in answer.out) == (0, True)
    empty = ask("monitor", "spender", "--since", "0s", cwd=watched)
    assert (empty.code, "COLUMN" in empty.out) == (0, False)


def test_a_report_is_written(watched: Path, ask: Ask, tmp_path: Path) -> None:
    """A page with plots; a place that cannot be written is told."""
    assert ask("monitor", "spender", "--html", str(tmp_path / "drift.html"), cwd=watched).code == 7
    assert "<svg" in (tmp_path / "drift.html").read_text()
    ask("monitor", "spender", "--html", "/no/where.html", cwd=watched).said(2, "/no/where.html cannot be written")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["spendr"], "no model spendr@champion"),
        (["spender@9"], "no model spender@9"),
        (["spender", "--last", "0"], "Ask for at least 1"),
        (["spender", "--since", "5y"], "such as 30m, 12h or 7d"),
        (["spender", "--since", "-5m"], "--since"),
    ],
)
def test_what_cannot_be_watched(words: list[str], said: str, watched: Path, ask: Ask) -> None:
    """A wrong name or window is a usage error."""
    ask("monitor", *words, cwd=watched).said(2, said)
