"""``filiera experiment list``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from filiera.cli.output import print_json, print_table, when
from filiera.experiments.listing import Listed, list_experiments
from filiera.experiments.place import Place

_SHOWN = 3


def run(options: argparse.Namespace) -> int:
    """Print the experiments, or those in the archive."""
    place = Place(profile=options.profile)
    if options.archived:
        return _print_archive(place, as_json=options.json)
    found = list_experiments(place)
    if options.json:
        print_json([each.data for each in found])
    elif not found:
        print("No experiments. filiera experiment start NAME begins one.")
    else:
        names = [name for name in options.metric.split(",") if name] or _first_metrics(found)
        header = ["experiment", "started", "runs", "newest", "state", *names]
        print_table(header, [_row(each, names) for each in found], right=["runs"])
    return 0


def _first_metrics(found: Sequence[Listed]) -> list[str]:
    names = dict.fromkeys(name for each in found if each.newest for name in each.newest.metrics)
    return list(names)[:_SHOWN]


def _row(each: Listed, names: Sequence[str]) -> list[object]:
    newest = each.newest
    metrics = [None if newest is None else newest.metric(name) for name in names]
    return [
        each.name,
        "" if each.start is None else when(each.start.at),
        len(each.runs),
        "" if newest is None else newest.run_id,
        "" if newest is None else newest.status,
        *("" if one is None else f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for one in metrics),
    ]


def _print_archive(place: Place, *, as_json: bool) -> int:
    rows = [(name, commit) for name, refs in place.archived().items() for commit in refs.values()]
    if as_json:
        print_json([{"experiment": name, "commit": commit} for name, commit in rows])
    elif rows:
        print_table(["experiment", "commit"], [[name, commit[:12]] for name, commit in rows])
    else:
        print("The archive is empty.")
    return 0
