"""``filiera experiment sync``."""

from __future__ import annotations

import argparse

from filiera.cli.experiment_names import named
from filiera.cli.output import print_json
from filiera.experiments.place import Place
from filiera.experiments.syncing import sync


def run(options: argparse.Namespace) -> int:
    """Bring an experiment up to date with its target."""
    place = Place(profile=options.profile)
    name = named(place, options.name)
    done = sync(place, name)
    if options.json:
        print_json({"experiment": name, "base": done.record.base, "is_changed": done.is_changed})
        return 0
    target = done.record.target.removeprefix("refs/heads/")
    if not done.is_changed:
        print(f"experiment {name} is up to date with {target}")
        return 0
    print(f"experiment {name} has {target} at {done.record.base[:12]} now")
    for dataset, number in done.record.pins.items():
        print(f"dataset {dataset}@{number}")
    print("\nnext:")
    for again in [run.again for run in done.runs] or [f"filiera experiment run {name}"]:
        print(f"  {again}")
    return 0
