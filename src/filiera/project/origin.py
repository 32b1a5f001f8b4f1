"""What the records say of how a version was made: code, environment, parameters, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from filiera.core.products import ProductRef
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.ports import MetadataStore, Row
from filiera.project.versions import Version, Versions

ADDED = ("gate", "publish", "time_model")
"""Steps that are added to a pipeline: their arguments are no parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """How the run that published a version went about it."""

    run_id: str
    commit: str  #: '' when there was none
    is_dirty: bool  #: the code differed from the commit
    environment: Mapping[str, str]  #: Python, platform, Filiera, and the libraries that the steps reach
    parameters: Mapping[str, Any]  #: plain values by "step.parameter"
    stages: Mapping[str, str]  #: the stage of each step


def origin_of(records: MetadataStore, version: Version) -> Origin | None:
    """Return how a version was made, or None when the records of its run are gone."""
    runs = records.read("get_run", {"run_id": version.run_id})
    if not runs:
        return None
    record = json.loads(runs[0]["record"])
    steps = own_steps(records.read("steps_of_run", {"run_id": version.run_id}))
    facts = {name: str(record.get(name, "")) for name in ("python", "platform", "filiera")}
    return Origin(
        run_id=version.run_id,
        commit=record.get("commit", ""),
        is_dirty=bool(record.get("is_dirty")),
        environment={**{name: value for name, value in facts.items() if value}, **_libraries(records, steps)},
        parameters=given_to(steps),
        stages={row["step"]: row["stage"] for row in steps},
    )


def parameters_of(records: MetadataStore, versions: Sequence[Version]) -> dict[str, dict[str, Any]]:
    """Return the parameters of versions as ``Origin`` has them, by version: {} when the records of its run are gone.

    It is one query for each product, however many versions there are.
    """
    found: dict[str, dict[str, Any]] = {version.ref: {} for version in versions}
    for (kind, name), same in groupby(sorted(versions, key=_product), key=_product):
        numbers = [version.number for version in same]
        where = {"kind": kind, "name": name, "least": min(numbers), "greatest": max(numbers)}
        for row in records.read("arguments_of_versions", where):
            held = found.get(f"{name}@{row['number']}")
            if held is not None:
                held.update((f"{row['step']}.{parameter}", value) for parameter, value in _given(row))
    return found


def _product(version: Version) -> tuple[str, str]:
    return version.kind, version.name


def own_steps(steps: Iterable[Row]) -> list[Row]:
    """Return those steps of a run that its pipeline has by itself: no items of maps, nothing added."""
    return [row for row in steps if not any(mark in row["step"] for mark in "[/") and row["step"] not in ADDED]


def given_to(steps: Iterable[Row]) -> dict[str, Any]:
    """Return the plain values that recorded steps were given, defaults too, by "step.parameter"."""
    return {f"{row['step']}.{name}": value for row in steps for name, value in _given(row)}


def _given(step: Row) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a step that are values, not outputs of other steps."""
    for name, value in json.loads(step["arguments"] or "{}").items():
        if not _is_made(value):
            yield name, value


def _is_made(value: Any) -> bool:
    match value:
        case {"$": "input"}:
            return True
        case dict():
            return any(map(_is_made, value.values()))
        case list():
            return any(map(_is_made, value))
    return False


def _libraries(records: MetadataStore, steps: list[Row]) -> dict[str, str]:
    """Return the versions of the distributions that the code of *steps* imports."""
    found: dict[str, str] = {}
    for digest in sorted({row["closure_digest"] for row in steps if row["closure_digest"]}):
        for row in records.read("get_closure", {"digest": digest}):
            for kind, name, _ in json.loads(row["parts"])["parts"]:
                if kind == "distribution":
                    library, _, number = name.rpartition(" ")
                    found[library] = number
    return dict(sorted(found.items()))


def lineage(versions: Versions, version: Version, depth: int = 0) -> Iterator[tuple[int, str, Version | None]]:
    """Yield what a version was made from, each thing before what it was made from itself.

    Yields:
        How many hand-overs lie between, from 0; the reference that the run recorded, such as ``flows@1`` or a source
        with the digest of its content; and the version, if it is one that the store has.
    """
    for reference in dict.fromkeys(one for text in version.inputs.values() for one in text.split(", ")):
        found = version_named(versions, reference)
        yield depth, reference, found
        if found is not None and depth < _DEEPEST:
            yield from lineage(versions, found, depth + 1)


_DEEPEST = 20
"""A version is made from older ones only, so that there is an end; but tampered records might have none."""


def version_named(versions: Versions, reference: str) -> Version | None:
    """Return the version that a recorded reference names; None when it names a source, or the version is gone."""
    if "@" not in reference:
        return None
    try:
        ref = ProductRef.parse(reference)
        return versions.get(versions.kind_of(ref.name), ref)
    except UsageError:
        return None
