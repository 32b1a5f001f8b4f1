"""A supervisor of one small service, as a process: ``python -m tests.supervision.small_supervisor FOLDER OPTIONS``."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import UsageError
from filiera.project import identity
from filiera.supervision import supervisor
from filiera.supervision.couriers import Couriers
from filiera.supervision.fleet import Fleet
from filiera.supervision.prompting import Prompter
from filiera.supervision.queue import MessageQueue, reclaim
from filiera.supervision.runner import Parts, Runner
from filiera.supervision.service import Service, Triggers, WorkerLimits
from filiera.supervision.supervisor import Outside, Supervisor


class Processes:
    """Knows processes as the project does."""

    def identity(self, pid: int) -> str:
        return identity.identity_of(pid)

    def is_alive(self, who: str) -> bool:
        return identity.is_alive(who, last_seen_at=0.0, now=identity.LEASE_S)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"port {port} is taken") from error
    listener.listen(1024)
    return listener


def main() -> None:
    """Run until told to end; print what happens."""
    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    supervisor._LOOK_S = options.get("look_s", supervisor._LOOK_S)
    service = Service(
        name="work",
        function="m:work",
        port=options.get("port", 0),
        workers=WorkerLimits(**options.get("workers", {})),
        triggers=Triggers(**options.get("triggers", {})),
        attempts=options.get("attempts", 3),
    )
    records = SqliteRecords(folder / "records.db")
    queue = MessageQueue(records, "work", clock=time.time)
    reclaim(records, time.time)

    def launch(service: Service, listener: int) -> subprocess.Popen[bytes]:
        words = [str(folder), service.name, service.address_digest, str(listener), options.get("mode", "")]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.supervision.small_worker", *words],
            pass_fds=(listener,),
            start_new_session=True,
        )

    def tell(text: str) -> None:
        print(text, flush=True)

    runner = Runner(
        Parts(
            service=service,
            fleet=Fleet(service.workers, now=time.monotonic(), chance=random.random),
            couriers=Couriers(service, queue, chance=random.random, tell=tell),
            prompter=Prompter(service, queue, root=folder, clock=time.time, tell=tell),
            launch=launch,
            prepare=lambda: None,
            tell=tell,
        )
    )
    outside = Outside(
        folder=folder,
        listen=listen,
        url_of=lambda listener: f"http://127.0.0.1:{listener.getsockname()[1]}",
        processes=Processes(),
        say=lambda _, text: tell(text),
    )
    Supervisor([runner], outside).run(lambda runners: tell(f"up at {runners[0].url}"))
    tell("down")


if __name__ == "__main__":
    main()
