"""What checks look at beside the table that is published: versions of datasets, and what time it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from filiera.core.graph import Known
from filiera.core.products import ProductRef
from filiera.core.value import dataclass

if TYPE_CHECKING:
    from filiera.core.check import Check
    from filiera.project.versions import Version

BEFORE = "version before"
"""What the version before is called among the inputs of a run."""

CLOCK = "checked at"

_WITH_THE_VERSION_BEFORE = ("rows_near", "no_drift")


@dataclass(frozen=True, kw_only=True, slots=True)
class BesideLookups:
    """How to find what lies beside a table."""

    version: Callable[[ProductRef], Version]  #: reference → version; raises UsageError
    newest: Callable[[str], Version | None]  #: name of a dataset → its newest version
    now: Callable[[], dt.datetime]  #: with a time zone


def find_beside(
    checks: Iterable[Check], published: str, lookups: BesideLookups
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arguments that validating needs beside the table, and where they come from, as inputs of the run.

    A check of freshness makes that different each time: it is never answered from the cache. All others look at
    versions, which do not change.

    Raises:
        UsageError: A check names a version that does not exist.
    """
    tables: dict[str, Known] = {}
    origins: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    for check in checks:
        if check.kind == "fresh" and CLOCK not in origins:
            origins[CLOCK] = lookups.now().isoformat()
            arguments["now"] = origins[CLOCK]
        if check.table in tables or not (check.table or check.kind in _WITH_THE_VERSION_BEFORE):
            continue
        version = lookups.version(ProductRef.parse(check.table)) if check.table else lookups.newest(published)
        if version is not None:
            tables[check.table] = Known(version.artifact, version.ref)
            origins[check.table or BEFORE] = version.ref
    return ({**arguments, "tables": tables} if tables else arguments), origins
