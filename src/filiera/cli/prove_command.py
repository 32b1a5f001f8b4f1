"""``filiera prove``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from filiera.cli.output import print_facts, print_json, print_table, when
from filiera.cli.places import find_run
from filiera.core.products import ProductRef
from filiera.ports import Row
from filiera.project.project import Project
from filiera.project.proving.prove import Proof, prove

DIVERGED = 8
"""The exit code of a proof that failed: the record was rebuilt, and a step returned something else."""


def run(options: argparse.Namespace) -> int:
    """Repeat the run behind a version in a clean place; 8 when an output differs from the record."""
    project = Project.open(profile=options.profile)
    named, row = _run_of(project, options.what)
    proof = prove(project, row, this_environment=options.this_environment, is_trusted=options.imported, tell=print)
    if options.json:
        print_json(_as_data(named, proof))
    else:
        _print(named, row, proof)
    return 0 if proof.is_proven else DIVERGED


def _run_of(project: Project, what: str) -> tuple[str, Row]:
    """Return what is proven, as people call it, and the run that made it. Raises UsageError."""
    if "@" not in what:
        row, _ = find_run(project, what)
        return row["run_id"], row
    ref = ProductRef.parse(what)
    version = project.versions.resolve(project.versions.kind_of(ref.name), ref)
    return version.ref, find_run(project, version.run_id)[0]


def _print(named: str, row: Row, proof: Proof) -> None:
    print_facts({"run": f"{proof.run_id} of {when(row['started_at'])}", **proof.told})
    print()
    cells = [
        [step.step, step.stage, _short(step.recorded), _short(step.proved), step.comparison] for step in proof.steps
    ]
    print_table(["step", "stage", "recorded", "now", "comparison"], cells)
    print()
    found = proof.divergence
    if found is None:
        compared = sum(step.comparison == "equal" for step in proof.steps)
        print(f"{named} is proven: {compared} steps, every output equal to the last byte.")
        return
    print(f"{named} is not proven: {found.step} is the first step that diverges.")
    print(f"Why: {found.why}")
    print(f"Do:  {found.do}")


def _short(digests: tuple[str, ...]) -> str:
    return " ".join(digest[:12] for digest in digests[:2]) + (" …" if len(digests) > 2 else "")


def _as_data(named: str, proof: Proof) -> dict[str, Any]:
    return {
        "proven": proof.is_proven,
        "what": named,
        "run": proof.run_id,
        **{name.replace(" ", "_"): words for name, words in proof.told.items()},
        "steps": [asdict(step) for step in proof.steps],
        "divergence": asdict(proof.divergence) if proof.divergence else None,
    }
