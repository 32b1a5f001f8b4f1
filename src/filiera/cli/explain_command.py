"""``filiera explain``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_facts, print_json, print_table
from filiera.cli.places import find_run, find_step
from filiera.engine.rows import read_key_parts
from filiera.ports import Row
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Print why each step of a run ran or not; for one step, all that its cache key is made of."""
    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    if step:
        _explain_step(project, find_step(project, row, step), options.json)
        return 0
    steps = project.records.read("steps_of_run", {"run_id": row["run_id"]})
    if options.json:
        print_json([{"step": s["step"], "state": s["state"], "reason": s["reason"], "key": s["key"]} for s in steps])
        return 0
    print(f"{row['run_id']}:")
    print_table(["step", "stage", "state", "why"], [[s["step"], s["stage"], s["state"], s["reason"]] for s in steps])
    return 0


def _explain_step(project: Project, step: Row, as_json: bool) -> None:
    if not step["key"]:
        print(f"{step['step']} is {step['state']}: {step['reason']}. Its key was never made.")
        return
    parts = read_key_parts(step)
    code = project.code.show(project.records.read("get_closure", {"digest": parts.closure})[0]["parts"].encode())
    if as_json:
        print_json(
            {
                "step": step["step"],
                "state": step["state"],
                "reason": step["reason"],
                "key": step["key"],
                "parameters": {name: value.decode() for name, value in parts.arguments.items()},
                "inputs": [{"from": origin, "artifact": identity} for origin, identity in parts.inputs],
                "code": [{"kind": kind, "name": name, "digest": digest} for kind, name, digest in code],
            }
        )
        return
    print_facts({"step": step["step"], "state": step["state"], "why": step["reason"], "key": step["key"]})
    print()
    rows = [["parameter", name, _short(value.decode())] for name, value in parts.arguments.items()]
    rows += [["input", origin, identity] for origin, identity in parts.inputs]
    rows += [[kind, name, digest[:12]] for kind, name, digest in code]
    print_table(["part of the key", "name", "value or digest"], rows)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
