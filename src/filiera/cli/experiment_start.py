"""``filiera experiment start``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.adapters.git_worktrees import count_files
from filiera.cli.output import print_json
from filiera.experiments.names import RECORDS
from filiera.experiments.place import Place
from filiera.experiments.starting import Beginning, start
from filiera.experiments.submodules import has_submodules

_MANY = 20_000
"""So many files take seconds to write."""


def run(options: argparse.Namespace) -> int:
    """Begin an experiment and say where its files are."""
    place = Place(profile=options.profile)
    only = [Path(folder) for folder in options.only]
    wanted = Beginning(base=options.base, dirty=options.dirty, into=options.into, only=only)
    started = start(place, options.name, wanted)
    record, folder = started.record, started.worktree / place.prefix
    if options.json:
        data = {"experiment": record.experiment, "branch": f"exp/{record.experiment}", "folder": str(folder)}
        print_json(
            {**data, "base": record.base, "target": record.target, "is_carried": record.is_carried, "only": record.only}
        )
        return 0
    came = ", with the changes that are not committed" if record.is_carried else ""
    print(f"started experiment {record.experiment} from {record.base[:12]}{came}")
    print(f"branch exp/{record.experiment}, to be merged into {record.target.removeprefix('refs/heads/')}")
    for dataset, number in record.pins.items():
        print(f"dataset {dataset}@{number}")
    if record.only:
        own = f"{place.prefix}{RECORDS}/{record.experiment}"
        folders = ", ".join(name for name in record.only if name != own) or "records"
        print(f"its folder has only {folders}, and the files above; the branch has all")
    elif (files := count_files(place.repository.at(started.worktree))) > _MANY:
        print(f"{files:,} files were written; those that it needs are written sooner: --only FOLDER")
    fill = "\n  git submodule update --init" if has_submodules(started.worktree) else ""
    print(f"\nnext:\n  cd {folder}{fill}\n  filiera experiment run")
    return 0
