"""A node of a serving graph in a process of its own: ``python -m filiera.project.serving.node_worker JSON``."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filiera.project.project import Project
from filiera.project.serving.processes import work_as_told
from filiera.serving.batch import Batch, Outputs
from filiera.serving.course import NodeDied, NodeDown, NodeLate
from filiera.serving.node_wire import Incoming, Told, batch_of, packed_outputs, read_ask, send
from filiera.serving.predictor import PredictionFailed


def run_worker(words: dict[str, Any]) -> None:
    """Answer for a node until whoever started this closes its end of the socket. Raises FilieraError."""
    from filiera.project.serving.moved_nodes import predictor_of_node

    project = Project.open(Path(words["root"]), profile=words["profile"])
    predictor, signature = predictor_of_node(project, words)
    with socket.socket(fileno=words["socket"]) as connection:
        send(connection, Told(number=0))
        incoming = Incoming(connection)
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                ask = read_ask(incoming.receive())
                batch = batch_of(ask, signature.inputs)
                if ask.left_s is not None:
                    batch.deadline_s = time.perf_counter() + ask.left_s
                send(connection, _told(ask.number, batch, predictor.predict))


def _told(number: int, batch: Batch, predict: Callable[[Batch], Outputs]) -> Told:
    try:
        return Told(number=number, outputs=packed_outputs(predict(batch)))
    except NodeDown as error:
        return Told(number=number, down=error.node, died=isinstance(error, NodeDied), why=error.why)
    except NodeLate as error:
        return Told(number=number, late=error.node)
    except PredictionFailed as error:
        return Told(number=number, failed=error.what, why=error.why)


if __name__ == "__main__":
    sys.exit(work_as_told(run_worker))
