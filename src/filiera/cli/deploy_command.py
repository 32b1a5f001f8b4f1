"""``filiera deploy``."""

from __future__ import annotations

import argparse

from filiera.cli.contract_report import print_warnings
from filiera.cli.deployments_command import watch
from filiera.cli.durations import seconds_of
from filiera.core.delivery import DeploymentPlan, read_shares, stage_name
from filiera.core.products import ProductRef
from filiera.errors import UsageError
from filiera.project.deployments import services
from filiera.project.project import Project
from filiera.project.serving.contracts import require_kept
from filiera.project.serving.monitoring import require_reference


def run(options: argparse.Namespace) -> int:
    """Begin to deploy a version; with --watch follow it to its end, 3 when it was rolled back."""
    if "@" not in options.which:
        raise UsageError("Say which version.", do=f"filiera deploy {options.which}@NUMBER")
    plan = DeploymentPlan(
        shares=read_shares(options.stages),
        every_s=seconds_of(options.every, "--every"),
        requests=options.requests,
        least_agreement=options.agreement,
        is_monitored=options.monitor,
    )
    project = Project.open(profile=options.profile)
    ref = ProductRef.parse(options.which)
    version = project.versions.resolve_served(ref)
    if plan.is_monitored:
        require_reference(version)
    verification = require_kept(project, version, options.alias)
    if verification is not None:
        print_warnings(verification)
    started = project.deployments.start(ref, options.alias, plan, reason=options.reason)
    candidate, before = started.refs
    stages = " → ".join([*map(stage_name, plan.shares), "100 %"])
    print(f"deployment {started.number}: {candidate} to {started.name}@{started.alias}, now {before}")
    print(f"  stages    {stages}, each at least {options.every} and {plan.requests:,} requests", flush=True)
    following = services(project.records, now=project.clock(), name=started.name)
    if not any(service.alias == started.alias for service in following):
        print(f"  no service follows {started.name}@{started.alias} yet: it begins when one does", flush=True)
    return watch(project, started.number) if options.watch else 0
