"""``filiera experiment doctor``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.adapters.git_repository import Repository
from filiera.cli.output import print_json, print_table
from filiera.errors import ProjectError
from filiera.experiments.mending import examine
from filiera.experiments.place import Place
from filiera.project.config import find_root


def run(options: argparse.Namespace) -> int:
    """Print what was examined; 4 when something is wrong that was not repaired.

    The main worktree is looked from, since what another one says of itself may be what is damaged.
    """
    root = find_root(None).resolve()
    repository = Repository(root)
    place = Place(repository.main / root.relative_to(repository.top.resolve()), profile=options.profile)
    found = list(examine(place, repair=options.repair))
    if options.json:
        print_json([{name: value for name, value in asdict(each).items() if name != "area"} for each in found])
    else:
        print_table(["what", "state", "detail"], [[each.what, each.state, each.detail] for each in found])
    return ProjectError.exit_code if any(each.state == "problem" for each in found) else 0
