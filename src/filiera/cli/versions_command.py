"""``filiera versions``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.collected import sources_of
from filiera.cli.output import how_big, print_json, print_table, when
from filiera.cli.places import find_version
from filiera.cli.runs_command import check_limit
from filiera.cli.show_command import version_data
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.versions import Version


def run(options: argparse.Namespace) -> int:
    """Print versions of products, newest first."""
    check_limit(options.limit)
    project = Project.open(profile=options.profile)
    kind = project.versions.kind_of(options.name) if options.name else ""
    if options.moves:
        return _print_moves(project, kind, options)
    before = find_version(project, options.before) if options.before else None
    found = project.versions.find(kind=kind, name=options.name, before=before, limit=options.limit)
    if options.json:
        print_json([version_data(project, version) for version in found])
    elif found:
        header = ["version", "kind", "aliases", "content", "size", "what", "from", "run", "published"]
        print_table(header, [_row(project, version) for version in found], right=("size",))
    else:
        print("There are no older versions." if before else "Nothing is published yet.")
    if len(found) == options.limit and not options.json:
        name = f" {options.name}" if options.name else ""
        print(f"older: filiera versions{name} --limit {options.limit} --before {found[-1].ref}")
    return 0


def _print_moves(project: Project, kind: str, options: argparse.Namespace) -> int:
    """Print how the aliases of a product were moved, the newest move first."""
    if not options.name:
        raise UsageError("--moves needs the name of a dataset or model.", do="filiera versions NAME --moves")
    moves = project.versions.moves(kind, options.name)[: options.limit]
    if options.json:
        print_json([asdict(move) for move in moves])
    elif moves:
        rows = [[when(move.at), move.alias, move.told, move.by, move.reason] for move in moves]
        print_table(["when", "alias", "moved", "by", "why"], rows)
    else:
        print(f"No alias of {options.name} was ever set.  Do:  filiera promote {options.name}@NUMBER ALIAS")
    return 0


def _row(project: Project, version: Version) -> list[str]:
    return [
        version.ref,
        version.kind,
        ", ".join(version.aliases),
        version.artifact.short,
        how_big(project.size_of(version.artifact)),
        _what(version),
        sources_of(project, version),
        version.run_id,
        when(version.created_at),
    ]


def _what(version: Version) -> str:
    description = version.description
    if version.kind == "dataset":
        return f"{description['rows']:,} rows × {len(description['columns'])} columns"
    name, metric = next(iter(description["metrics"].items()), ("", None))
    return f"{name} {metric['value']:.4f} ({metric['low']:.4f}…{metric['high']:.4f})" if metric else ""
