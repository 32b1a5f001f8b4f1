"""``filiera show``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from filiera.cli.output import how_big, how_long, print_facts, print_json, print_table, when
from filiera.cli.places import find_run, find_step
from filiera.cli.run_command import told
from filiera.core.artifact import ArtifactRef
from filiera.core.products import ProductRef
from filiera.core.report import Html, Markdown, Svg
from filiera.engine.rows import read_refs
from filiera.errors import UsageError
from filiera.ports import Row
from filiera.project.launch import shown_state
from filiera.project.project import Project
from filiera.project.versions import Version


def run(options: argparse.Namespace) -> int:
    """Print a run, a step of a run, or a version."""
    project = Project.open(profile=options.profile)
    if "@" in options.what:
        ref = ProductRef.parse(options.what)
        _show_version(project.versions.resolve(project.versions.kind_of(ref.name), ref), options.json)
        return 0
    row, step = find_run(project, options.what)
    if step:
        project.pipeline(row["pipeline"])  # values of the project's own classes can be read once its code is loaded
        _show_step(project, find_step(project, row, step), options)
    else:
        _show_run(project, row, options.json)
    return 0


def _show_run(project: Project, row: Row, as_json: bool) -> None:
    steps = project.records.read("steps_of_run", {"run_id": row["run_id"]})
    record = json.loads(row["record"])
    facts: dict[str, Any] = {
        "run": row["run_id"],
        "pipeline": f"{row['pipeline']} ({row['kind']})",
        "state": shown_state(project, row),
        "message": row["failure"],
        "started": when(row["started_at"]),
        "took": how_long(row["finished_at"] - row["started_at"]) if row["finished_at"] else "",
        "parameters": row["parameters"],
        "inputs": ", ".join(f"{name} = {origin}" for name, origin in record["inputs"].items()),
        "commit": record["commit"] + (" with uncommitted changes" if record["is_dirty"] else ""),
        "published": ", ".join(json.loads(row["outcome"]).get("published", ())),
    }
    if as_json:
        print_json({**facts, "steps": [_step_data(step) for step in steps]})
        return
    print_facts({name: value for name, value in facts.items() if value})
    print()
    table = [
        [
            step["step"],
            step["stage"],
            step["state"],
            how_long(step["duration_s"]) if step["state"] != "hit" else "",
            how_big(sum(ref.size_bytes for ref in _refs(project, step))) if step["outputs"] else "",
            _short(step["reason"]),
        ]
        for step in steps
    ]
    print_table(["step", "stage", "state", "took", "output", "why"], table, right=("took", "output"))
    for step in steps:
        if step["failure"]:
            failure = json.loads(step["failure"])
            print(f"\nstep {step['step']} failed ({failure['kind']})")
            print(told(failure["error"], failure["message"], failure["traceback"]))


def _show_step(project: Project, step: Row, options: argparse.Namespace) -> None:
    refs = _refs(project, step)
    if options.open:
        _write(project, refs, Path(options.open))
        return
    if options.json:
        print_json(_step_data(step))
        return
    facts = {"step": step["step"], "state": step["state"], "why": step["reason"], "took": how_long(step["duration_s"])}
    print_facts(facts)
    for index, ref in enumerate(refs):
        print(f"\noutput {index}  {ref.codec}  {how_big(ref.size_bytes)}  {ref.digest}")
        print(_preview(project.value(ref)))


def _show_version(version: Version, as_json: bool) -> None:
    if as_json:
        print_json(version_data(version))
        return
    facts: dict[str, Any] = {
        version.kind: version.ref,
        "aliases": ", ".join(version.aliases),
        "published": f"{when(version.created_at)} by {version.run_id}",
        "content": f"{version.artifact.digest} ({version.artifact.codec}, {how_big(version.artifact.size_bytes)})",
        "made from": ", ".join(f"{name} = {origin}" for name, origin in version.inputs.items()),
    }
    print_facts({name: value for name, value in facts.items() if value})
    for name, value in version.description.items():
        if name == "metrics":
            rows = [[m, f"{v['value']:.4f}", f"{v['low']:.4f}", f"{v['high']:.4f}", v["n"]] for m, v in value.items()]
            print()
            print_table(["metric", "value", "low", "high", "rows"], rows, right=("value", "low", "high", "rows"))
        elif name == "columns":
            print()
            print_table(["column", "type"], list(value.items()))
        else:
            print(f"{name}: {value}")


def version_data(version: Version) -> dict[str, Any]:
    """Return a version as JSON data."""
    return {
        "kind": version.kind,
        "name": version.name,
        "version": version.number,
        "aliases": list(version.aliases),
        "digest": version.artifact.digest,
        "codec": version.artifact.codec,
        "size_bytes": version.artifact.size_bytes,
        "run": version.run_id,
        "created_at": version.created_at,
        "inputs": dict(version.inputs),
        "description": dict(version.description),
    }


def _refs(project: Project, step: Row) -> tuple[ArtifactRef, ...]:
    return read_refs(step["outputs"], project.versions.inline)


def _step_data(step: Row) -> dict[str, Any]:
    failure = json.loads(step["failure"]) if step["failure"] else None
    return {
        "step": step["step"],
        "stage": step["stage"],
        "state": step["state"],
        "attempt": step["attempt"],
        "duration_s": step["duration_s"],
        "reason": step["reason"],
        "key": step["key"],
        "outputs": step["outputs"].split(";") if step["outputs"] else [],
        "failure": failure,
    }


def _preview(value: Any) -> str:
    text = value.text if isinstance(value, Html | Markdown | Svg) else str(value)
    return text if len(text) <= 2000 else text[:2000] + f"\n… {len(text) - 2000:,} characters more"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _write(project: Project, refs: tuple[ArtifactRef, ...], file: Path) -> None:
    if not refs:
        raise UsageError("The step has no output to write.")
    value = project.value(refs[0])
    content = value.text if isinstance(value, Html | Markdown | Svg) else str(value)
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
    print(f"wrote {file}")
