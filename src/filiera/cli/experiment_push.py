"""``filiera experiment push``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.adapters.shared_place import shared_place
from filiera.cli.output import print_json
from filiera.cli.ticker import Ticker
from filiera.errors import UsageError
from filiera.experiments.exchanging import push
from filiera.experiments.place import Place


def run(options: argparse.Namespace) -> int:
    """Push experiments and say what went, and how they are merged where nobody may write to the target."""
    place = Place(profile=options.profile)
    names = options.name or ([place.here] if place.here else list(place.branches()))
    if not names:
        raise UsageError("There are no experiments to push.", do="filiera experiment start NAME")
    to = shared_place(options.to) if options.to else None
    done = push(place, names, remote=options.remote, to=to, tell=Ticker())
    if options.json:
        print_json(asdict(done))
        return 0
    for name in done.names:
        print(f"pushed exp/{name} to {options.remote}")
    if to is None:
        print("what their runs have made stays here: --to PLACE sends it too")
    else:
        print(f"{done.sent:,} runs sent to {options.to}, {done.there:,} were there")
    for run_id in done.lost:
        print(f"{run_id} is not in this store any more, so it was not sent")
    for name, target in done.targets.items():
        print(f"where {target} is protected, open a merge request from exp/{name} into {target}")
    for address in done.said:
        print(f"  {address}")
    return 0
