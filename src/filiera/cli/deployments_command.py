"""``filiera deployments``."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from filiera.cli.durations import lasted
from filiera.cli.output import coloured, print_json, print_table, when
from filiera.core.delivery import SHADOW, Tally, stage_name
from filiera.errors import Rejected, UsageError
from filiera.project.deployments import Deployment, services
from filiera.project.project import Project

_LOOK_EVERY_S = 0.5


def run(options: argparse.Namespace) -> int:
    """List deployments and the services that follow aliases; or show the newest of a model, and follow it."""
    project = Project.open(profile=options.profile)
    found = project.deployments.find(options.name)
    if options.watch:
        if not options.name or not found:
            raise UsageError("Say which model's deployment to watch.", do="filiera deployments")
        return watch(project, found[0].number)
    if options.json:
        print_json(_document(project, options.name, found))
        return 0
    if options.name and found:
        _show(project, project.deployments.get(found[0].number))
        print()
    _list(found)
    _list_services(project, options.name)
    return 0


def watch(project: Project, number: int) -> int:
    """Print a line for whatever changes in a deployment until it ends; 3 when it was rolled back."""
    told, said = 0, ""
    while True:
        deployment = project.deployments.get(number)
        for note in deployment.notes[told:]:
            what = coloured(f"{note.what:<12}", _colour(note.what))
            print(f"{_clock(note.at)}  {what}  {note.why}".rstrip(), flush=True)
        told = len(deployment.notes)
        if deployment.state != "running":
            break
        line = _counts(project, deployment)
        if line != said:
            said = line
            print(f"{_clock(project.clock())}    {line}", flush=True)
        time.sleep(_LOOK_EVERY_S)
    return 0 if deployment.state == "done" else Rejected.exit_code


def _list(found: list[Deployment]) -> None:
    if not found:
        print("no deployments")
        return
    rows = []
    for deployment in found:
        stage = stage_name(deployment.plan.shares[deployment.stage]) if deployment.state == "running" else ""
        candidate, before = deployment.refs
        place = f"{deployment.name}@{deployment.alias}"
        state = coloured(deployment.state, _colour(deployment.state))
        rows.append([deployment.number, candidate, place, before, when(deployment.at), stage, state])
    print_table(["no", "version", "to", "from", "since", "stage", "state"], rows, right=["no"])


def _list_services(project: Project, name: str) -> None:
    now = project.clock()
    found = services(project.records, now=now, name=name)
    if not found:
        return
    print()
    rows = []
    for one in found:
        tries = f"{one.name}@{one.candidate}" if one.candidate is not None else ""
        follows, serves = f"{one.name}@{one.alias}", f"{one.name}@{one.version}"
        rows.append([one.place, follows, serves, tries, lasted(max(0.0, now - one.seen_at)) + " ago", one.trouble])
    print_table(["service", "follows", "serves", "tries", "seen", "trouble"], rows)


def _show(project: Project, deployment: Deployment) -> None:
    candidate, before = deployment.refs
    print(f"deployment {deployment.number}: {candidate} to {deployment.name}@{deployment.alias}, from {before}")
    for note in deployment.notes:
        told = f"{when(note.at)}  {coloured(f'{note.what:<12}', _colour(note.what))}  {note.by}  {note.why}"
        print(f"  {told}".rstrip())
    print(f"  {_counts(project, deployment)}")


def _counts(project: Project, deployment: Deployment) -> str:
    """Return what was counted in the present stage, in one line."""
    tried, usual = project.deployments.tallies(deployment)
    told = (_of(deployment.version, tried), _of(deployment.before, usual), _agreement(deployment, tried))
    return "; ".join(filter(None, told))


def _of(version: int, tally: Tally) -> str:
    bad = [f"{hits:,} {what}" for what in ("failed", "refused", "slow") if (hits := tally.count(what)[0])]
    return f"@{version}: {tally.requests:,} requests" + "".join(f", {one}" for one in bad)


def _agreement(deployment: Deployment, tried: Tally) -> str:
    if deployment.trial.share != SHADOW or not tried.rows:
        return ""
    found = tried.shift_interval()
    moved = f", score {found[0]:+.3g} [{found[1]:+.3g}, {found[2]:+.3g}]" if found is not None else ""
    return f"agree in {tried.agreed / tried.rows:.1%} of {tried.rows:,} rows{moved}"


def _document(project: Project, name: str, found: list[Deployment]) -> dict[str, Any]:
    return {
        "deployments": [dict(_fields(project, project.deployments.get(one.number))) for one in found],
        "services": [asdict(one) for one in services(project.records, now=project.clock(), name=name)],
    }


def _fields(project: Project, deployment: Deployment) -> Iterator[tuple[str, Any]]:
    yield from asdict(deployment).items()
    tried, usual = project.deployments.tallies(deployment)
    yield from (("tried", asdict(tried)), ("usual", asdict(usual)))


def _clock(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%H:%M:%S")


def _colour(state: str) -> str:
    return {"done": "succeeded", "rolled-back": "failed", "stopped": "cancelled"}.get(state, "running")
