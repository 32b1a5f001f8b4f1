"""``filiera explain``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_facts, print_json, print_table, shortened
from filiera.cli.places import find_run, find_step
from filiera.core import plain
from filiera.core.key import KeyParts
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
    facts = {"run": step["run_id"], "step": step["step"], "state": step["state"], "why": step["reason"]}
    print_facts({**facts, "key": step["key"]})
    print()
    rows = _arguments(parts)
    rows += [[kind, name, digest[:12]] for kind, name, digest in code]
    print_table(["part of the key", "name", "value or digest"], rows)


def _arguments(parts: KeyParts) -> list[list[str]]:
    """Return the lines of the parameters and inputs; an argument that is nothing but an input is named with it."""
    inputs = {plain.encode(plain.Placeholder(index)): given for index, given in enumerate(parts.inputs)}
    rows = []
    for name, value in parts.arguments.items():
        if value in inputs:
            origin, identity = inputs.pop(value)
            rows.append(["input", f"{name} = {origin}", _brief(identity)])
        else:
            rows.append(["parameter", name, shortened(value.decode(), 60)])
    return rows + [["input", origin, _brief(identity)] for origin, identity in inputs.values()]


def _brief(identity: str) -> str:
    codec, _, digest = identity.rpartition(":")
    return f"{codec}:{digest[:12]}"
