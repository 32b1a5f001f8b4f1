"""Breaks of a contract that somebody approved: ``approved.toml``, each with a reason and a last day.

An approval counts for one change, by its fingerprint, and until its day: then the change blocks again.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from filiera.core.value import dataclass
from filiera.errors import ProjectError
from filiera.serving.contracts.finding import Finding

FILE = "approved.toml"
_KEYS = ("model", "break", "reason", "until")
_FINGERPRINT = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Lets one break of a model's contract pass for a time."""

    model: str
    fingerprint: str  #: of the finding
    reason: str
    until: dt.date  #: the last day on which it counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One finding, and what was approved of it."""

    finding: Finding
    approval: Approval | None  #: the one for it, also when its day is past
    is_expired: bool = False

    @property
    def blocks(self) -> bool:
        """Tell whether it keeps a version from being deployed."""
        return self.finding.level == "ERR" and (self.approval is None or self.is_expired)

    @property
    def standing(self) -> str:
        """Return what was approved, for people; "" for a finding that needs no approval and has none.

        The day is told, so that it can be seen coming.
        """
        if self.approval is None:
            return ""
        how = "approval ended" if self.is_expired else "approved until"
        return f"{how} {self.approval.until.isoformat()}: {self.approval.reason}"


def read_approvals(folder: Path) -> tuple[Approval, ...]:
    """Return the approvals among the contracts in *folder*; none when it has no such file. Raises ProjectError."""
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} cannot be read.", why=str(error)) from error
    found = tables.get("approved", [])
    if set(tables) - {"approved"} or not isinstance(found, list):
        raise ProjectError(f"{path} has more than tables [[approved]].", do=_usage())
    return tuple(_approval(table, path) for table in found)


def judge(
    findings: Iterable[Finding], approvals: Sequence[Approval], *, model: str, today: dt.date
) -> tuple[Judged, ...]:
    """Return each finding with the approval of it, of those the one that lasts longest."""
    mine = sorted((one for one in approvals if one.model == model), key=lambda one: one.until)
    by_print = {one.fingerprint: one for one in mine}
    found = []
    for finding in findings:
        approval = by_print.get(finding.fingerprint) if finding.level == "ERR" else None
        is_expired = approval is not None and approval.until < today
        found.append(Judged(finding=finding, approval=approval, is_expired=is_expired))
    return tuple(found)


def _approval(table: Any, path: Path) -> Approval:
    if not isinstance(table, dict) or sorted(table) != sorted(_KEYS):
        had = ", ".join(table) if isinstance(table, dict) else repr(table)
        raise ProjectError(f"An approval in {path} has {had}.", do=_usage())
    texts = [table[key] for key in ("model", "break", "reason")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ProjectError(f"An approval in {path} has an empty model, break or reason.", do=_usage())
    if not _FINGERPRINT.fullmatch(texts[1]):
        raise ProjectError(
            f"An approval in {path} is for {texts[1]!r}, which is no fingerprint.",
            do="Copy the 12 digits that filiera contract diff prints.",
        )
    until = table["until"]
    if isinstance(until, dt.datetime) or not isinstance(until, dt.date):
        raise ProjectError(f"An approval in {path} ends at {until!r}.", do="Write a day: until = 2026-12-31")
    return Approval(model=texts[0], fingerprint=texts[1], reason=texts[2].strip(), until=until)


def _usage() -> str:
    return "Give each [[approved]] model, break (its fingerprint), reason, and until (such as 2026-12-31)."
