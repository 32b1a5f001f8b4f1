"""``filiera experiment accept``."""

from __future__ import annotations

import argparse

from filiera.cli.experiment_names import named
from filiera.cli.output import print_json
from filiera.cli.progress import Progress
from filiera.experiments.accepting import Acceptance, Accepted, accept
from filiera.experiments.place import Place


def run(options: argparse.Namespace) -> int:
    """Merge an experiment, say what came of it, and what may be done next."""
    place = Place(profile=options.profile)
    name = named(place, options.name)
    wanted = Acceptance(
        into=options.into,
        squash=options.squash,
        drop_others=options.drop_others,
        allow_data_change=options.allow_data_change,
        dry_run=options.dry_run,
    )
    with Progress(place.project, quiet=options.json) as progress:
        done = accept(place, name, wanted, listener=progress)
    if options.json:
        print_json(_data(done))
    else:
        _print(done)
    return 0


def _print(done: Accepted) -> None:
    target = done.target.removeprefix("refs/heads/")
    again = f"{target} had moved: what came of merging was run" if done.is_evaluated_again else "as it was run"
    if done.finished is None:
        print(f"experiment {done.name} can be merged into {target}, {again}; nothing was changed")
        return
    print(f"accepted experiment {done.name}: {target} is at {done.commit[:12]}, {again}")
    for version in done.finished.published:
        print(f"published {version.kind} {version.ref}  {version.artifact.short}")
    if done.finished.carried:
        print(f"committed with it, as changed in {target} before: {', '.join(done.finished.carried)}")
    for record in done.records:
        if record.parameters:
            given = ", ".join(f"{name}={value}" for name, value in record.parameters.items())
            print(f"{record.pipeline} was run with {given}: a run without them makes another model")
    for name in done.finished.archived:
        print(f"experiment {name} is in the archive")
    for name, why in done.finished.left.items():
        print(f"experiment {name} stays: {why}")
    models = [version for version in done.finished.published if version.kind == "model"]
    if models:
        print("\nnext:")
    for version in models:
        print(f"  filiera promote {version.ref} champion")


def _data(done: Accepted) -> dict[str, object]:
    finished = done.finished
    return {
        "experiment": done.name,
        "target": done.target,
        "commit": done.commit,
        "is_evaluated_again": done.is_evaluated_again,
        "runs": [record.run_id for record in done.records],
        "is_done": finished is not None,
        "published": [version.ref for version in finished.published] if finished else [],
        "archived": list(finished.archived) if finished else [],
        "carried": list(finished.carried) if finished else [],
        "left": dict(finished.left) if finished else {},
    }
