"""``filiera experiment drop``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.errors import UsageError
from filiera.experiments.dropping import drop, merged
from filiera.experiments.place import Place


def run(options: argparse.Namespace) -> int:
    """Move experiments into the archive, one after another."""
    place = Place(profile=options.profile)
    dropped = [drop(place, name, force=options.force) for name in _names(place, options)]
    if options.json:
        print_json([{"experiment": one.name, "ref": one.ref, "commit": one.commit} for one in dropped])
        return 0
    for one in dropped:
        kept = ", with what was not committed" if one.is_kept_dirty else ""
        print(f"dropped experiment {one.name}{kept}; filiera experiment restore {one.name} brings it back")
    if not dropped:
        print("There is nothing to drop.")
    return 0


def _names(place: Place, options: argparse.Namespace) -> list[str]:
    if sum([bool(options.name), bool(options.all_but), options.merged]) != 1:
        raise UsageError("Which experiments?", do="Name them, or say --all-but NAME, or --merged.")
    if options.all_but:
        place.tip(options.all_but)
        return [name for name in place.branches() if name != options.all_but]
    return merged(place) if options.merged else list(dict.fromkeys(options.name))
