"""``filiera experiment start``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.experiments.place import Place
from filiera.experiments.starting import start
from filiera.experiments.submodules import has_submodules


def run(options: argparse.Namespace) -> int:
    """Begin an experiment and say where its files are."""
    place = Place(profile=options.profile)
    started = start(place, options.name, base=options.base, dirty=options.dirty, into=options.into)
    record, folder = started.record, started.worktree / place.prefix
    if options.json:
        data = {"experiment": record.experiment, "branch": f"exp/{record.experiment}", "folder": str(folder)}
        print_json({**data, "base": record.base, "target": record.target, "is_carried": record.is_carried})
        return 0
    came = ", with the changes that are not committed" if record.is_carried else ""
    print(f"started experiment {record.experiment} from {record.base[:12]}{came}")
    print(f"branch exp/{record.experiment}, to be merged into {record.target.removeprefix('refs/heads/')}")
    for dataset, number in record.pins.items():
        print(f"dataset {dataset}@{number}")
    fill = "\n  git submodule update --init" if has_submodules(started.worktree) else ""
    print(f"\nnext:\n  cd {folder}{fill}\n  filiera experiment run")
    return 0
