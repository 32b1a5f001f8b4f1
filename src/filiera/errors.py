"""Errors a caller may want to catch, each saying what happened, why, and what to do.

FilieraError (exit code 1)
├── UsageError        2   a name, option or value that does not exist or has the wrong type
├── ProjectError      4   ``filiera.toml`` or the project's code cannot be used
│   └── GraphError        a pipeline that cannot be a graph: cycle, wrong types, unpublishable output
├── SourceError       6   a source of the catalog is missing, unreadable or not what was declared
│   └── ArchiveError      a file that is no archive of runs, or is damaged
├── StoreError        5   the store cannot be read or written
│   ├── BlobMissing       the records name bytes that are not there
│   ├── BlobCorrupted     bytes that do not have the digest they are filed under
│   ├── SchemaTooNew      the database was written by a newer version
│   ├── StoreBusy         another process holds the database for too long
│   └── StoreFull         no space left on the device
├── CodecError        1   a value that no codec can store, or bytes no codec can read
├── StepFailed        1   a step raised, crashed, ran out of time or memory
├── Rejected          3   a blocking check or gate said no
│   └── Untrusted         a version that must be signed is not, or what was signed has changed
├── Waiting           9   a run waits until a person has answered
└── Cancelled       130   the user stopped the run
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the known word most like *word*, with a blank before it; "" when none is like it.

    >>> did_you_mean("flosw", ["flows", "train"])
    " Did you mean 'flows'?"
    """
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class FilieraError(Exception):
    """Base of all errors we raise on purpose: *what* happened, *why*, and what to *do*.

    >>> print(FilieraError("No pipeline 'x'.", why="The project has: flows.", do="filiera run flows"))
    No pipeline 'x'.
    Why: The project has: flows.
    Do:  filiera run flows
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        self.what, self.why, self.do = what, why, do
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.do:
            lines.append(f"Do:  {self.do}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.why, self.do)


def _rebuild(kind: type[FilieraError], what: str, why: str, do: str) -> FilieraError:
    return kind(what, why=why, do=do)


class UsageError(FilieraError):
    """A name, option or value that does not exist or has the wrong type."""

    exit_code = 2


class ProjectError(FilieraError):
    """``filiera.toml`` or the project's code cannot be used."""

    exit_code = 4


class GraphError(ProjectError):
    """A pipeline that cannot be a graph: a cycle, wrong types, an output that cannot be published."""


class SourceError(FilieraError):
    """A source of the catalog is missing, unreadable or not what was declared."""

    exit_code = 6


class ArchiveError(SourceError):
    """A file that is no archive of runs, or is damaged."""


class StoreError(FilieraError):
    """The store cannot be read or written."""

    exit_code = 5


class BlobMissing(StoreError):
    """The records name bytes that are not in the blob store."""


class BlobCorrupted(StoreError):
    """Bytes that do not have the digest they are filed under."""


class SchemaTooNew(StoreError):
    """The database was written by a newer version of Filiera."""


class StoreBusy(StoreError):
    """Another process held the database for longer than we wait."""


class StoreFull(StoreError):
    """No space is left on the device that holds the store."""


class CodecError(FilieraError):
    """A value that no codec can store, or bytes that no codec can read."""


class StepFailed(FilieraError):
    """A step raised, crashed, or ran out of time or memory."""


class Rejected(FilieraError):
    """A blocking check or gate said no."""

    exit_code = 3


class Untrusted(Rejected):
    """A version that must be signed by a trusted key is not, or what was signed has changed."""


class Waiting(FilieraError):
    """A run waits until a person has answered a question."""

    exit_code = 9


class Cancelled(FilieraError):
    """The user stopped the run."""

    exit_code = 130


class NotRetryable(FilieraError):
    """A step raises it when another attempt cannot help: its retries are not used."""


class TrialPruned(NotRetryable):
    """A trial was ended early: what it logged was worse than what others had at the same step."""
