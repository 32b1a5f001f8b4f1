"""``filiera versions``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from filiera.cli.collected import sources_of
from filiera.cli.compared import Asked, Compared, drop_columns, estimate, shown
from filiera.cli.output import how_big, print_json, print_table, when
from filiera.cli.places import find_version
from filiera.cli.runs_command import check_limit
from filiera.cli.show_command import versions_data
from filiera.errors import UsageError
from filiera.project.origin import parameters_of
from filiera.project.project import Project
from filiera.project.versions import Version

_ALL = 10_000_000
_METRICS = 3
"""So many are shown where none are asked for: first those that gates decide on."""


def run(options: argparse.Namespace) -> int:
    """Print versions of products, newest first, or the best."""
    check_limit(options.limit)
    for option in ("moves", "columns", "sort"):
        if getattr(options, option) and not options.name:
            raise UsageError(
                f"--{option} needs the name of a dataset or model.", do=f"filiera versions NAME --{option}"
            )
    project = Project.open(profile=options.profile)
    kind = project.versions.kind_of(options.name) if options.name else ""
    if options.moves:
        return _print_moves(project, kind, options)
    before = find_version(project, options.before) if options.before else None
    limit = _ALL if options.sort else options.limit
    found = project.versions.find(kind=kind, name=options.name, before=before, limit=limit)
    columns = options.columns or (_main_metrics(found, options.sort) if kind == "model" else "")
    compared = compared_versions(project, found, columns=columns, sort=options.sort)
    listed = compared.found[: options.limit]
    if options.json:
        print_json(versions_data(project, listed))
        return 0
    if not listed:
        print("There are no older versions." if before else "Nothing is published yet.")
    elif kind == "model":
        _print_models(listed, compared, is_chosen=bool(options.columns))
    else:
        header = ["version", "kind", "aliases", *compared.names, "content", "size", "what", "from", "run", "published"]
        lines = [_row(project, version, compared.cells(version)) for version in listed]
        print_table(header, lines, right=("size",))
    _print_how_to_go_on(options, listed, len(found))
    return 0


def compared_versions(project: Project, found: Sequence[Version], *, columns: str, sort: str) -> Compared[Version]:
    """Return versions in the order asked for, with columns of metrics and parameters.

    Raises:
        UsageError: None of them has a metric or parameter that is asked for.
    """
    metrics = {name: one for version in reversed(found) for name, one in _measured(version).items()}
    descending = frozenset(name for name, one in metrics.items() if one.get("greater_is_better", True))
    asked = Asked(columns=columns, sort=sort, what="versions", descending=descending)
    needs_no_more = {*columns.split(","), asked.by} - {""} <= metrics.keys()
    parameters = {} if needs_no_more else parameters_of(project.records, found)

    def values_of(version: Version) -> Mapping[str, Any]:
        values = {name: one["value"] for name, one in _measured(version).items()}
        return {**values, **parameters.get(version.ref, {})}

    return Compared(found, values_of, asked)


def _main_metrics(found: Sequence[Version], sort: str) -> str:
    """Return the names of a few metrics, first those that the gates of the newest version looked at."""
    newest: Version | None = next(iter(found), None)
    if newest is None:
        return ""
    metrics = _measured(newest)
    gated = [name for name in newest.description.get("gated", ()) if name in metrics]
    names = dict.fromkeys(name for name in (*gated, *metrics) if name != sort.removeprefix("-"))
    return ",".join(list(names)[:_METRICS])


def _measured(version: Version) -> Mapping[str, Any]:
    """Return what was measured of a version, by name; nothing of a dataset."""
    found: Mapping[str, Any] = version.description.get("metrics", {})
    return found


def _cells(version: Version, values: Mapping[str, Any]) -> list[str]:
    """Return what the columns show of a version: metrics with their intervals."""
    metrics = _measured(version)
    return [estimate(metrics[name]) if name in metrics else shown(value) for name, value in values.items()]


def _print_models(versions: Sequence[Version], compared: Compared[Version], *, is_chosen: bool) -> None:
    """Print versions of a model; on a screen that is too narrow, without what is needed least."""
    cells = [_cells(version, compared.values(version)) for version in versions]
    columns = {
        "version": [version.ref for version in versions],
        "aliases": [", ".join(version.aliases) for version in versions],
        **{name: [row[place] for row in cells] for place, name in enumerate(compared.names)},
        "gates": [_gates(version) for version in versions],
        "data": [", ".join(dict.fromkeys(version.inputs.values())) for version in versions],
        "run": [version.run_id for version in versions],
        "published": [when(version.created_at) for version in versions],
    }
    further = [] if is_chosen else compared.names[:0:-1]
    dropped = drop_columns(columns, ["run", *further, "published", "gates", "data", "aliases"])
    print_table(list(columns), list(zip(*columns.values(), strict=True)))
    if dropped:
        print(f"The screen is too narrow for: {', '.join(dropped)}.")


def _gates(version: Version) -> str:
    """Return how many gates a version passed; on which terms, if it did not pass them all."""
    passed, *more = version.description["gates"].split("; ")
    waived = " (waived)" if any(one.startswith("waived") for one in more) else ""
    return f"{passed.partition(' (')[0].replace(' gates passed', '')}{waived}"


def _print_how_to_go_on(options: argparse.Namespace, versions: Sequence[Version], found: int) -> None:
    """Print how to see more, if there may be more."""
    if options.sort and found > len(versions):
        print(f"the first {len(versions):,} of {found:,}")
    elif len(versions) == options.limit:
        words = ["filiera", "versions", *([options.name] if options.name else [])]
        words += ["--columns", options.columns] if options.columns else []
        print(f"older: {shlex.join([*words, '--limit', str(options.limit), '--before', versions[-1].ref])}")


def _print_moves(project: Project, kind: str, options: argparse.Namespace) -> int:
    """Print how the aliases of a product were moved, the newest move first."""
    moves = project.versions.moves(kind, options.name)[: options.limit]
    if options.json:
        print_json([asdict(move) for move in moves])
    elif moves:
        rows = [[when(move.at), move.alias, move.told, move.by, move.reason] for move in moves]
        print_table(["when", "alias", "moved", "by", "why"], rows)
    else:
        print(f"No alias of {options.name} was ever set.  Do:  filiera promote {options.name}@NUMBER ALIAS")
    return 0


def _row(project: Project, version: Version, compared: Sequence[str]) -> list[str]:
    return [
        version.ref,
        version.kind,
        ", ".join(version.aliases),
        *compared,
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
    if version.kind == "service":
        return ", ".join([*description["functions"], *description["models"]])
    name, metric = next(iter(_measured(version).items()), ("", {}))
    return f"{name} {estimate(metric)}" if name else ""
