"""What the services of a project count, and their supervisor of them: one text for all, that wakes nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filiera.core.message import Waiting
from filiera.errors import FilieraError
from filiera.project.identity import answers
from filiera.project.project import Project
from filiera.project.serving.supervising import control_folder, queue_standings, standing_services
from filiera.project.serving.token import token_given
from filiera.serving.listening import listen, url_of
from filiera.serving.metrics import Samples, merged
from filiera.serving.shared_counts import SharedCounts, settle, summed, workers_in
from filiera.supervision.service import Service

_COUNTS = "counts"


def counts_of_worker(project: Project, service: str) -> SharedCounts:
    """Return this worker's side of what the workers of a service share; what dead ones left is settled."""
    folder = _folder(project, service)
    folder.mkdir(parents=True, exist_ok=True)
    for worker in workers_in(folder):
        if not answers(int(worker.partition("-")[0])):
            settle(folder, worker)
    return SharedCounts(folder, f"{os.getpid()}-{time.time_ns()}")


class ServicesCounts:
    """What is counted of all services."""

    def __init__(self, project: Project, services: Sequence[Service]) -> None:
        self._project, self._services = project, services

    def with_others(self, samples: Samples) -> Samples:
        """Return *samples* with those of each service, which its name is put to as a label.

        What the supervisor or the records do not say at the moment is left out.
        """
        standing: dict[str, dict[str, Any]] = {}
        queues: dict[str, Waiting] = {}
        with suppress(FilieraError):
            standing = {row["name"]: row for row in standing_services(self._project) or ()}
            queues = queue_standings(self._project)
        parts = [samples]
        for service in self._services:
            name = service.name
            found = summed(_folder(self._project, name))
            if name in standing:
                found |= _of_supervisor(standing[name], queues.get(name, Waiting()))
            parts.append({_labelled(metric, name): value for metric, value in found.items()})
        return merged(parts)


def tell_metrics(project: Project, services: Sequence[Service], port: int) -> str:
    """Answer for the metrics of services on a port of this machine, from a thread, as long as this process lives.

    Args:
        project: Whose they are.
        services: Which.
        port: 0 takes a free one.

    Returns:
        Where: a URL.

    Raises:
        UsageError: The port cannot be listened on.
    """
    from filiera.serving.app import App
    from filiera.serving.server import serve_beside
    from filiera.serving.watch import Watch

    listener = listen("127.0.0.1", port)
    url = url_of(listener)
    token = token_given()
    watch = Watch(shared=ServicesCounts(project, services))
    app = App([], token=token, local_names_only=token is None, watch=watch)
    app.start()
    serve_beside(listener.detach(), app)
    return f"{url}/metrics"


def _folder(project: Project, service: str) -> Path:
    return control_folder(project) / _COUNTS / service


def _of_supervisor(standing: dict[str, Any], queue: Waiting) -> Samples:
    return {
        "filiera_service_workers": standing["workers"],
        "filiera_service_in_flight": standing["in_flight"],
        "filiera_service_wakes_total": standing["wakes"],
        "filiera_service_restarts_total": standing["restarts"],
        'filiera_queue_messages{state="waiting"}': queue.waiting,
        'filiera_queue_messages{state="handled"}': queue.handled,
        'filiera_queue_messages{state="dead"}': queue.dead,
    }


def _labelled(metric: str, service: str) -> str:
    """Return the name of a sample with its service as first label.

    >>> _labelled('filiera_rows_total{model="flows"}', "risk"), _labelled("filiera_rows_waiting", "risk")
    ('filiera_rows_total{service="risk",model="flows"}', 'filiera_rows_waiting{service="risk"}')
    """
    name, _, labels = metric.partition("{")
    return f'{name}{{service="{service}",{labels}' if labels else f'{name}{{service="{service}"}}'
