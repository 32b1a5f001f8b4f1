"""``filiera explain``."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator

from filiera.cli.outline import Line, outline
from filiera.cli.output import counted, print_facts, print_json, print_table, shortened
from filiera.cli.places import find_run, find_step
from filiera.core import plain
from filiera.core.key import without_inputs
from filiera.core.value import dataclass
from filiera.engine.rows import read_key_parts
from filiera.ports import Row
from filiera.project.project import Project

_LISTED = 500
_LONGEST_VALUE = 60
_INPUTS_SHOWN = 50
_VERSIONED = ("distribution", "python")


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a cache key."""

    kind: str  #: parameter, input, function, constant, distribution, …
    name: str
    value: str  #: a version, a plain value, or a digest


def run(options: argparse.Namespace) -> int:
    """Print why each step of a run ran or not; for one step, all that its cache key is made of, and what changed."""
    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    if step:
        _explain_step(project, row, find_step(project, row, step), options.json)
        return 0
    if options.json:
        steps = project.records.read("steps_of_run", {"run_id": row["run_id"]})
        print_json([{"step": s["step"], "state": s["state"], "reason": s["reason"], "key": s["key"]} for s in steps])
        return 0
    print(f"{row['run_id']}:")
    lines = list(outline(project.records.read("steps_in_brief", {"run_id": row["run_id"]})))
    print_table(["step", "stage", "state", "why"], [_line(line) for line in lines[:_LISTED]])
    if len(lines) > _LISTED:
        print(f"… {len(lines) - _LISTED:,} more: filiera explain {row['run_id']} --json")
    return 0


def _line(line: Line) -> list[str]:
    if line.row is not None:
        return [line.name, line.row["stage"], line.row["state"], line.row["reason"]]
    reasons = Counter(row["reason"] for row in line.folded if row["state"] not in ("hit", "skipped")).most_common(2)
    told = "; ".join(f"{count:,} × {shortened(reason, _LONGEST_VALUE)}" for reason, count in reasons)
    return [line.name, "", "", f"{counted(line.counts)}{': ' * bool(told)}{told}"]


def _explain_step(project: Project, run: Row, step: Row, as_json: bool) -> None:
    if not step["key"]:
        if as_json:
            print_json({"step": step["step"], "state": step["state"], "reason": step["reason"], "key": ""})
        else:
            why = step["reason"] or "it is what the steps are that it became"
            print(f"{step['step']} is {step['state']}: {why}. Its key was never made.")
        return
    before = _before(project, run, step)
    parts, former = _parts(project, step), _parts(project, before) if before is not None else []
    changes = _changes(former, parts)
    if as_json:
        print_json({**_as_data(project, step), **_changes_as_data(before, changes)})
        return
    facts = {"run": step["run_id"], "step": step["step"], "state": step["state"], "why": step["reason"]}
    print_facts({**facts, "key": step["key"]})
    print()
    _print_parts(step, parts)
    if before is not None and changes:
        print(f"\nchanged since {before['run_id']}:")
        rows = [[kind, name, _shown(old), _shown(new)] for (kind, name), (old, new) in changes.items()]
        print_table(["part of the key", "name", "before", "now"], rows[:_LISTED])
        if len(rows) > _LISTED:
            print(f"… {len(rows) - _LISTED:,} more")


def _before(project: Project, run: Row, step: Row) -> Row | None:
    where = {name: run[name] for name in ("pipeline", "started_at", "run_id")}
    rows = project.records.read("step_run_before", {**where, "step": step["step"]})
    return rows[0] if rows else None


def _print_parts(step: Row, parts: list[_Part]) -> None:
    inputs = [part for part in parts if part.kind == "input"]
    hidden = set(inputs[_INPUTS_SHOWN:])
    rows = [[part.kind, part.name, _shown(part.value)] for part in parts if part not in hidden]
    rows += [["ignored", name, "does not count"] for name in json.loads(step["inputs"] or "{}").get("ignored", ())]
    print_table(["part of the key", "name", "value or digest"], rows)
    if hidden:
        print(f"… and {len(hidden):,} more inputs: filiera explain {step['run_id']}/{step['step']} --json")


def _parts(project: Project, step: Row) -> list[_Part]:
    """Return the parts of a step's key; an argument that is nothing but an input is named with it."""
    key = read_key_parts(step)
    inputs = {plain.encode(plain.Placeholder(index)): given for index, given in enumerate(key.inputs)}
    parts = []
    for name, value in key.arguments.items():
        if value in inputs:
            origin, identity = inputs.pop(value)
            parts.append(_Part("input", f"{name} = {origin}", identity))
        else:
            parts.append(_Part("parameter", name, without_inputs(value)))
    parts += [_Part("input", origin, identity) for origin, identity in inputs.values()]
    return (
        parts
        + [_Part("encoding", f"output {i}", codec) for i, codec in enumerate(key.codecs)]
        + list(_code(project, key.closure))
    )


def _code(project: Project, closure: str) -> Iterator[_Part]:
    for kind, name, digest in _closure(project, closure):
        if kind in _VERSIONED:
            name, _, version = name.rpartition(" ")
            yield _Part(kind, name, version)
        else:
            yield _Part(kind, name, digest)


def _closure(project: Project, digest: str) -> list[tuple[str, str, str]]:
    rows = project.records.read("get_closure", {"digest": digest})
    return project.code.show(rows[0]["parts"].encode()) if rows else []


def _changes(old: list[_Part], new: list[_Part]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return, by kind and name of each part that differs, what it was and what it is; '' where there is none."""
    if not old:
        return {}
    before, after = ({_identity(part): part for part in parts} for parts in (old, new))
    found = {}
    for identity in dict.fromkeys((*after, *before)):
        was, now = before.get(identity), after.get(identity)
        if was is None or now is None or was.value != now.value:
            found[identity] = _with_origin(was), _with_origin(now)
    return found


def _identity(part: _Part) -> tuple[str, str]:
    return part.kind, part.name.partition(" = ")[0]


def _with_origin(part: _Part | None) -> str:
    """Return a part's value; of an argument that is an input, behind where that comes from: "flows@3 parquet/1:…"."""
    if part is None:
        return ""
    origin = part.name.partition(" = ")[2]
    return f"{origin} {part.value}" if origin else part.value


def _shown(value: str) -> str:
    """Return a value, or the beginning of a digest, perhaps behind a codec."""
    codec, _, digest = value.rpartition(":")
    if len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
        return f"{codec}:{digest[:12]}" if codec else digest[:12]
    return shortened(value, _LONGEST_VALUE)


def _as_data(project: Project, step: Row) -> dict[str, object]:
    parts = read_key_parts(step)
    code = _closure(project, parts.closure)
    return {
        "step": step["step"],
        "state": step["state"],
        "reason": step["reason"],
        "key": step["key"],
        "parameters": {name: value.decode() for name, value in parts.arguments.items()},
        "inputs": [{"from": origin, "artifact": identity} for origin, identity in parts.inputs],
        "code": [{"kind": kind, "name": name, "digest": digest} for kind, name, digest in code],
    }


def _changes_as_data(before: Row | None, changes: dict[tuple[str, str], tuple[str, str]]) -> dict[str, object]:
    told = [{"kind": kind, "name": name, "old": old, "new": new} for (kind, name), (old, new) in changes.items()]
    return {"before": before["run_id"] if before is not None else None, "changes": told}
