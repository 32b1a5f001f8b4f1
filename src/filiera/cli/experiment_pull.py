"""``filiera experiment pull``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.adapters.shared_place import shared_place
from filiera.cli.output import print_json
from filiera.cli.ticker import Ticker
from filiera.experiments.exchanging import pull
from filiera.experiments.place import Place


def run(options: argparse.Namespace) -> int:
    """Take experiments over and say what came."""
    place = Place(profile=options.profile)
    names = options.name or ([place.here] if place.here else [])
    source = shared_place(options.source) if options.source else None
    done = pull(place, names, remote=options.remote, source=source, tell=Ticker())
    if options.json:
        print_json(asdict(done))
        return 0
    for name, state in done.states.items():
        print(f"exp/{name}  {state}")
    if not done.states:
        print(f"{options.remote} has no experiments.")
    for run_id in done.runs:
        print(f"imported {run_id}")
    for there, here in done.versions:
        print(f"published {here}, {there} there")
    if done.lost:
        why = f"not in {options.source}" if source is not None else "--from PLACE takes them over"
        print(f"runs that this store has not: {', '.join(done.lost)}; {why}")
    for dataset in done.other_data:
        print(f"dataset {dataset} is another one here: the experiments use a version that this store has not")
    return 0
