"""``filiera experiment list``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from filiera.cli.compared import Asked, Compared, drop_columns, estimate, shown
from filiera.cli.output import print_json, print_table, when
from filiera.errors import UsageError
from filiera.experiments.listing import Listed, list_accepted, list_experiments
from filiera.experiments.place import Place

_METRICS = 3
"""So many are shown at most where none are asked for."""


def run(options: argparse.Namespace) -> int:
    """Print the experiments, or those that were accepted, or those in the archive."""
    if options.accepted and options.archived:
        raise UsageError("Which ones?", do="Say --accepted or --archived.")
    place = Place(profile=options.profile)
    if options.archived:
        return _print_archive(place, as_json=options.json)
    if options.accepted:
        return _print_accepted(place, as_json=options.json)
    found = list_experiments(place)
    compared = _compared(found, options)
    if options.json:
        print_json([each.data for each in compared.found])
    elif not found:
        print("No experiments. filiera experiment start NAME begins one.")
    else:
        _print(compared, is_chosen=bool(options.columns))
    return 0


def _compared(found: Sequence[Listed], options: argparse.Namespace) -> Compared[Listed]:
    """Return experiments in the order asked for, with columns of metrics and parameters. Raises UsageError."""
    metrics = {name: one for each in found for name, one in each.summary.metrics.items()}
    descending = frozenset(name for name, one in metrics.items() if one["greater_is_better"])
    columns = options.columns or _main_metrics(found, options.sort)
    asked = Asked(columns=columns, sort=options.sort, what="experiments", descending=descending)
    return Compared(found, _values, asked)


def _values(each: Listed) -> Mapping[str, Any]:
    return {**{name: one["value"] for name, one in each.summary.metrics.items()}, **each.summary.parameters}


def _main_metrics(found: Sequence[Listed], sort: str) -> str:
    """Return the names of the metrics that gates decide on, or else of a few."""
    known = dict.fromkeys(name for each in found for name in each.summary.metrics)
    gated = dict.fromkeys(name for each in found for name in each.summary.gated if name in known)
    return ",".join(name for name in list(gated or known)[:_METRICS] if name != sort.removeprefix("-"))


def _print(compared: Compared[Listed], *, is_chosen: bool) -> None:
    """Print the table; on a screen that is too narrow, without what is needed least."""
    found = compared.found
    cells = [_cells(each, compared.values(each)) for each in found]
    columns = {
        "experiment": [each.name for each in found],
        "state": [each.state for each in found],
        **{name: [row[place] for row in cells] for place, name in enumerate(compared.names)},
        "runs": [str(each.summary.runs) for each in found],
        "ahead": ["" if each.standing is None else str(each.standing.ahead) for each in found],
        "behind": ["" if each.standing is None else str(each.standing.behind) for each in found],
        "newest": [each.summary.newest for each in found],
        "started": [when(each.summary.started_at) for each in found],
    }
    further = [] if is_chosen else compared.names[:0:-1]
    dropped = drop_columns(columns, [*further, "started", "newest", "runs", "ahead", "behind"])
    print_table(list(columns), list(zip(*columns.values(), strict=True)), right=("runs", "ahead", "behind"))
    if dropped:
        print(f"The screen is too narrow for: {', '.join(dropped)}.")


def _cells(each: Listed, values: Mapping[str, Any]) -> list[str]:
    metrics = each.summary.metrics
    return [estimate(metrics[name]) if name in metrics else shown(value) for name, value in values.items()]


def _print_accepted(place: Place, *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = [
        {
            "experiment": name,
            "commit": each.name,
            "accepted_at": each.at,
            **{key.lower(): list(each.trailers.get(key, ())) for key in ("Run", "Metrics", "Dataset")},
        }
        for each in list_accepted(place)
        for name in each.trailers["Experiment"]
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        print("No experiment was accepted yet.")
    else:
        columns = {
            "experiment": [str(row["experiment"]) for row in rows],
            "accepted": [when(row["accepted_at"]) for row in rows],
            "commit": [row["commit"][:12] for row in rows],
            "run": [", ".join(row["run"]) for row in rows],
            "metrics": ["; ".join(row["metrics"]) for row in rows],
        }
        drop_columns(columns, ["metrics", "run"])
        print_table(list(columns), list(zip(*columns.values(), strict=True)))
    return 0


def _print_archive(place: Place, *, as_json: bool) -> int:
    rows = [(name, commit) for name, refs in place.archived().items() for commit in refs.values()]
    if as_json:
        print_json([{"experiment": name, "commit": commit} for name, commit in rows])
    elif rows:
        print_table(["experiment", "commit"], [[name, commit[:12]] for name, commit in rows])
    else:
        print("The archive is empty.")
    return 0
