"""``filiera contract can-deploy``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.contract_report import print_parts
from filiera.cli.output import print_json
from filiera.cli.places import find_model
from filiera.errors import Rejected
from filiera.project.project import Project
from filiera.project.serving.contracts import contract_of, replay_where


def run(options: argparse.Namespace) -> int:
    """Print whether a version answers all applications of an environment as they need; 3 when it does not."""
    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    contract_of(project, version)
    part, who = replay_where(project, version, options.to)
    is_blocked = part.state == "failed"
    if options.json:
        applications = {"environment": options.to, "applications": list(who)}
        print_json({"model": version.ref, "is_blocked": is_blocked, **applications, **asdict(part)})
    else:
        print_parts([part])
        print(f"\n{version.ref} {'cannot' if is_blocked else 'can'} be deployed to {options.to}")
    return Rejected.exit_code if is_blocked else 0
