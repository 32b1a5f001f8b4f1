"""What services need, in a folder of its own: code, versions, packages, and how they are run somewhere else."""

from __future__ import annotations

import inspect
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filiera.adapters.local_disk import disk_error
from filiera.core.closure import closures_of
from filiera.core.graphs import ServingGraph
from filiera.core.products import CHAMPION, LATEST, ProductRef
from filiera.core.value import dataclass
from filiera.errors import ProjectError, UsageError
from filiera.project import plugins, shipped
from filiera.project.config import FILE_NAME
from filiera.project.project import Project
from filiera.project.serving.functions import FoundFunction
from filiera.project.serving.given import given_to
from filiera.project.serving.graphs import graph_of, versions_of
from filiera.project.serving.offers import find_offered
from filiera.project.serving.services import named_services
from filiera.project.serving.supervising import model_of
from filiera.project.shipping.forms import FORMS, Form
from filiera.project.shipping.locks import Lock, asked_for, lock
from filiera.project.shipping.rehearsing import Calls, rehearse
from filiera.project.versions import Version
from filiera.shipping.shipment import PORT, PROJECT, REQUIREMENTS, WHEELS, Cron, Process, Shipment, label_of
from filiera.shipping.texts import toml_path, toml_text
from filiera.supervision.service import Service

_SERVICES_NEED = ("filiera", "msgspec", "cronsim")
_MODELS_NEED = "filiera[serve]"
"""Has more, which is large: a function does without."""

_BROKER_NEEDS = {f"{kind}{safe}": f"filiera[{kind}]" for kind in ("redis", "amqp", "kafka") for safe in ("", "s")}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Served:
    """One thing that is to be served."""

    text: str  #: as ``filiera serve`` takes it
    service: Service | None  #: that declares it in ``filiera.toml``
    found: Version | FoundFunction | ServingGraph
    versions: tuple[Version, ...]

    @property
    def needs_code(self) -> bool:
        return not isinstance(self.found, Version)


def ship(project: Project, names: Sequence[str], *, to: Path, form: str, wheels: Path | None) -> Shipment:
    """Write all that some services need into a new folder, and return what is in it.

    What is written is started once, from that alone, before it is there.

    Args:
        project: Whose they are.
        names: Services of ``filiera.toml``, by default all of them; or what ``filiera serve`` takes.
        to: The folder, which is empty or not there.
        form: One of ``FORMS``.
        wheels: A folder of wheels, for what no package index has.

    Raises:
        UsageError: A name means nothing, or the folder has something in it.
        ProjectError: The code is not committed, a package cannot be installed elsewhere, or it does not start.
        StoreError: The store lacks something, or the folder cannot be written.
    """
    chosen = FORMS[form]
    _require_empty(to)
    asked = _asked(project, names)
    for _, service in asked:
        _require_triggers(form, service)
    served = [_find(project, text, service) for text, service in asked]
    commit = _commit(project) if any(each.needs_code for each in served) else ""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    except OSError as error:
        raise disk_error(error, to) from error
    try:
        shipment = _Shipping(project, served, chosen, folder).write(commit, wheels)
        folder.chmod(0o755)
        folder.rename(to)
        return shipment
    except OSError as error:
        raise disk_error(error, to) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Shipping:
    """One folder that is being filled."""

    def __init__(self, project: Project, served: Sequence[_Served], form: Form, folder: Path) -> None:
        self._project = project
        self._served = served
        self._form = form
        self._folder = folder
        self._root = folder / PROJECT
        self._declared = form.runs_services and served[0].service is not None

    def write(self, commit: str, wheels: Path | None) -> Shipment:
        """Fill the folder and return what is in it."""
        if commit:
            self._write_code(commit)
        else:
            self._root.mkdir()
        versions = [version for each in self._served for version in each.versions]
        if versions:
            shipped.write_versions(self._project, versions, self._root / shipped.FILE_NAME)
        about = _about(self._project, versions, commit)
        locked, calls = self._rehearse(about, wheels)
        shipment = self._shipment(about, locked, calls)
        texts = {
            f"{PROJECT}/{FILE_NAME}": self._toml(about, self._form.store(shipment)),
            REQUIREMENTS: "".join(f"{line}\n" for line in locked.lines),
            **self._form.files(shipment),
        }
        for name, text in texts.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        for wheel in locked.wheels:
            (self._folder / WHEELS).mkdir(exist_ok=True)
            shutil.copyfile(wheel, self._folder / WHEELS / wheel.name)
        return shipment

    def _write_code(self, commit: str) -> None:
        history = plugins.code_history(self._project.config.root, self._project.store)
        whole = self._folder / "whole"
        history.check_out(commit, b"", whole).rename(self._root)
        shutil.rmtree(whole, ignore_errors=True)

    def _rehearse(self, about: Sequence[str], wheels: Path | None) -> tuple[Lock, Calls]:
        roots = asked_for(self._root / REQUIREMENTS) | _distributions(self._project, self._served)
        with tempfile.TemporaryDirectory(prefix="filiera-ship-") as store:
            (self._root / FILE_NAME).write_text(self._toml(about, store), encoding="utf-8")
            texts = [each.text for each in self._served]
            return rehearse(self._root, texts, roots=roots, lock=lambda needed: lock(needed, wheels))

    def _shipment(self, about: Sequence[str], locked: Lock, calls: Calls) -> Shipment:
        processes = self._processes()
        crons = [_cron(each.service, calls[each.text][0]) for each in self._served if each.service is not None]
        return Shipment(
            name=processes[0].label if len(self._served) == 1 else label_of(self._project.config.name),
            about=tuple(about),
            processes=tuple(processes),
            python=f"{sys.version_info[0]}.{sys.version_info[1]}",
            has_wheels=bool(locked.wheels),
            is_offline=locked.is_whole,
            models=tuple(_name(each.found) for each in self._served if not isinstance(each.found, FoundFunction)),
            crons=tuple(cron for cron in crons if cron.schedule or cron.every_s),
        )

    def _processes(self) -> list[Process]:
        if not self._declared:
            texts = tuple(each.text for each in self._served)
            name = _name(self._served[0].found) if len(texts) == 1 else self._project.config.name
            return [Process(name=name, served=texts, is_declared=False, ports=(PORT,))]
        return [
            Process(name=service.name, served=(service.name,), is_declared=True, ports=(port,))
            for service, port in self._ports()
        ]

    def _ports(self) -> list[tuple[Service, int]]:
        """Return the services with their ports: the one that is declared, else the first that is free."""
        services = [each.service for each in self._served if each.service is not None]
        taken = {service.port for service in services}
        free = (port for port in range(PORT, 65_536) if port not in taken)
        return [(service, service.port or next(free)) for service in services]

    def _toml(self, about: Sequence[str], store: str) -> str:
        config = self._project.config
        head: dict[str, Any] = {"name": config.name, "flows": list(config.flows)}
        if any(each.versions for each in self._served):
            head["versions"] = shipped.FILE_NAME
        tables: dict[str, Mapping[str, Any]] = {"project": head, "profile.local": {"store": store}}
        kept = {key: value for key, value in asdict(config.predictions).items() if value is not None}
        tables["predictions"] = kept
        if config.signing.require:
            trusted = [f"{key} {owner}".strip() for key, owner in config.signing.trusted.items()]
            tables["signing"] = {"trusted": trusted, "require": True}
        if self._declared:
            for service, port in self._ports():
                own = {**config.services[service.name], "host": self._form.host, "port": port}
                tables[toml_path("service", service.name)] = own
        for each in self._served:
            if not isinstance(each.found, FoundFunction) and each.found.name in config.graphs:
                tables[toml_path("graph", each.found.name)] = config.graphs[each.found.name]
        return toml_text(tables, about)


def _asked(project: Project, names: Sequence[str]) -> list[tuple[str, Service | None]]:
    """Return what is to be served, as ``filiera serve`` takes it, with the service that declares it."""
    declared = [name for name in names if name in project.config.services]
    if names and not declared:
        return [(name, None) for name in names]
    if len(declared) != len(names):
        other = next(name for name in names if name not in declared)
        raise UsageError(
            f"{declared[0]} is a service of {FILE_NAME}, and {other} is none.",
            why="Services that are declared run under filiera up, others under filiera serve.",
            do=f"Declare [service.{_short(other)}], or ship them one after the other.",
        )
    services = named_services(project.config, list(dict.fromkeys(names)))
    return [(service.function or str(model_of(service)), service) for service in services]


def _require_triggers(form: str, service: Service | None) -> None:
    """Refuse triggers that would be lost. Raises UsageError."""
    if FORMS[form].runs_services or service is None:
        return
    found = service.triggers
    clocks = {} if FORMS[form].has_clocks else {"cron": found.cron, "every_s": found.every_s}
    lost = [key for key, value in {"files": found.files, "messages": found.messages, **clocks}.items() if value]
    if lost:
        raise UsageError(
            f"{', '.join(lost)} of [service.{service.name}] would call nobody: {form} has no supervisor.",
            do="Ship what it serves by its own name, or the service in another form, such as --for kubernetes.",
        )


def _short(text: str) -> str:
    """Return a name for a service that serves *text*.

    >>> _short("flow-classifier@champion"), _short("jobs:count")
    ('flow-classifier', 'count')
    """
    return text.partition("@")[0].rpartition(":")[2]


def _find(project: Project, text: str, service: Service | None) -> _Served:
    found = find_offered(project, text)
    if isinstance(found, Version):
        ref = ProductRef.parse(text, default=CHAMPION)
        text = found.ref if ref.selector == LATEST else str(ref)  # a later one may be in the volume by then
    return _Served(text=text, service=service, found=found, versions=tuple(_versions(project, found)))


def _versions(project: Project, found: Version | FoundFunction | ServingGraph) -> Iterator[Version]:
    """Yield all versions that something asks when it is served, itself if it is one."""
    if isinstance(found, FoundFunction):
        yield from given_to(project, found).versions
    elif isinstance(found, ServingGraph):
        yield from versions_of(project, found).values()
    else:
        yield found
        if found.kind == "service":
            yield from graph_of(project, found)[1].values()


def _commit(project: Project) -> str:
    """Return the commit that is checked out. Raises ProjectError unless it has all that there is."""
    state = plugins.code_history(project.config.root, project.store).state()
    if state is None or not state.commit:
        raise ProjectError(
            "There is no commit to take the code from.",
            why="What is shipped has the code that git tracks, so that it can be told later what it is.",
            do="git init, git add and git commit in the project.",
        )
    if state.is_dirty:
        raise ProjectError(
            "There are changes that are not committed.",
            why=f"What is shipped has the code of a commit, now {state.commit[:12]}: it would be another than is here.",
            do="git commit them, or git stash them; git status lists them.",
        )
    return state.commit


def _about(project: Project, versions: Sequence[Version], commit: str) -> list[str]:
    lines = ["Made by filiera ship. Make it anew rather than change it."]
    lines += [f"{ref}: {digest}" for ref, digest in sorted({(each.ref, each.artifact.short) for each in versions})]
    return [*lines, *([f"{project.config.name}: commit {commit[:12]}"] if commit else [])]


def _distributions(project: Project, served: Sequence[_Served]) -> set[str]:
    """Return what is known to be needed before anything is started."""
    needed = set(_SERVICES_NEED)
    if any(each.versions for each in served):
        needed.add(_MODELS_NEED)
    if any("onnx" in version.attachments for each in served for version in each.versions):
        needed.add("onnxruntime")  # without it the model's own library would answer, if more slowly
    brokers = [each.service.triggers.messages for each in served if each.service is not None]
    needed |= {_BROKER_NEEDS[found.scheme] for found in brokers if found is not None and found.scheme in _BROKER_NEEDS}
    functions = [inspect.unwrap(each.found.function) for each in served if isinstance(each.found, FoundFunction)]
    for closure in closures_of(functions, is_project=project.code.is_project):
        for part in closure.parts:
            if part.kind == "distribution":
                needed |= set(part.name.rpartition(" ")[0].split("+"))
    return needed


def _cron(service: Service, path: str) -> Cron:
    triggers = service.triggers
    return Cron(name=service.name, path=path, schedule=triggers.cron, every_s=triggers.every_s)


def _name(found: Version | FoundFunction | ServingGraph) -> str:
    return found.name


def _require_empty(folder: Path) -> None:
    try:
        is_empty = not folder.exists() or not any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} is not a folder that can be written.", why=str(error.strerror)) from error
    if not is_empty:
        raise UsageError(f"{folder} has something in it.", do="Name a new folder, or empty this one.")
