"""``filiera feedback``."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from filiera.cli.output import print_json, print_table
from filiera.core.feedback import gathered, joined
from filiera.core.products import check_product_name
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions


def run(options: argparse.Namespace) -> int:
    """Print what became of a model's predictions: outcomes, actions, and how often its label was true."""
    project = Project.open(profile=options.profile)
    name = check_product_name(options.model, "model")
    told = gathered(plugins.feedback_log(project.store, name).read())
    versions: dict[int, Counter[str]] = {}
    actions: Counter[str] = Counter()
    for prediction, found in joined(Predictions(project, name).read(), told):
        counts = versions.setdefault(prediction["version"], Counter())
        counts["predictions"] += 1
        if found is None:
            continue
        actions.update(found.actions)
        if found.outcome_at is not None:
            counts["outcomes"] += 1
            counts["right"] += _is_right(prediction["outputs"], found.outcome)
            counts["judged"] += "label" in prediction["outputs"]
    if options.json:
        print_json(
            {
                "model": name,
                "versions": {str(number): dict(counts) for number, counts in sorted(versions.items())},
                "actions": dict(actions),
                "unknown": sorted(told),
            }
        )
        return 0
    rows = []
    for number, counts in sorted(versions.items()):
        right = f"{counts['right'] / counts['judged']:.1%}" if counts["judged"] else ""
        rows.append([f"{name}@{number}", f"{counts['predictions']:,}", f"{counts['outcomes']:,}", right])
    print_table(["version", "predictions", "with outcome", "label true"], rows, right=["predictions", "with outcome"])
    for action, count in actions.most_common():
        print(f"action {action}: {count:,}")
    if told:
        print(f"about predictions that this log does not have: {len(told):,}; they are kept")
    return 0


def _is_right(outputs: dict[str, Any], outcome: Any) -> bool:
    """Tell whether a label turned out true; an outcome of several fields has it under that name."""
    if isinstance(outcome, dict):
        outcome = outcome.get("label")
    return "label" in outputs and str(outputs["label"]) == str(outcome)
