"""Contracts between a project's models and the applications that call them: what must hold before a version answers.

In the folder ``contracts`` of a project lie what applications recorded (``shop@1.4.json``), which of them run where
(``deployments.json``), and which breaks somebody approved (``approved.toml``).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.products import CHAMPION, OF_EXPERIMENT, ProductRef
from filiera.core.signature import Signature
from filiera.errors import FilieraError, ProjectError, Rejected, StoreError, UsageError
from filiera.project.serving.predictions import Predictions
from filiera.project.serving.runtimes import model_to_serve

if TYPE_CHECKING:
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.contract import ModelContract
    from filiera.serving.contracts.deployments import Deployments
    from filiera.serving.contracts.pact import Recorded
    from filiera.serving.contracts.part import Part
    from filiera.serving.contracts.verification import Known, Verification
    from filiera.serving.served_model import ServedModel

FOLDER = "contracts"
LOGGED_ROWS = 1000
"""So many of the latest logged rows a candidate is asked beside the version that answers."""
_BACK_S = (3600, 86_400, 30 * 86_400)
"""How far back they are looked for, each time further, until there are enough: to read a whole log takes minutes."""


def contract_of(project: Project, version: Version) -> ModelContract:
    """Return what a model version promises. Raises UsageError when it cannot be served."""
    from filiera.serving.contract import ModelContract

    if "signature" not in version.attachments:
        raise UsageError(
            f"{version.ref} has no signature.",
            why="Whoever published it did not say what it takes and gives.",
            do="Publish it by a pipeline of kind model.",
        )
    signature: Signature = project.value(version.attachments["signature"])
    return ModelContract(name=_called(version.name), version=version.number, signature=signature)


def promote(project: Project, ref: ProductRef, alias: str, *, reason: str) -> tuple[Version, Verification | None]:
    """Point an alias at a version that keeps what the alias has promised; return it, and what was found.

    Raises:
        UsageError: There is no such version, or the alias is reserved or malformed.
        Untrusted: The project asks for a signature that the version does not have.
        Rejected: The version would break applications; nothing was moved.
    """
    version = project.versions.promotable(ref, alias)
    verification = require_kept(project, version, alias)
    return project.versions.promote(ref, alias, reason=reason, at=project.clock()), verification


def require_kept(project: Project, version: Version, alias: str = CHAMPION) -> Verification | None:
    """Return what verifying a version found before *alias* points at it; None for what no application can call.

    That is a dataset, a model without a signature, and any model where services are not installed and nobody has
    written down a contract.

    Raises:
        ProjectError: There are contracts, and what serves models is not installed.
        Rejected: It does not keep the contract; the message says which parts failed and why.
    """
    if version.kind == "dataset" or "signature" not in version.attachments or not _can_serve(project):
        return None
    found = verify_version(project, version, alias)
    if not found.blocks:
        return found
    failed = [part for part in found.parts if part.state == "failed"]
    raise Rejected(
        f"{version.ref} does not keep the contract of {_called(version.name)}@{alias}: nothing was moved.",
        why="\n     ".join(line for part in failed for line in _lines(part)),
        do=_advice(version, failed),
    )


def verify_version(project: Project, version: Version, alias: str = CHAMPION) -> Verification:
    """Return what all parts of the gate say of a model version that is to answer under *alias*."""
    from filiera.serving.contracts.verification import verify

    candidate = _served(project, version)
    found = verify(candidate, _known(project, version, candidate, alias))
    parts = tuple(_with_surroundings(project, version, part) for part in found.parts)
    return replace(found, parts=parts)


def verify_service(project: Project, version: Version, url: str, *, token: str | None) -> Verification:
    """Return whether the service at an address keeps the contract of a model version, as callers meet it.

    Raises:
        UsageError: The address is none, or the service has no such model.
        FilieraError: The service cannot be reached.
    """
    from filiera.serving.client import ServiceClient
    from filiera.serving.contracts.deployments import read_deployments
    from filiera.serving.contracts.running import verify_running

    contract, folder = contract_of(project, version), project.config.root / FOLDER
    recorded, _ = consumers_of(folder, contract.name, read_deployments(folder))
    mine = [one for one in recorded if one.asks(contract.address)]
    return verify_running(ServiceClient(url, token=token), contract, mine)


def replay_where(project: Project, version: Version, environment: str) -> tuple[Part, tuple[str, ...]]:
    """Return whether a version answers all applications that run in an environment as they need, and which they are.

    Raises UsageError when nothing is known of the environment.
    """
    from filiera.serving.contracts.deployments import read_deployments
    from filiera.serving.contracts.part import Part
    from filiera.serving.contracts.verification import replay_recorded

    folder = project.config.root / FOLDER
    deployed = read_deployments(folder) or {}
    if environment not in deployed:
        raise UsageError(
            f"Nothing is known to run in {environment!r}.",
            why=f"{folder / 'deployments.json'} knows: {', '.join(deployed) or 'no environment'}.",
            do=f"filiera contract deployed NAME@VERSION --to {environment}",
        )
    recorded, missing = consumers_of(folder, _called(version.name), {environment: deployed[environment]})
    if missing:
        reason = f"no contract of {', '.join(missing)}, which runs in {environment}"
        return Part(name="consumers", state="failed", reason=reason), missing
    candidate = _served(project, version)
    return replay_recorded(candidate, recorded, _converts_from(project, version)), tuple(one.who for one in recorded)


def consumers_of(folder: Path, model: str, deployed: Deployments | None) -> tuple[list[Recorded], tuple[str, ...]]:
    """Return the contracts of a model's applications that count, and which applications lack one.

    Where it is known what runs where, the contracts of what runs somewhere count, else all. An application is one of
    the model's when any version of it has recorded a contract with it.
    """
    from filiera.serving.contracts.pact import read_pacts

    recorded = read_pacts(folder, model)
    if deployed is None:
        return recorded, ()
    running = {(name, version) for each in deployed.values() for name, version in each.items()}
    mine = {one.consumer for one in recorded}
    known = {(one.consumer, one.consumer_version) for one in recorded}
    missing = sorted(f"{name}@{version}" for name, version in running - known if name in mine)
    return [one for one in recorded if (one.consumer, one.consumer_version) in running], tuple(missing)


def _with_surroundings(project: Project, version: Version, part: Part) -> Part:
    """Return a start that failed with what is otherwise here than where the version was published."""
    if part.name != "start" or part.state != "failed":
        return part
    from filiera.core.distributions import versions_in
    from filiera.project.proving.divergence import differing_facts
    from filiera.project.proving.proof_place import recorded_lock
    from filiera.project.record import machine

    runs = project.records.read("get_run", {"run_id": version.run_id})
    record = json.loads(runs[0]["record"]) if runs else {}
    then = {**record, "distributions": recorded_lock(project, record)}
    facts = differing_facts(then, {**machine(), "distributions": versions_in(sys.path)})
    others = f"since it was published: {'; '.join(facts)}" if facts else "what is installed here is as it was then"
    return replace(part, details=(*part.details, others))


def _can_serve(project: Project) -> bool:
    if find_spec("msgspec") is not None:
        return True
    folder = project.config.root / FOLDER
    if not folder.exists():
        return False
    raise ProjectError(
        f"The contracts in {folder} cannot be verified.",
        why="What serves models is not installed here.",
        do="pip install 'filiera[serve]'",
    )


def _called(name: str) -> str:
    return name.partition(OF_EXPERIMENT)[0]


def _served(project: Project, version: Version) -> ServedModel:
    from filiera.serving.served_model import ServedModel

    model, signature = model_to_serve(project, version)
    return ServedModel(_called(version.name), model, version=version.number, signature=signature)


def _known(project: Project, version: Version, candidate: ServedModel, alias: str) -> Known:
    from filiera.serving.contracts.approval import read_approvals
    from filiera.serving.contracts.deployments import read_deployments
    from filiera.serving.contracts.verification import Known
    from filiera.serving.served_model import ServedModel

    folder = project.config.root / FOLDER
    deployed = read_deployments(folder)
    recorded, missing = consumers_of(folder, _called(version.name), deployed)
    before = _before(project, version, alias, candidate.contract.signature.major)
    promised = contract_of(project, before) if before is not None else None
    converts_from = _converts_from(project, version)
    addresses = {each.address for each in (candidate.contract, promised, converts_from) if each is not None}
    trained = None
    if "onnx" in version.attachments:
        model, signature = project.model_parts(version)
        trained = ServedModel(_called(version.name), model, version=version.number, signature=signature)
    return Known(
        deployed=promised,
        answering=_loaded(project, before) if before is not None else None,
        before=converts_from,
        logged=latest_rows(project, _called(version.name)) if promised is not None and _are_whole(promised) else (),
        trained=trained,
        recorded=[one for one in recorded if any(map(one.asks, addresses))],
        missing=missing,
        are_all=deployed is not None,
        approvals=read_approvals(folder),
        today=dt.datetime.fromtimestamp(project.clock(), dt.UTC).date(),
    )


def _converts_from(project: Project, version: Version) -> ModelContract | None:
    """Return the contract of the major before, if the version answers applications of that. Raises UsageError."""
    from filiera.project.serving.conversions import contract_before

    signature: Signature = project.value(version.attachments["signature"])
    return contract_before(project, version) if signature.conversion is not None else None


def _are_whole(contract: ModelContract) -> bool:
    """Tell whether logged rows of a model can be asked again: of none of its inputs stands something else there."""
    return all(field.redaction is None for field in contract.signature.inputs)


def latest_rows(project: Project, name: str, most: int = LOGGED_ROWS) -> list[Mapping[str, Any]]:
    """Return the latest rows that services of a model have logged in the last month, at most *most*, the oldest first.

    [] where the log cannot be read: that must not keep a better version from callers.
    """
    log = Predictions(project, name)
    found: deque[Mapping[str, Any]] = deque(maxlen=most)
    with suppress(StoreError):
        for back_s in _BACK_S:
            found.clear()
            found.extend(record["inputs"] for record in log.read(since=project.clock() - back_s))
            if len(found) == most:
                break
    return list(found)


def _loaded(project: Project, version: Version) -> ServedModel | None:
    """Return a version, or None when it cannot be loaded: it must not keep another from taking its place."""
    try:
        return _served(project, version)
    except FilieraError:
        return None


def _before(project: Project, version: Version, alias: str, major: int) -> Version | None:
    """Return the version whose contract counts: what the alias points at; for a new alias the champion of its major."""
    name = _called(version.name)
    for selector in (alias, CHAMPION):
        try:
            found = project.versions.get(version.kind, ProductRef(name, selector))
        except UsageError:
            continue
        if "signature" not in found.attachments:
            return None
        is_mine = selector == alias or contract_of(project, found).signature.major == major
        return found if is_mine else None
    return None


def _lines(part: Part) -> list[str]:
    return [f"{part.name}: {part.reason}", *(f"  {line}" for line in part.details)]


def _advice(version: Version, failed: list[Part]) -> str:
    see = f"filiera contract verify {version.ref} shows all parts."
    if any(part.name == "diff" for part in failed):
        return (
            f"{see} Keep the contract; or give the model Contract(major=…) and promote it to an alias of its own; or "
            f"let somebody approve the break in {FOLDER}/approved.toml."
        )
    return see
