"""What a worker of a service is: a process that the supervisor starts, with a socket to take requests from.

Started as ``python -m filiera.project.serving.service_worker JSON``; the JSON has the project's ``root``, the
``profile``, the name of the ``service`` and the descriptor of the ``listener``; or, of one that waits to be told these,
the descriptor of the channel on which it is told, ``spare``, and the ``libraries`` that it loads until then.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.errors import ProjectError, did_you_mean
from filiera.project.project import Project
from filiera.project.serving.apps import app_of, closing_logs
from filiera.project.serving.offers import Offer, offers_of
from filiera.project.serving.processes import work_as_told
from filiera.project.serving.services import named_services
from filiera.project.serving.services_metrics import counts_of_worker
from filiera.project.serving.spares import wait_for_words
from filiera.project.serving.supervising import control_folder, model_of
from filiera.supervision.tie import Tie

if TYPE_CHECKING:
    from filiera.serving.leaving import Running

_DRAIN_S = 25.0


def run_service_worker(root: Path, profile: str, name: str, listener: int) -> None:
    """Serve until the supervisor says that it is enough, or is gone for long. Raises FilieraError."""
    project = Project.open(root, profile=profile)
    (service,) = named_services(project.config, [name])
    tie = Tie(control_folder(project), listener, service=name, address=service.address_digest)
    from filiera.serving.app import Limits
    from filiera.serving.server import serve_on  # what takes long is loaded when the supervisor knows of us
    from filiera.serving.watch import watch_of

    offers = offers_of(
        [service.function or str(model_of(service))], profile=profile, tell=_tell, cache_s=service.cache_s
    )
    with closing_logs(offers):
        paths = paths_of(offers[0], service.method)
        shared = counts_of_worker(project, name)
        watch = watch_of(name, access_log=service.access_log, tell=_tell, shared=shared)
        app = app_of(offers, watch=watch, limits=Limits(drain_s=_DRAIN_S))
        app.start()

        async def beside(running: Running) -> None:
            telling = asyncio.ensure_future(shared.go_on_publishing(app.samples))
            try:
                await tie.hold(running, paths)
            finally:
                telling.cancel()

        serve_on(os.dup(listener), app, beside=beside)
        shared.leave(app.samples())


def paths_of(offer: Offer, method: str) -> dict[str, str]:
    """Return where messages are taken, by method; "": those that name none. Raises ProjectError: no such *method*."""
    named = {
        path.rpartition("/")[2].removeprefix(offer.name).partition(":")[0].removeprefix("."): path
        for path in offer.calls
    }
    if method and method not in named:
        raise ProjectError(
            f"{offer.name} has no method {method!r} that messages could call.",
            why=f"There are: {', '.join(filter(None, named)) or 'none'}.{did_you_mean(method, named)}",
            do="Correct method in filiera.toml.",
        )
    return {**named, "": named[method] if method else named.get("", offer.calls[0])}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run_worker(words: dict[str, Any]) -> None:
    """Work for the service that is named, by a spare process when it is told which one. Raises FilieraError."""
    if "spare" in words:
        found = wait_for_words(words["spare"], words["libraries"])
        if found is None:
            return
        words = found
    run_service_worker(Path(words["root"]), words["profile"], words["service"], words["listener"])


if __name__ == "__main__":
    sys.exit(work_as_told(run_worker))
