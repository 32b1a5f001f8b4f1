"""``filiera gc``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import how_big, print_json, print_table
from filiera.cli.ticker import Ticker
from filiera.core.products import ProductRef
from filiera.experiments.needs import needs_of
from filiera.project.project import Project
from filiera.project.upkeep.garbage import Removed, collect, drop_version
from filiera.project.upkeep.old_versions import old_versions
from filiera.project.upkeep.retention import Retention

_MEANING = {
    "predictions": "predictions that are older, or more, than [predictions] keeps",
    "runs": "runs that are old and not among the newest",
    "logs": "what their steps printed",
    "results": "cached results that no kept run used",
    "values": "small values in the records",
    "code": "descriptions of code that no kept run had",
    "checkpoints": "what steps had kept that will not go on",
    "metrics": "what steps had logged that were killed",
    "studies": "notes of studies that nobody went on with",
    "blobs": "larger values, as files",
    "scratch": "unfinished files of killed processes",
}


def run(options: argparse.Namespace) -> int:
    """Let go of what no kept run or version needs, or say what that would be."""
    project = Project.open(profile=options.profile)
    rules = project.config.profile
    needs = needs_of(project)
    retention = Retention(
        keep_days=rules.keep_days if options.keep_days is None else options.keep_days,
        keep_runs=rules.keep_runs if options.keep_runs is None else options.keep_runs,
        grace_s=options.grace_hours * 3600.0,
        runs=frozenset(needs.runs),
    )
    versions = [ProductRef.parse(text) for text in options.drop]
    for ref in versions:
        needs.require_unneeded(project.versions.get(project.versions.kind_of(ref.name), ref).ref)
    keep = options.keep_versions
    old = [] if keep is None else old_versions(project, keep, needs.versions)
    versions += [ProductRef(version.name, str(version.number)) for version in old]
    if not options.dry_run:
        for version in versions:
            drop_version(project, version)
    removed = collect(project, retention, dry_run=options.dry_run, tell=Ticker())
    if options.json:
        print_json(_data(removed, versions, dry_run=options.dry_run))
    else:
        if versions:
            print(f"{'would forget' if options.dry_run else 'forgot'} {', '.join(map(str, versions))}")
        _print(removed, dry_run=options.dry_run)
    return 0


def _data(removed: Removed, versions: list[ProductRef], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "versions": [str(version) for version in versions],
        "removed": {kind: asdict(amount) for kind, amount in removed.amounts.items()},
        "size_bytes": removed.size_bytes,
        "live": list(removed.live),
    }


def _print(removed: Removed, *, dry_run: bool) -> None:
    rows = [
        [kind, f"{amount.count:,}", how_big(amount.size_bytes) if amount.size_bytes else "", _MEANING[kind]]
        for kind, amount in removed.amounts.items()
    ]
    print_table(["kind", "count", "size", "what"], rows, right=("count", "size"))
    total = f"{how_big(removed.size_bytes)}"
    print(f"would free {total}; nothing was changed" if dry_run else f"freed {total}")
    if removed.live:
        others = f" and {len(removed.live) - 3} more" if len(removed.live) > 3 else ""
        print(f"{', '.join(removed.live[:3])}{others} under way: results, values and code stay until a quiet moment")
