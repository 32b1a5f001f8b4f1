"""``filiera plan``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json, print_table
from filiera.cli.parameters import print_pipeline_help
from filiera.cli.run_command import no_pipeline, values_of
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Print what a run would do with each step, and why; nothing runs, nothing is recorded."""
    if options.pipeline is None:
        return no_pipeline(options)
    project = Project.open(profile=options.profile)
    pipeline = project.pipeline(options.pipeline)
    if options.help:
        print_pipeline_help("plan", pipeline)
        return 0
    values = values_of(project, pipeline, options)
    decisions = project.plan(options.pipeline, values, fresh=frozenset(options.fresh))
    if options.json:
        print_json([{"step": d.step, "stage": d.stage, "status": d.status, "reason": d.reason} for d in decisions])
    else:
        print_table(["step", "stage", "status", "why"], [[d.step, d.stage, d.status, d.reason] for d in decisions])
    return 0
