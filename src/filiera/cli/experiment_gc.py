"""``filiera experiment gc``."""

from __future__ import annotations

import argparse

from filiera.cli.output import how_big, print_json, print_table
from filiera.errors import UsageError
from filiera.experiments.clearing import Cleared, clear
from filiera.experiments.names import ARCHIVE
from filiera.experiments.place import Place
from filiera.project.upkeep.retention import DAY_S


def run(options: argparse.Namespace) -> int:
    """Remove what has been in the archive for long, or say what that would be."""
    if not options.grace_days >= 0:
        raise UsageError(f"Days of grace must be 0 or more, not {options.grace_days}.")
    cleared = clear(Place(profile=options.profile), grace_s=options.grace_days * DAY_S, dry_run=options.dry_run)
    if options.json:
        print_json(_data(cleared, dry_run=options.dry_run))
        return 0
    rows = [
        [_name(ref), commit[:12], "would go" if options.dry_run else "gone"] for ref, commit in cleared.refs.items()
    ]
    rows += [[_name(ref), "", f"stays: {version} needs it"] for ref, version in cleared.kept.items()]
    if rows:
        print_table(["experiment", "commit", "state"], rows)
    if cleared.versions:
        what = "would forget" if options.dry_run else "forgot"
        print(f"{what} {', '.join(version.ref for version in cleared.versions)}")
        print(f"{how_big(cleared.size_bytes)} that nothing else has: filiera gc frees them when their runs go")
    if not cleared.refs and not cleared.versions:
        print(f"Nothing has been in the archive for {options.grace_days:g} days that could go.")
    return 0


def _name(ref: str) -> str:
    return ref.removeprefix(ARCHIVE).rpartition("/")[0]


def _data(cleared: Cleared, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "removed": [{"experiment": _name(ref), "ref": ref, "commit": one} for ref, one in cleared.refs.items()],
        "kept": [{"experiment": _name(ref), "ref": ref, "needed_by": one} for ref, one in cleared.kept.items()],
        "versions": [version.ref for version in cleared.versions],
        "size_bytes": cleared.size_bytes,
    }
