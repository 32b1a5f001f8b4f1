"""One worker of ``filiera serve --workers N``: started as ``python -m filiera.project.serving.serve_worker JSON``."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.project.serving.apps import app_of, closing_logs
from filiera.project.serving.offers import offers_of, service_name
from filiera.project.serving.processes import work_as_told

if TYPE_CHECKING:
    from filiera.serving.leaving import Running


def run_worker(words: dict[str, Any]) -> None:
    """Serve until whoever started this closes its end of the control socket. Raises FilieraError."""
    from filiera.serving.server import serve_on
    from filiera.serving.shared_counts import SharedCounts
    from filiera.serving.watch import watch_of

    shared = SharedCounts(Path(words["folder"]), words["worker"])
    offers = offers_of(words["names"], profile=words["profile"], tell=_tell, cache_s=words["cache_s"])

    async def beside(running: Running) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(fileno=words["control"]) as control:

            def hung_up() -> None:
                loop.remove_reader(control)
                running.stop()

            with suppress(BrokenPipeError):  # it has hung up already, which the reader is told next
                control.sendall(b"r")
            loop.add_reader(control, hung_up)
            try:
                await shared.go_on_publishing(app.samples)
            finally:
                loop.remove_reader(control)

    with closing_logs(offers):
        watch = watch_of(service_name(offers), access_log=words["access_log"], tell=_tell, shared=shared)
        app = app_of(offers, watch=watch)
        app.start()
        serve_on(os.dup(words["listener"]), app, beside=beside)
        shared.publish(app.samples())


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(work_as_told(run_worker))
