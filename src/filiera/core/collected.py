"""What is recorded of collecting a source: what was asked, from where, when, and how much came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from filiera.core.value import dataclass

ATTACHED = "collected-"
"""What is recorded of collecting the source ``orders`` is attached to versions as ``collected-orders``."""


@dataclass(kw_only=True, slots=True)
class Collected:
    """One collection of a source. It goes with the run and with every version that is made from it.

    Not frozen, as values are elsewhere: what is read in batches is read when it is stored, after the reader returned,
    and only then are rows and bytes known. It is stored behind the value it describes, and does not change any more.

    >>> Collected(entry={"type": "csv", "path": "orders.csv"}, place="/data/orders.csv", rows=3).rows
    3
    """

    entry: Mapping[str, Any]  #: what was asked: the entry as ``filiera.toml`` has it, ``${NAME}`` not filled in
    fingerprint: str = ""  #: of the source's content and how it is read; 64 hex digits
    is_snapshot: bool = False  #: it is of one state, named by *fingerprint*, whatever was written meanwhile
    at: float = 0.0  #: when, seconds since the epoch, UTC
    place: str = ""  #: where it came from, such as a path or an address, without credentials
    files: int = 0  #: how many files were read; 0 when it is no matter of files
    rows: int | None = None  #: of a table
    size_bytes: int = 0  #: so many bytes were read: of files as they lie there, of a database as they came
    more: dict[str, Any] = field(
        default_factory=dict
    )  #: plain data that only this type of source knows, to come back to
