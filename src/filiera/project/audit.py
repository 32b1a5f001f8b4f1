"""Who did what, and when: rows that are only added, each with a digest that covers the row before it.

An act and its row are written in one transaction: what acts adds the statement that ``entry`` returns to its own. The
digest is computed by the database, under the lock of that transaction, so that two who write at once make one chain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Literal, get_args

from filiera.core.value import dataclass
from filiera.engine.rows import to_json
from filiera.errors import StoreError
from filiera.ports import MetadataStore, Row, Statement

ACTOR_VARIABLE = "FILIERA_ACTOR"
Action = Literal[
    "run", "resume", "cancel", "publish", "promote", "deploy", "rollback", "approve", "refuse", "override", "sign",
    "key", "gc", "import",
    "repair",
    "drop",
    "restore",
    "accept",
]  # fmt: skip
ACTIONS: tuple[str, ...] = get_args(Action)
NEWEST = 2**62
"""Above the number of every row."""
_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row: what somebody did."""

    number: int  #: counts up by one
    at: float  #: seconds since the epoch, UTC; a clock may be set back, so the order is that of the numbers
    actor: str  #: "user@host", or what ``$FILIERA_ACTOR`` said
    action: str
    subject: str  #: what it was done to: "flow-classifier@3", "train-3", the start of a key
    detail: Mapping[str, Any] = field(default_factory=dict)
    digest: str  #: of the row and of the digest before it: SHA-256, 64 hex digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What a look at the whole chain found."""

    rows: int  #: how many are as they were written, from the first on
    head: str  #: digest of the last of these; '' when there is none
    fault: str  #: what is wrong with the next one; '' when all are as they were written


def actor() -> str:
    """Return who acts: ``$FILIERA_ACTOR``, or else ``user@host``."""
    told = os.environ.get(ACTOR_VARIABLE, "").strip()
    return _storable(told or f"{_user()}@{os.uname().nodename}")


def entry(action: Action, subject: str, *, at: float, detail: Mapping[str, Any] | None = None) -> Statement:
    """Return the statement that notes an act of this user; it belongs into the transaction of the act itself.

    Args:
        action: What was done.
        subject: What it was done to, such as a run or ``name@number``.
        at: Seconds since the epoch, UTC.
        detail: Plain JSON values that say more.
    """
    return "add_audit_entry", {**_row(action, at, detail), "subject": _storable(subject)}


def came_from(records: MetadataStore, action: Literal["import", "publish"], subject: str) -> str:
    """Return the name of the archive that a run (import) or a version (publish) came in; '' when it was made here."""
    asked = {"subject": subject, "action": action, "actor": "", "before": NEWEST, "limit": _AT_ONCE}
    found = (json.loads(row["detail"]).get("from", "") for row in records.read("find_audit_of_subject", asked))
    return next(filter(None, found), "")


def entry_of_new_run(*, pipeline: str, driver: str, at: float, detail: Mapping[str, Any] | None = None) -> Statement:
    """Return the statement that notes the start of a run, to follow ``create_run``, which gives the run its number."""
    return "audit_new_run", {**_row("run", at, detail), "pipeline": pipeline, "driver": driver}


def entry_of_new_version(version: Mapping[str, Any], *, at: float, detail: Mapping[str, Any]) -> Statement:
    """Return the statement that notes a publishing, to follow ``add_product_version``, whose parameters it is given."""
    named = {name: version[name] for name in ("kind", "name", "content", "run_id")}
    return "audit_new_version", {**_row("publish", at, detail), **named}


def find(
    records: MetadataStore,
    *,
    subject: str = "",
    action: str = "",
    actor: str = "",
    page: tuple[int, int] = (NEWEST, 50),
) -> list[Entry]:
    """Return what was done, newest first; about one subject, of one action, by one actor when these are given.

    Args:
        records: Where it was noted.
        subject: Such as ``train-3`` or ``flow-classifier@3``.
        action: One of ``ACTIONS``.
        actor: Such as ``ada@lab``.
        page: Only rows with a number below the first, and at most as many as the second.
    """
    query = "find_audit"
    if subject or action or actor:
        query += "_of_subject" if subject else "_of_action" if action else "_of_actor"
    before, limit = page
    where = {"subject": subject, "action": action, "actor": actor, "before": before, "limit": limit}
    return [_entry(row) for row in records.read(query, where)]


def verify(records: MetadataStore, *, noted: str = "") -> Verified:
    """Return whether every row is as it was written, by computing all digests anew.

    A row that was edited, removed, added or moved in the middle is found. That the last rows were removed only shows to
    who has noted a digest of one of them elsewhere: *noted* must be the digest of a row.
    """
    from hashlib import sha256

    before, is_there = Verified(rows=0, head="", fault=""), not noted
    for row in _all(records):
        number, fault = before.rows + 1, ""
        if row["number"] != number:
            gone = f"row {number} is" if row["number"] == number + 1 else f"rows {number} to {row['number'] - 1} are"
            fault = f"{gone} not there"
        elif sha256(_hashed(before.head, row)).hexdigest() != row["digest"]:
            fault = f"row {number} was changed after it was written, or the one before it was replaced"
        if fault:
            return Verified(rows=before.rows, head=before.head, fault=fault)
        before = Verified(rows=number, head=row["digest"], fault="")
        is_there = is_there or row["digest"] == noted
    return before if is_there else Verified(rows=before.rows, head=before.head, fault=f"no row has digest {noted}")


def must_hold(found: Verified) -> None:
    """Raise StoreError unless every row is as it was written."""
    if found.fault:
        raise StoreError(
            f"The audit is not what was written: {found.fault}.",
            why=f"Rows as they were written before it: {found.rows:,}. Somebody changed the database by hand.",
            do="Put back a copy of the records, and look at who may write there.",
        )


def _row(action: Action, at: float, detail: Mapping[str, Any] | None) -> dict[str, Any]:
    at = float(at) + 0.0  # a database may keep no sign of zero
    said = _storable(to_json(dict(detail or {})))
    return {"at": at, "at_text": repr(at), "actor": actor(), "action": action, "detail": said}


def _hashed(previous: str, row: Row) -> bytes:
    texts = (row["actor"], row["action"], row["subject"], row["detail"])
    counted = " ".join(f"{len(text)}:{text}" for text in texts)
    return f"{previous} {row['number']} {float(row['at'])!r} {counted}".encode()


def _all(records: MetadataStore) -> Iterator[Row]:
    after = 0
    while rows := records.read("audit_after", {"after": after, "limit": _AT_ONCE}):
        yield from rows
        after = rows[-1]["number"]


def _entry(row: Row) -> Entry:
    return Entry(**{**row, "detail": json.loads(row["detail"])})


def _storable(text: str) -> str:
    """Return a text that every database takes and measures alike: no zero characters, no half surrogate pairs."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or f"uid-{os.getuid()}"
