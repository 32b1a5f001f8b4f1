"""The whole chain on real network connections, by the command alone: what a new user does in the first half hour."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.command import Answer, done, filiera, read_until, started

STEPS = {
    "flows": ["collect-raw_flows", "explore_flows", "clean", "features", "validate", "publish"],
    "train": ["split_flows", "fit", "fit_unaware", "evaluate", "gate", "publish"],
}
USUAL, OTHER = 1500, 900
MODEL = "flow-classifier"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that has published flows@1 and flow-classifier@1; tests only look at it, or copy it."""
    place = tmp_path_factory.mktemp("chain")
    done("init", "flows-demo", "--template", "traffic-classification", cwd=place)
    for pipeline in STEPS:
        answer = done("run", pipeline, cwd=place / "flows-demo")
        assert f"{pipeline}-1 succeeded: {len(STEPS[pipeline])} ran, 0 from cache" in answer.out
    return place / "flows-demo"


@pytest.fixture
def copy(chain: Path, tmp_path: Path) -> Path:
    """Return a copy of the project with its store, in another folder."""
    return Path(shutil.copytree(chain, tmp_path / "flows-demo"))


def test_the_data_pipeline_publishes_a_dataset(chain: Path, tmp_path: Path) -> None:
    """All 25,192 rows, 47 checks, no column that leaks; the report is a page of its own."""
    shown = done("show", "flows@latest", "--json", cwd=chain).data
    assert (shown["version"], shown["description"]["rows"], shown["run"]) == (1, 25_192, "flows-1")
    assert shown["description"]["checks"] == {"passed": 47, "warn": 0, "quarantine": 0, "block": 0}
    assert not {"difficulty", "label", "category"} & set(shown["description"]["columns"])
    done("show", "flows/explore_flows", "--open", tmp_path / "report.html", cwd=chain)
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>") and "<svg" in page and "https://" not in page


def test_the_model_pipeline_publishes_a_champion(chain: Path) -> None:
    """Metrics with intervals, gates passed, and the dataset it was made from."""
    (version,) = done("versions", MODEL, "--json", cwd=chain).data
    assert (version["aliases"], version["inputs"]) == (["champion"], {"flows": "flows@1"})
    f1 = version["description"]["metrics"]["f1_macro"]
    assert 0.94 < f1["low"] < f1["value"] < f1["high"] <= 1
    assert version["description"]["gates"].startswith("5 of 5 gates passed")
    log = done("log", "train/gate", cwd=chain).out
    assert "passed: f1_macro at least 0.9: lower bound" in log


def test_an_unchanged_project_computes_nothing(copy: Path) -> None:
    """In another folder, the second run is all hits, explain says so per step, and no version is added."""
    for pipeline, steps in STEPS.items():
        answer = done("run", pipeline, cwd=copy)
        assert f"{pipeline}-2 succeeded: 0 ran, {len(steps)} from cache\nunchanged, still " in answer.out
        explained = done("explain", pipeline, "--json", cwd=copy).data
        reason = f"same code, parameters and inputs as in {pipeline}-1"
        assert [(step["step"], step["reason"]) for step in explained] == [(step, reason) for step in steps]
    assert [version["version"] for version in done("versions", "--json", cwd=copy).data] == [1, 1]


def test_a_changed_constant_runs_what_it_must(copy: Path) -> None:
    """The one step that uses it, then what depends on its changed output; explain names it; reverted, all are hits."""
    module = copy / "traffic" / "cleaning.py"
    text = module.read_text()
    module.write_text(text.replace("LONGEST_S = 86_400", "LONGEST_S = 1_000"))
    answer = done("run", "flows", "--json", cwd=copy).data
    assert {step["step"]: step["status"] for step in answer["steps"]} == {
        "collect-raw_flows": "hit", "explore_flows": "hit", "clean": "succeeded", "features": "succeeded",
        "validate": "succeeded", "publish": "succeeded",
    }  # fmt: skip
    assert answer["published"] == "flows@2"
    reasons = {step["step"]: step["reason"] for step in done("explain", "flows", "--json", cwd=copy).data}
    assert "traffic.cleaning:LONGEST_S" in reasons["clean"]
    assert reasons["features"] == "input from clean changed"
    module.write_text(text)
    assert "flows-3 succeeded: 0 ran, 6 from cache" in done("run", "flows", cwd=copy).out


def test_a_change_that_changes_nothing_stops_there(copy: Path) -> None:
    """An equal output is an equal input: the changed step runs, what depends on it does not."""
    module = copy / "traffic" / "cleaning.py"
    module.write_text(module.read_text().replace("LONGEST_S = 86_400", "LONGEST_S = 90_000"))
    assert "1 ran, 5 from cache\nunchanged, still dataset flows@1" in done("run", "flows", cwd=copy).out


def test_a_model_that_is_not_good_enough_is_not_published(copy: Path) -> None:
    """The gates say what they wanted and what they got: exit code 3, and the champion stays."""
    answer = filiera("run", "train", "--trees", "1", "--max-depth", "1", cwd=copy)
    assert (answer.code, answer.err) == (3, "")
    assert "train-2 rejected: 3 ran, 1 from cache, 1 rejected, 1 blocked" in answer.out
    assert "f1_macro at least 0.9: lower bound 0." in answer.out
    assert "misses 0.9" in answer.out and "not worse than champion" in answer.out
    assert "filiera show train-2" in answer.out
    assert len(done("versions", MODEL, "--json", cwd=copy).data) == 1
    (rejected,) = done("runs", "--state", "rejected", "--json", cwd=copy).data
    assert (rejected["run"], rejected["published"]) == ("train-2", [])


def test_rows_that_break_a_promise_are_not_published(copy: Path) -> None:
    """Two rows of a protocol that does not exist stop the dataset; they are counted and the rule is named."""
    file = copy / "data" / "KDDTrain_20Percent.csv.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    lines += [lines[1].replace(",tcp,", ",sctp,"), lines[5].replace(",tcp,", ",sctp,")]
    file.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    answer = filiera("run", "flows", cwd=copy)
    assert (answer.code, answer.err) == (3, "")
    assert "1 of 47 checks failed (1 block)" in answer.out
    assert "protocol_type" in answer.out and "2 of 25,194 rows" in answer.out
    assert [version["version"] for version in done("versions", "flows", "--json", cwd=copy).data] == [1]


def test_the_demo_goes_on_with_a_project(copy: Path) -> None:
    """``filiera demo`` again: every step a hit, then a service with the user's token, and a verdict on two mixes."""
    answer = filiera("demo", copy.name, cwd=copy.parent, env={"FILIERA_TOKEN": "s3cret"})
    assert (answer.code, answer.err) == (0, "")
    said = " ".join(answer.out.split())
    for part in (
        "dataset              flows@1, 25,192 rows, ",
        "checks               47 checks passed on 25,192 rows",
        "model                flow-classifier@1 (champion), ",
        "  f1_macro           0.96",
        "gates                5 of 5 gates passed",
        "steps                12, of which 12 from cache",
        "service              http://127.0.0.1:",
        "predictions          2,",
        "drift, same mix      quiet: 42 columns over 2,000 rows",
        "drift, other mix     drift in ",
        f"next:\n  cd {copy.name}\n",
    ):
        assert " ".join(part.split()) in said, part
    assert "s3cret" not in answer.out


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a service answered, and what monitoring said of it afterwards."""

    refused: dict[str, tuple[int, str, dict[str, Any]]]  #: per bad body: status, media type, problem
    local: list[dict[str, Any]]  #: predictions of the first rows, made without the service
    remote: list[dict[str, Any]]  #: predictions of the same rows by the service
    openapi: dict[str, Any]
    end: Answer  #: how the service ended
    quiet: Answer  #: monitoring of usual rows
    drift: Answer  #: monitoring of rows of other protocols


@pytest.fixture(scope="module")
def seen(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Serve the champion, ask it all kinds of things, and stop it as Ctrl-C does."""
    place = tmp_path_factory.mktemp("rows")
    done("show", "flows@1", "--open", place / "flows.parquet", cwd=chain)
    flows = pl.read_parquet(place / "flows.parquet")
    flows.sample(USUAL, seed=1).write_parquet(place / "usual.parquet")
    flows.filter(pl.col("protocol_type") != "tcp").sample(OTHER, seed=1).write_parquet(place / "other.parquet")
    with serving(chain) as (url, ended):
        with urllib.request.urlopen(f"{url}/openapi.json") as response:
            openapi = json.load(response)
        example = openapi["paths"][f"/v1/models/{MODEL}:predict"]["post"]["requestBody"]["content"]["application/json"]
        good = flows.drop("attack", "kind").row(0, named=True)
        refused = {name: post(url, body) for name, body in bad_bodies(good).items()}
        assert example
        words = ("predict", MODEL, place / "usual.parquet")
        remote = lines(done(*words, "--url", url, cwd=chain))
        local = lines(done(*words, "--limit", "200", cwd=chain))
        quiet = filiera("monitor", MODEL, "--last", str(USUAL), cwd=chain)
        done("predict", MODEL, place / "other.parquet", "--url", url, cwd=chain)
        drift = filiera("monitor", MODEL, "--last", str(OTHER), "--html", place / "drift.html", cwd=chain)
        assert "<svg" in (place / "drift.html").read_text()
    return Seen(refused=refused, local=local, remote=remote, openapi=openapi, end=ended[0], quiet=quiet, drift=drift)


@contextmanager
def serving(project: Path) -> Iterator[tuple[str, list[Answer]]]:
    """Run ``filiera serve`` for the block; give its address, and a list that has its end afterwards."""
    ended: list[Answer] = []
    with started("serve", f"{MODEL}@champion", "--port", "0", cwd=project) as process:
        url = read_until(process.stdout, f"serving {MODEL}@1 at ").rsplit(" at ", 1)[1].strip()
        yield url, ended
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        ended.append(Answer(code=process.returncode, out=out, err=err))


def lines(answer: Answer) -> list[dict[str, Any]]:
    """Return JSON lines."""
    return [json.loads(line) for line in answer.out.splitlines()]


def bad_bodies(good: dict[str, Any]) -> dict[str, bytes]:
    """Return requests that the service must refuse."""

    def changed(**values: Any) -> bytes:
        return json.dumps({"instances": [{**good, **values}]}).encode()

    lacking = {name: value for name, value in good.items() if name != "duration"}
    return {
        "not JSON": b"{",
        "no rows": b"{}",
        "missing": json.dumps({"instances": [lacking]}).encode(),
        "extra": changed(colour="red"),
        "mistyped": changed(duration="long"),
        "out of domain": changed(protocol_type="sctp"),
        "out of range": changed(serror_rate=1.5),
        "NaN": changed(serror_rate=float("nan")),
        "too large": b" " * (9 * 1024 * 1024),
    }


def post(url: str, body: bytes) -> tuple[int, str, dict[str, Any]]:
    """Return status, media type and content of what a service answers."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was read, the answer sent
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/v1/models/{MODEL}:predict", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], json.load(answer)


@pytest.mark.parametrize(
    ("name", "status", "place"),
    [
        ("not JSON", 400, ""),
        ("no rows", 422, "instances"),
        ("missing", 422, "instances[0].duration"),
        ("extra", 422, "instances[0].colour"),
        ("mistyped", 422, "instances[0].duration"),
        ("out of domain", 422, "instances[0].protocol_type"),
        ("out of range", 422, "instances[0].serror_rate"),
        ("NaN", 422, "instances[0].serror_rate"),
        ("too large", 413, ""),
    ],
)
def test_a_bad_request_is_refused_by_place(name: str, status: int, place: str, seen: Seen) -> None:
    """With problem details that name the field and the rule, and never repeat what was sent."""
    answered, media_type, problem = seen.refused[name]
    assert (answered, media_type, problem["status"]) == (status, "application/problem+json", status)
    assert {"type", "title", "detail"} <= set(problem)
    assert [error["at"] for error in problem.get("errors", [])] == ([place] if place else [])
    assert not {"sctp", "red", "long"} & set(json.dumps(problem).replace('"', " ").split())


def test_the_service_answers_as_the_model_does(seen: Seen) -> None:
    """The same rows get the same labels and probabilities, from a file and over HTTP, in order."""
    assert len(seen.remote) == USUAL
    for local, remote in zip(seen.local, seen.remote, strict=False):
        assert {**local, "id": ""} == {**remote, "id": ""}
    assert len({one["id"] for one in seen.remote}) == USUAL


def test_the_api_is_described(seen: Seen) -> None:
    """The contract is made from the signature, with the domains that the dataset's checks promise."""
    text = json.dumps(seen.openapi)
    assert seen.openapi["openapi"].startswith("3.")
    assert '"icmp"' in text and '"serror_rate"' in text


def test_the_service_ends_well(seen: Seen) -> None:
    """Ctrl-C ends it with exit code 0, and every prediction that was answered is logged, no refused one."""
    assert (seen.end.code, seen.end.err) == (0, "")
    assert seen.end.out.endswith("stopped; all predictions are logged\n")
    assert f"{MODEL}@1: {OTHER:,} predictions" in seen.drift.out
    assert f"left out: {USUAL:,} earlier ones" in seen.drift.out


def test_rows_like_the_training_are_quiet(seen: Seen) -> None:
    """No false alarm on rows of the same mix."""
    assert (seen.quiet.code, seen.quiet.err) == (0, "")
    assert "verdict: quiet: 42 columns over 1,500 rows" in seen.quiet.out


def test_rows_of_other_protocols_alarm(seen: Seen) -> None:
    """The alarm names the protocol first and ends with an exit code of its own."""
    assert (seen.drift.code, seen.drift.err) == (7, "")
    assert "verdict: drift in " in seen.drift.out and "protocol_type (total variation 0.8" in seen.drift.out
