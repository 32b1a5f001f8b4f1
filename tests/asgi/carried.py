"""An application for servers to carry: the small model, and functions that say when they begin and end.

They meet the test in named pipes of the folder in ``CARRIED``: who opens one waits until the other side does.
``python -m tests.asgi.carried PORT`` serves it by our own server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filiera.adapters.prediction_segments import SegmentLog
from filiera.asgi import Application
from filiera.core.service import ServiceOptions
from filiera.serving.app import App, Limits
from filiera.serving.endpoint import Endpoint
from filiera.serving.function_mount import FunctionMount
from filiera.serving.keeping import Keeping
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.server import serve
from tests.serving.offers import SIGNATURE, Sums

FOLDER = Path(os.environ.get("CARRIED", "."))
MAX_BODY_BYTES = 200_000
BODY_S = 0.4


def held(pipe: str) -> str:
    """Answer when the test says so."""
    return (FOLDER / pipe).read_text()


def told(pipe: str) -> Iterator[str]:
    """Give an item, and another when the test says so."""
    yield "at once"
    yield (FOLDER / pipe).read_text()


def endless(pipe: str) -> Iterator[str]:
    """Give items until nobody listens, and tell the test."""
    try:
        while True:
            yield "more" * 1000
    finally:
        (FOLDER / pipe).write_text("closed")


def build(log: SegmentLog) -> App:
    """Return the app, not started."""
    model = ServedModel("flows", Sums(), version=3, signature=SIGNATURE, log=log)
    options = ServiceOptions(concurrency=4, max_waiting=0)
    functions = [FunctionMount(each, options, version="1", keeping=Keeping(log)) for each in (held, told, endless)]
    limits = Limits(max_body_bytes=MAX_BODY_BYTES, body_s=BODY_S)
    return App([ModelMount(Endpoint(model)), *functions], local_names_only=True, limits=limits)


@contextmanager
def opened() -> Iterator[App]:
    """Give the app, started, with a log in the folder."""
    log = SegmentLog(FOLDER / "log", sync_every_s=3600.0)
    try:
        started = build(log)
        started.start()
        yield started
    finally:
        log.close()


app = Application(opened)


def main() -> None:
    log = SegmentLog(FOLDER / "log", sync_every_s=3600.0)
    serve(lambda: build(log), host="127.0.0.1", port=int(sys.argv[1]), on_ready=lambda _: None)
    log.close()


if __name__ == "__main__":
    main()
