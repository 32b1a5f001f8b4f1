"""``filiera up``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from filiera.project.project import Project
from filiera.project.serving.services import named_services
from filiera.project.serving.supervising import supervise

if TYPE_CHECKING:
    from filiera.supervision.runner import Runner


def run(options: argparse.Namespace) -> int:
    """Run services until Ctrl-C or SIGTERM."""
    project = Project.open(profile=options.profile)
    services = named_services(project.config, options.service)
    width = max(len(service.name) for service in services)

    def say(name: str, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {name.ljust(width)}  {text}", flush=True)

    def announce(runners: Sequence[Runner]) -> None:
        for runner in runners:
            service = runner.service
            print(f"{service.name.ljust(width)}  {service.target} at {runner.url}", flush=True)
        if options.metrics_port is not None:
            from filiera.project.serving.services_metrics import tell_metrics

            print(f"metrics at {tell_metrics(project, services, options.metrics_port)}", flush=True)
        print("up; Ctrl-C ends it", flush=True)

    supervise(project, services, say=say, on_up=announce)
    print("down; what waits in queues is kept")
    return 0
