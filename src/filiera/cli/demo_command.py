"""``filiera demo``: the whole chain, from network connections to a monitoring verdict, in one command."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filiera.cli.output import coloured, print_facts
from filiera.cli.places import find_model
from filiera.cli.progress import Progress
from filiera.core.check import CheckReport
from filiera.errors import FilieraError, UsageError
from filiera.project.config import FILE_NAME
from filiera.project.index import pipelines
from filiera.project.launch import start
from filiera.project.project import Project
from filiera.project.runs import Run
from filiera.project.serving.monitoring import look
from filiera.project.serving.token import token_given
from filiera.project.templates import make_project

TEMPLATE = "traffic-classification"
MODEL = "flow-classifier"
_ROWS = 2000
_SEED = 7


def run(options: argparse.Namespace) -> int:
    """Make or reuse the project, run both pipelines, serve, predict, monitor, and sum up."""
    folder = Path(options.folder)
    if not folder.exists():
        make_project(str(folder), TEMPLATE)
        _title(f"A new project in {folder}, from the template {TEMPLATE}")
        project = Project.open(folder, profile=options.profile)
    else:
        project = _open_again(folder, options.profile)
        _title(f"The project in {folder}, again: what has not changed is not computed again")
    _title("Data pipeline: sources → dataset version")
    flows = _run(project, "flows")
    _title("Model pipeline: dataset version → model version")
    train = _run(project, "train")
    _title("Serving: model version → microservice; monitoring: what it saw and said → verdict")
    held_out = train.value("split_flows", 1)
    facts = _summary(flows, train)
    with _service(project) as url:
        facts["service"] = f"{url}/v1/models/{MODEL}:predict"
        facts |= _watch(project, url, held_out)
    _title("Summary")
    print_facts(facts)
    print(f"\nnext:\n  cd {folder}")
    print("  filiera explain train            why each step ran or not")
    print("  filiera versions                 what was published")
    print(f"  filiera serve {MODEL}    then POST rows to it")
    return 0


def _open_again(folder: Path, profile: str | None) -> Project:
    if (folder / FILE_NAME).is_file():
        project = Project.open(folder, profile=profile)
        if {"flows", "train"} <= set(pipelines(project.config)):
            return project
    raise UsageError(
        f"{folder} is there and is no project of the template {TEMPLATE}.",
        do="Name another folder: filiera demo FOLDER",
    )


def _title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def _run(project: Project, pipeline: str) -> Run:
    with Progress(project, quiet=False) as progress:
        return start(project, pipeline, {}, listener=progress).require_success()


def _summary(flows: Run, train: Run) -> dict[str, Any]:
    dataset, model = flows.version, train.version
    assert dataset is not None and model is not None
    report: CheckReport = flows.value("validate")
    metrics = train.value("evaluate").metrics
    facts: dict[str, Any] = {
        "dataset": f"{dataset.ref}, {dataset.description['rows']:,} rows, {dataset.artifact.short}",
        "checks": report.summary,
        "model": f"{model.ref} ({', '.join(model.aliases)}), {model.artifact.short}",
    }
    for metric in metrics:
        facts[f"  {metric.name}"] = f"{metric.value:.4f}  95 % interval {metric.low:.4f} … {metric.high:.4f}"
    facts["gates"] = train.value("gate").summary
    hits = flows.state.count("hit") + train.state.count("hit")
    facts["steps"] = f"{len(flows.state.steps) + len(train.state.steps)}, of which {hits} from cache"
    return facts


@contextmanager
def _service(project: Project) -> Iterator[str]:
    """Start ``filiera serve`` on a free port, yield its address once it answers, and stop it as Ctrl-C would."""
    profile = ["--profile", project.config.profile.name]
    command = [sys.executable, "-m", "filiera.cli.main", "serve", MODEL, "--port", "0", *profile]
    with subprocess.Popen(command, cwd=project.config.root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if " at " not in line:
                raise FilieraError("The service did not start.", why=line.strip() or "It ended at once.")
            print(f"  {line.strip()}", flush=True)
            yield line.rsplit(" at ", 1)[1].strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def _watch(project: Project, url: str, held_out: Any) -> dict[str, str]:
    import polars as pl

    usual = held_out.sample(min(_ROWS, held_out.height), seed=_SEED)
    other = held_out.filter(pl.col("protocol_type") != "tcp")
    other = other.sample(min(_ROWS, other.height), seed=_SEED)
    answered = _predict(url, usual)
    quiet = _verdict(project, answered)
    more = _predict(url, other)
    alarm = _verdict(project, more)
    for name, verdict in (("rows like those it learnt from", quiet), ("rows of other protocols", alarm)):
        word = verdict.partition(":")[0]
        print(f"  {name}: {coloured(verdict, word)}", flush=True)
    return {
        "predictions": f"{answered + more:,} answered and logged",
        "drift, same mix": quiet,
        "drift, other mix": alarm,
    }


def _predict(url: str, rows: Any) -> int:
    from filiera.serving.client import ServiceClient

    client = ServiceClient(url, token=token_given())
    names = [field["name"] for field in client.describe(MODEL)["signature"]["inputs"]]
    records: Iterator[Mapping[str, Any]] = rows.select(names).iter_rows(named=True)
    return sum(1 for _ in client.predict(records, model=MODEL))


def _verdict(project: Project, rows: int) -> str:
    """Return what monitoring says of the last *rows* predictions."""
    report, _ = look(project, find_model(project, MODEL), last=rows)
    return str(report.summary)
