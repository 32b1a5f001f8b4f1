"""Put a supervisor together: the services of ``filiera.toml``, their queues in the records, their worker processes."""

from __future__ import annotations

import fcntl
import functools
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from filiera.core.broker import BrokerAddress
from filiera.core.digest import digest
from filiera.core.message import Waiting
from filiera.core.products import CHAMPION, ProductRef
from filiera.errors import FilieraError, StoreError, UsageError
from filiera.ports import MessageSource
from filiera.project import identity, plugins
from filiera.project.project import Project
from filiera.project.serving.processes import start_process
from filiera.project.serving.runtimes import slow_libraries
from filiera.project.serving.spares import Spares
from filiera.project.serving.token import TOKEN_VARIABLE, token_given
from filiera.serving.listening import listen, must_have_token, url_of
from filiera.supervision.control import connect, knock
from filiera.supervision.couriers import Couriers
from filiera.supervision.fleet import Fleet
from filiera.supervision.intake import Intake
from filiera.supervision.prompting import Prompter
from filiera.supervision.queue import MessageQueue, reclaim, standings
from filiera.supervision.runner import Parts, Runner
from filiera.supervision.service import Service
from filiera.supervision.supervisor import Outside, Supervisor, ask

_FOLDER = "up"
_LOCK = "lock"


def supervise(
    project: Project,
    services: Sequence[Service],
    *,
    say: Callable[[str, str], None],
    on_up: Callable[[Sequence[Runner]], None],
) -> None:
    """Run services until this process is told to end.

    Args:
        project: Whose they are.
        services: At least one.
        say: Prints what happens to a service, or to all of them: "".
        on_up: Called when all of them listen.

    Raises:
        UsageError: A supervisor of this project runs already, or an address cannot be listened on.
        StoreError: The store cannot be used.
    """
    for service in services:
        _check(project, service)
    folder = control_folder(project)
    with _alone(folder), closing(Spares(partial(_begin, project.config.root))) as spares:
        lost = reclaim(project.records, project.clock)
        if lost:
            say("", f"{lost:,} messages were being handled when the supervisor before ended, and are handed out again")
        launch = _Launch(project, spares)
        runners = [_runner(project, service, launch, say) for service in services]
        outside = Outside(
            folder=folder, listen=listen, url_of=url_of, processes=_Processes(), say=say, clock=project.clock
        )
        Supervisor(runners, outside).run(on_up)


def queue_of(project: Project, service: str) -> MessageQueue:
    """Return the queue of a service."""
    return MessageQueue(project.records, service, clock=project.clock)


def tell_of_messages(project: Project) -> None:
    """Let the supervisor of the project, if it has one, see at once what was put into a queue."""
    knock(control_folder(project))


def queue_standings(project: Project) -> dict[str, Waiting]:
    """Return how the queues stand that have messages, by the name of their service."""
    return standings(project.records)


def standing_services(project: Project) -> list[dict[str, Any]] | None:
    """Return how services stand, as the supervisor of the project says; None: it has none."""
    try:
        channel = connect(control_folder(project))
    except OSError:
        return None
    found: list[dict[str, Any]] = ask(channel, {"status": True})["services"]
    return found


def renew(project: Project, service: str) -> None:
    """Let the workers of a service be replaced by new ones. Raises FilieraError: it is not up."""
    try:
        is_done = ask(connect(control_folder(project)), {"renew": service})["renewed"]
    except OSError:
        is_done = False
    if not is_done:
        raise FilieraError(f"The service {service!r} is not up.", do="filiera up")


def control_folder(project: Project) -> Path:
    """Return where the supervisor of a project is to be met; the folder need not be there."""
    return project.store / _FOLDER


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """For the block, be the only supervisor of the project."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = (folder / _LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder} cannot be used.", why=f"The system says: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise UsageError(
                f"A supervisor of this project runs already: process {lock.read().strip() or 'unknown'}.",
                do="filiera services shows what it runs; end it with Ctrl-C or SIGTERM to start another one.",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _runner(project: Project, service: Service, launch: _Launch, say: Callable[[str, str], None]) -> Runner:
    def tell(text: str) -> None:
        say(service.name, text)

    queue = queue_of(project, service.name)
    couriers = Couriers(service, queue, chance=random.random, tell=tell)
    couriers.token = token_given()
    return Runner(
        Parts(
            service=service,
            fleet=Fleet(service.workers, now=time.monotonic(), chance=random.random),
            couriers=couriers,
            prompter=Prompter(service, queue, root=project.config.root, clock=project.clock, tell=tell),
            intake=_intake(project, service, queue, tell),
            launch=launch,
            prepare=lambda: launch.prepare(service),
            tell=tell,
        )
    )


def _intake(project: Project, service: Service, queue: MessageQueue, tell: Callable[[str], None]) -> Intake | None:
    address = service.triggers.messages
    if address is None:
        return None
    connect = functools.partial(_message_source, project, service, address)
    return Intake(service, queue, connect=connect, chance=random.random, tell=tell)


def _message_source(project: Project, service: Service, address: BrokerAddress) -> MessageSource:
    """Return what hands out messages to this project's service, here and wherever else it runs. Raises ProjectError."""
    group = address.group or f"{project.config.name}.{service.name}"
    place = digest("store-place/1", str(project.store).encode())[:8]
    return plugins.message_source(address, group, f"filiera.{socket.gethostname()}.{place}")


def _check(project: Project, service: Service) -> None:
    """Refuse what no worker could serve, before it is tried. Raises UsageError, ProjectError, Untrusted."""
    if service.triggers.messages is not None:
        _message_source(project, service, service.triggers.messages).close()
    if must_have_token(service.host) and token_given() is None:
        raise UsageError(
            f"{service.host}, where the service {service.name!r} is to listen, can be reached from other machines.",
            why="A service that others reach needs a token.",
            do=f"Set {TOKEN_VARIABLE}, or let it listen on 127.0.0.1.",
        )
    if service.model:
        project.versions.resolve_served(model_of(service))


def model_of(service: Service) -> ProductRef:
    """Return which model a service serves; without ``@`` the champion."""
    return ProductRef.parse(service.model, default=CHAMPION)


class _Launch:
    """Starts workers of one project."""

    def __init__(self, project: Project, spares: Spares) -> None:
        self._project = project
        self._spares = spares

    def prepare(self, service: Service) -> None:
        """Have at hand what takes long to load for a service that sleeps."""
        if service.workers.least == 0:
            with suppress(OSError):
                self._spares.prepare(self._libraries(service))

    def __call__(self, service: Service, listener: int) -> subprocess.Popen[bytes]:
        """Return a process that works for a service and takes requests from a socket. Raises OSError."""
        config = self._project.config
        words = {
            "root": str(config.root),
            "profile": config.profile.name,
            "service": service.name,
            "listener": listener,
        }
        spare = self._spares.try_take(self._libraries(service), words, listener)
        return spare if spare is not None else _begin(config.root, words, (listener,))

    def _libraries(self, service: Service) -> tuple[str, ...]:
        if not service.model:
            return ()
        try:
            version = self._project.versions.resolve("model", model_of(service))
            return slow_libraries(self._project, version)
        except FilieraError:  # the worker that is started all the same says so
            return ()


def _begin(root: Path, words: dict[str, Any], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    return start_process("service_worker", words, inherits=descriptors, folder=root, stdout=sys.stderr.fileno())


class _Processes:
    def identity(self, pid: int) -> str:
        return identity.identity_of(pid)

    def is_alive(self, who: str) -> bool:
        return identity.is_alive(who, last_seen_at=0.0, now=identity.LEASE_S)
