"""``filiera experiment restore``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.experiments.dropping import restore
from filiera.experiments.place import Place


def run(options: argparse.Namespace) -> int:
    """Bring an experiment back and say where its files are."""
    place = Place(profile=options.profile)
    folder = restore(place, options.name) / place.prefix
    if options.json:
        print_json({"experiment": options.name, "folder": str(folder)})
    else:
        print(f"restored experiment {options.name}\n\nnext:\n  cd {folder}")
    return 0
