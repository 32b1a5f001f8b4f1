"""``filiera experiment run``."""

from __future__ import annotations

import argparse

from filiera.cli.experiment_names import named, setting
from filiera.cli.output import print_json
from filiera.cli.progress import Progress
from filiera.cli.run_command import as_data, exit_code, report
from filiera.experiments.place import Place
from filiera.experiments.running import Recorded, Wanted, default_pipeline
from filiera.experiments.running import run as run_experiment


def run(options: argparse.Namespace) -> int:
    """Run a pipeline of an experiment and return how it ended as an exit code; of several, the worst."""
    place = Place(profile=options.profile)
    names = options.name or [named(place, "")]
    settings = dict(map(setting, options.set))
    if len(names) > 1:
        from filiera.cli.experiment_runs import run_several

        return run_several(names, options)
    name = names[0]
    pipeline = options.pipeline or default_pipeline(place, name)
    wanted = Wanted(pipeline=pipeline, settings=[settings], fresh=frozenset(options.fresh))
    with Progress(place.project, quiet=options.json) as progress:
        done = run_experiment(place, name, wanted, listener=progress)[0]
    if options.json:
        print_json({**as_data(done.run), "experiment": name, "record": None if done.record is None else done.record.id})
        return exit_code(done.run)
    code = report(done.run, as_json=False)
    print(_told(name, done))
    return code


def _told(name: str, done: Recorded) -> str:
    if done.record is None:
        return f"nothing was committed to exp/{name}"
    return f"committed to exp/{name}"
