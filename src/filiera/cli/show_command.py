"""``filiera show``."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filiera.cli import collected, fits
from filiera.cli.outline import outline, parent_of
from filiera.cli.output import counted, how_big, how_long, print_facts, print_json, print_table, shortened, when
from filiera.cli.places import find_run, find_step, find_version
from filiera.cli.previews import preview_of, write_file
from filiera.cli.questions import print_question
from filiera.cli.run_command import told
from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.check import CheckReport
from filiera.core.runstate import DONE
from filiera.engine.rows import read_refs
from filiera.errors import FilieraError, StoreError, UsageError
from filiera.ports import Row
from filiera.project.approvals import questions
from filiera.project.collecting import collected_by_run, collected_for
from filiera.project.origin import parameters_of as parameters_of_versions
from filiera.project.project import Project
from filiera.project.runs import shown_state
from filiera.project.storage import storage_of
from filiera.project.versions import Version

_LISTED = 500
"""A table of a run has so many steps at most."""
_FAILURES = 20
"""So many failures are shown at most."""
_CHILDREN = 50
"""Of what a step has become, so much is listed."""
_TIMED = ("succeeded", "failed", "rejected", "retrying", "caught")
"""States of steps whose duration says something."""


def run(options: argparse.Namespace) -> int:
    """Print a run, a step of a run, or a version."""
    project = Project.open(profile=options.profile)
    if "@" in options.what:
        _show_version(project, find_version(project, options.what, to_use=bool(options.open)), options)
        return 0
    row, step = find_run(project, options.what)
    if step:
        _import_code(project, row["pipeline"])
        _show_step(project, row, find_step(project, row, step), options)
    elif options.open:
        raise UsageError(
            "--open writes the output of one step.", do=f"filiera show {options.what}/STEP --open {options.open}"
        )
    else:
        _show_run(project, row, options.json)
    return 0


def _import_code(project: Project, pipeline: str) -> None:
    """Load the project's code, whose own classes a stored value may have; most values do without."""
    with suppress(FilieraError):  # a run can be looked at when its pipeline is gone or broken
        project.pipeline(pipeline)


def _show_run(project: Project, row: Row, as_json: bool) -> None:
    run_id = row["run_id"]
    data = run_data(project, row)
    if as_json:
        steps = project.records.read("steps_of_run", {"run_id": run_id})
        names = {step["step"] for step in steps}
        listed = [{**_step_data(step, data["state"]), "parent": parent_of(step["step"], names)} for step in steps]
        found = collected_by_run(project, run_id)
        sources = {name: {**collected.as_data(one), "digest": ref.digest} for name, (one, ref) in found.items()}
        print_json({**data, "steps": listed, "collected": sources})
        return
    facts: dict[str, Any] = {
        "run": data["run"],
        "pipeline": f"{data['pipeline']} ({data['kind']})",
        "state": data["state"],
        "message": data["message"],
        "started": when(data["started_at"]),
        "took": how_long(data["finished_at"] - data["started_at"]) if data["finished_at"] else "",
        "parameters": _pairs(data["parameters"]),
        "inputs": _pairs(data["inputs"]),
        "commit": _commit(data["commit"], data["is_dirty"]),
        "published": ", ".join(data["published"]),
        "proven": _proven(project, run_id),
    }
    print_facts({name: value for name, value in facts.items() if value})
    print()
    _print_steps(project, run_id, data["state"])
    collected.print_table_of(project, row)
    failed = project.records.read("failed_steps_of_run", {"run_id": run_id, "limit": _FAILURES + 1})
    for step in failed[:_FAILURES]:
        failure = json.loads(step["failure"])
        print(f"\nstep {step['step']} {_failed(step)} ({failure['kind']})")
        print(told(failure["error"], failure["message"], failure["traceback"]))
    if len(failed) > _FAILURES:
        print(f"\n… and more: filiera show {run_id} --json")
    if data["state"] == "waiting":
        _import_code(project, row["pipeline"])
        for question in questions(project, row)[:_FAILURES]:
            print_question(project, question)


def _print_steps(project: Project, run_id: str, run_state: str) -> None:
    lines = list(outline(project.records.read("steps_in_brief", {"run_id": run_id})))
    table = []
    for line in lines[:_LISTED]:
        if line.row is None:
            table.append([line.name, "", "", "", "", counted(line.counts)])
            continue
        step = project.records.read("get_step_run", {"run_id": run_id, "step": line.row["step"]})[0]
        took, output = _took(step), how_big(sum(map(project.size_of, read_refs(step["outputs"]))))
        output = output if step["outputs"] else ""
        table.append([line.name, step["stage"], _state(step, run_state), took, output, shortened(step["reason"], 80)])
    print_table(["step", "stage", "state", "took", "output", "why"], table, right=("took", "output"))
    if len(lines) > _LISTED:
        print(f"… {len(lines) - _LISTED:,} more: filiera show {run_id} --json, or filiera show {run_id}/STEP")
    first = next((line.folded[0]["step"] for line in lines if line.row is None), "")
    if first:
        print(f"one of many: filiera show {shlex.quote(f'{run_id}/{first}')}")


def _took(step: Row) -> str:
    return how_long(step["duration_s"]) if step["state"] in _TIMED else ""


def _failed(step: Row) -> str:
    return "failed, caught" if step["state"] == "caught" else "failed"


def run_data(project: Project, row: Row) -> dict[str, Any]:
    """Return a recorded run as JSON data."""
    record = json.loads(row["record"])
    return {
        "run": row["run_id"],
        "pipeline": row["pipeline"],
        "kind": row["kind"],
        "state": shown_state(project, row),
        "message": row["failure"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "steps_total": row["steps_total"],
        "steps_done": row["steps_done"],
        "steps_hit": row["steps_hit"],
        "parameters": parameters_of(row),
        "inputs": record["inputs"],
        "commit": record["commit"],
        "is_dirty": record["is_dirty"],
        "published": json.loads(row["outcome"]).get("published", []),
    }


def parameters_of(row: Row) -> Any:
    """Return the parameters of a recorded run by name; a value of a class that is not loaded as its JSON."""
    text = row["parameters"]
    try:
        return plain.decode(text.encode())
    except ValueError:  # a value of the project's own class, whose code is not loaded: its JSON says enough
        return json.loads(text)


def _show_step(project: Project, run: Row, step: Row, options: argparse.Namespace) -> None:
    refs = _refs(project, step)
    asked = [one for one in questions(project, run) if one.step == step["step"]] if step["state"] == "waiting" else []
    if options.open:
        values = refs or tuple(question.artifact for question in asked)
        if not values:
            raise UsageError(f"Step {step['step']} of {run['run_id']} has no output to write.")
        write_file(project, values[0], Path(options.open))
        print(f"wrote {options.open}")
        return
    state = shown_state(project, run)
    if options.json:
        print_json(_step_data(step, state))
        return
    facts = {"run": run["run_id"], "step": step["step"], "state": _state(step, state), "why": step["reason"]}
    facts["took"] = _took(step)
    print_facts({name: value for name, value in facts.items() if value})
    if step["failure"]:
        failure = json.loads(step["failure"])
        print(f"\n{told(failure['error'], failure['message'], failure['traceback'])}")
    for index, ref in enumerate(refs):
        print(f"\noutput {index}  {ref.codec}  {how_big(project.size_of(ref))}  {ref.digest}")
        print(preview_of(project, ref))
    for question in asked:
        print_question(project, question)
    _print_children(project, run["run_id"], step["step"])


def _print_children(project: Project, run_id: str, step: str) -> None:
    rows = project.records.read("steps_in_brief", {"run_id": run_id})
    names = {row["step"] for row in rows}
    children = [row for row in rows if row["step"].startswith(step) and parent_of(row["step"], names) == step]
    if not children:
        return
    counts = counted(Counter(row["state"] for row in children))
    print(f"\nit became {len(children):,} steps: {counts}")
    first = sorted(children, key=lambda row: row["state"] in DONE)[:_CHILDREN]
    shown = [[row["step"], row["stage"], row["state"], shortened(row["reason"], 80)] for row in first]
    print_table(["step", "stage", "state", "why"], shown)
    if len(children) > _CHILDREN:
        last = shlex.quote(f"{run_id}/{children[-1]['step']}")
        print(f"… {len(children) - _CHILDREN:,} more, up to: filiera show {last}")


def _show_version(project: Project, version: Version, options: argparse.Namespace) -> None:
    if options.open:
        write_file(project, version.artifact, Path(options.open))
        print(f"wrote {options.open}")
        return
    if options.json:
        print_json(versions_data(project, [version])[0])
        return
    description = dict(version.description)
    metrics, columns = description.pop("metrics", {}), description.pop("columns", {})
    description.pop("about", None)  # many lines, which the card shows
    facts: dict[str, Any] = {
        version.kind: version.ref,
        "aliases": ", ".join(version.aliases),
        "published": f"{when(version.created_at)} by {version.run_id}",
        "content": f"{version.artifact.digest} ({version.artifact.codec})",
        "size": _stored(project, version),
        "made from": _pairs(version.inputs),
        "commit": _commit_of_run(project, version.run_id),
        "collected": collected.told(project, version),
        "proven": _proven(project, version.run_id),
        **{name: _plainly(value) for name, value in description.items()},
        "onnx": fits.export_of(project, version),
    }
    print_facts({name: value for name, value in facts.items() if value})
    _print_failed_checks(project, version)
    if metrics:
        rows = [[m, f"{v['value']:.4f}", f"{v['low']:.4f}", f"{v['high']:.4f}", v["n"]] for m, v in metrics.items()]
        print()
        print_table(["metric", "value", "low", "high", "rows"], rows, right=("value", "low", "high", "rows"))
    if "fit" in version.attachments:
        fits.print_fit(project.value(version.attachments["fit"]))
    if columns:
        print()
        print_table(["column", "type"], list(columns.items()))


def _stored(project: Project, version: Version) -> str:
    found = None
    with suppress(StoreError):  # what is lost cannot be counted; whoever needs it will say so
        found = storage_of(project, version)
    if found is None:
        return how_big(project.size_of(version.artifact))
    files = f"{how_big(found.size_bytes)} in {found.files:,} {'file' if found.files == 1 else 'files'}"
    if not found.shared_bytes:
        return files
    return f"{files}, {found.shared_bytes / found.size_bytes:.0%} of it stored already with {found.before}"


def _commit_of_run(project: Project, run_id: str) -> str:
    rows = project.records.read("get_run", {"run_id": run_id})
    record = json.loads(rows[0]["record"]) if rows else {}
    return _commit(record.get("commit", ""), record.get("is_dirty"))


def _print_failed_checks(project: Project, version: Version) -> None:
    """Print the checks that failed and did not stop the version."""
    if sum(version.description.get("checks", {}).values()) == version.description.get("checks", {}).get("passed", 0):
        return
    report: CheckReport = project.value(version.attachments["report"])
    for result in report.failed:
        print(f"{result.severity}: {result.name}: {result.reason}")


def _proven(project: Project, run_id: str) -> str:
    """Return when a run was last made again with equal outputs, by whom; '' when it never was."""
    rows = project.records.read("proofs_of_run", {"run_id": run_id})
    return f"{when(rows[0]['at'])} by {rows[0]['by']}" if rows else ""


def _commit(commit: str, is_dirty: bool | None) -> str:
    changes = " with uncommitted changes" if is_dirty else ""
    return f"{commit or 'none yet'}{changes}" if commit or is_dirty else ""


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _plainly(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{count:,} {name}" for name, count in value.items() if count)
        case list():
            return "; ".join(map(str, value))
        case int():
            return f"{value:,}"
    return str(value)


def versions_data(project: Project, versions: Sequence[Version]) -> list[dict[str, Any]]:
    """Return versions as JSON data."""
    parameters = parameters_of_versions(project.records, versions)
    return [{**_version_data(project, version), "parameters": parameters[version.ref]} for version in versions]


def _version_data(project: Project, version: Version) -> dict[str, Any]:
    return {
        "kind": version.kind,
        "name": version.name,
        "version": version.number,
        "aliases": list(version.aliases),
        "digest": version.artifact.digest,
        "codec": version.artifact.codec,
        "size_bytes": project.size_of(version.artifact),
        "run": version.run_id,
        "created_at": version.created_at,
        "inputs": dict(version.inputs),
        "description": dict(version.description),
        **({"fit": fits.as_data(project.value(version.attachments["fit"]))} if "fit" in version.attachments else {}),
        **({"onnx": fits.export_of(project, version)} if "onnx" in version.attachments else {}),
        "collected": {name: collected.as_data(one) for name, one in collected_for(project, version).items()},
    }


def _refs(project: Project, step: Row) -> tuple[ArtifactRef, ...]:
    return read_refs(step["outputs"], project.versions.inline)


def _state(step: Row, run_state: str) -> str:
    """Return a step's state for people: what was running when the driver died is interrupted too."""
    return "interrupted" if run_state == "interrupted" and step["state"] in ("running", "retrying") else step["state"]


def _step_data(step: Row, run_state: str) -> dict[str, Any]:
    return {
        "step": step["step"],
        "stage": step["stage"],
        "state": _state(step, run_state),
        "attempt": step["attempt"],
        "duration_s": step["duration_s"],
        "reason": step["reason"],
        "key": step["key"],
        "outputs": [
            dict(zip(("digest", "codec", "size_bytes"), (digest, codec, int(size)), strict=True))
            for digest, codec, size in (item.split(" ") for item in step["outputs"].split(";") if item)
        ],
        "failure": json.loads(step["failure"]) if step["failure"] else None,
    }
