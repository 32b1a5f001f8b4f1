"""``filiera pipelines``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json, print_table
from filiera.project.config import find_root, load
from filiera.project.index import pipelines


def run(options: argparse.Namespace) -> int:
    """Print the project's pipelines; nothing is imported."""
    found = pipelines(load(find_root(), options.profile))
    if options.json:
        print_json([{"name": e.name, "module": e.module, "summary": e.summary} for e in found.values()])
    else:
        print_table(["pipeline", "module", "what it does"], [[e.name, e.module, e.summary] for e in found.values()])
    return 0
