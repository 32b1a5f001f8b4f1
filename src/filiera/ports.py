"""What Filiera needs from the outside world, as protocols of at most ten methods.

Adapters implement one port each with one outside library each; ``filiera.testing`` holds the contract tests that every
adapter, ours or a stranger's, must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from filiera.core.changes import CodeChanges
from filiera.core.collected import Collected
from filiera.core.message import Incoming
from filiera.core.task import CodeState, Entry, ExecutorEvent, Task

Row = Mapping[str, Any]
Statement = tuple[str, Mapping[str, Any]]
"""The name of a query in ``filiera/sql/queries/`` and its parameters."""


class BlobStore(Protocol):
    """Keeps bytes under their plain BLAKE3 digest. Putting the same bytes twice is harmless."""

    def put(self, content: bytes) -> str:
        """Store *content* and return its digest. Raises StoreFull, StoreError."""

    def adopt(self, file: Path, digest: str) -> None:
        """Take over a finished *file* from the scratch folder whose content has *digest* (the caller hashed it)."""

    def settle(self, digests: Iterable[str]) -> None:
        """Come back when these blobs, and all that were put or asked for here, survive a power cut.

        Raises BlobMissing, StoreError.
        """

    def get(self, digest: str) -> bytes:
        """Return the bytes, verified. Raises BlobMissing, BlobCorrupted."""

    def path(self, digest: str) -> Path:
        """Return a local, read-only file with the bytes, verified, for reading or mapping. Same errors as get."""

    def has(self, digest: str) -> bool:
        """Tell whether the digest is there: never of bytes that a power cut took (else the content is unverified)."""

    def delete(self, digest: str) -> None:
        """Remove a blob; absent is fine."""

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        """Yield digest, size in bytes and time of storing (seconds since the epoch) of every blob."""

    def scratch(self) -> Path:
        """Return a folder for unfinished files, on the same file system, so that adopting is a rename."""

    def sweep_scratch(self, older_than_s: float) -> int:
        """Remove unfinished files that nobody has touched for so long, and return how many bytes that gave back."""


class MetadataStore(Protocol):
    """Keeps the records: runs named SQL, one writer at a time."""

    def write(self, statements: Sequence[Statement], *, durable: bool = False) -> list[list[Row]]:
        """Run *statements* in one transaction, all or nothing; return each one's rows (RETURNING), else empty lists.

        With *durable*, come back only when the records survive a power cut. Raises StoreBusy, StoreFull, StoreError.
        """

    def read(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of a named query, as of the last finished write."""

    def close(self) -> None:
        """Give back what is held. A closed store is not used again."""


class ArtifactWriter(Protocol):
    """Where a codec writes one value."""

    @property
    def stream(self) -> BinaryIO:
        """The artifact's bytes: append only; ``write`` and ``tell``, no seeking."""

    def put_child(self, content: bytes | Path) -> str:
        """Store a part of its own (a file of a folder) and return its digest, to be named in the stream."""

    def has_child(self, digest: str) -> bool:
        """Tell whether a part is stored already, so that it need only be named."""


class ArtifactReader(Protocol):
    """Where a codec reads one value from: small ones with ``bytes``, large ones with ``path``."""

    @property
    def size_bytes(self) -> int:
        """How many bytes the artifact has, known without reading it."""

    def bytes(self) -> bytes:
        """The artifact's bytes in memory."""

    def path(self) -> Path:
        """The artifact's bytes as a read-only local file, for mapping."""

    def child(self, digest: str) -> Path:
        """A part stored with ``put_child``, as a read-only local file."""


class Codec(Protocol):
    """Turns values of some types into deterministic bytes and back. Never pickle."""

    name: str  #: "arrow/1": changing the bytes a value gets means a new number

    def handles(self, value: object) -> bool:
        """Tell whether this codec stores *value*; must not import the library to find out."""

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        """Write *value*: the same value gives the same bytes on any machine. Raises CodecError."""

    def decode(self, reader: ArtifactReader) -> Any:
        """Return an equal value. Raises CodecError."""


@runtime_checkable
class TableCodec(Codec, Protocol):
    """A codec of tables that need not be in memory."""

    def scan(self, reader: ArtifactReader) -> Any:
        """Return a ``polars.LazyFrame`` that reads the table when it is run. Raises CodecError."""


class Executor(Protocol):
    """Runs tasks somewhere. A task's crash, exit, hang or death is its own failure and nothing else's."""

    follows: bool
    """Workers go on by themselves with tasks that follow others; else such tasks are dropped."""

    @property
    def slots(self) -> int:
        """How many tasks can run at once."""

    def submit(self, task: Task) -> None:
        """Take a task; it starts when a place is free. Never blocks on the task."""

    def wait(self, timeout_s: float | None) -> Sequence[ExecutorEvent]:
        """Return what happened since the last call; block until something does or *timeout_s* has passed."""

    def cancel(self, task_ids: Collection[str]) -> None:
        """Stop these tasks; each still ends in one Finished, with a failure of kind "cancelled"."""

    def close(self) -> None:
        """Stop everything and leave no process behind."""


class SourceReader(Protocol):
    """Reads one type of catalog entry, such as ``csv``."""

    def check(self, entry: Entry) -> None:
        """Refuse an entry with missing, unknown or mistyped options. Raises ProjectError."""

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest that changes when the source's content does. Raises SourceError."""

    def read(self, entry: Entry, root: Path, collected: Collected) -> Any:
        """Return the value, usually a ``polars.LazyFrame``, and say in *collected* where it comes from and how much.

        A query is run while it is stored, in batches: what it raises then, and what it counts in *collected*, are as
        good as if it had been before. *root*: paths are relative to it. Raises SourceError.
        """


@runtime_checkable
class GrowingReader(SourceReader, Protocol):
    """Reads only what is new, of sources that grow."""

    def grows(self, entry: Entry) -> bool:
        """Tell whether an entry asks for that."""

    def read_more(self, entry: Entry, root: Path, collected: Collected, before: tuple[Any, Collected]) -> Any:
        """Return what ``read`` does: the value collected *before* with what is new. Raises SourceError."""


class CodeHistory(Protocol):
    """What version control knows of the project's code. Asking writes nothing into the repository."""

    def ask(self) -> None:
        """Begin to look, so that ``state`` answers sooner; need not be called."""

    def state(self) -> CodeState | None:
        """Return the commit that is checked out and whether files differ from it; None outside a repository."""

    def changes(self) -> CodeChanges | None:
        """Return how files differ from the commit, as ``state`` last found it; ignored files do not count."""

    def leaves_out(self, pattern: str) -> bool:
        """Tell whether the commit has files that a path or pattern names and the folder does without on purpose."""

    def check_out(self, commit: str, patch: bytes, folder: Path) -> Path:
        """Write a commit's files, patched, into a new folder; return the project's place. Raises ProjectError."""


class PredictionLog(Protocol):
    """Keeps what services answered, append-only, off the hot path."""

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep records (each with ``id``, ``at``, ``inputs``, ``outputs``); does not wait for the disk."""

    def append_requests(
        self,
        about: Mapping[str, Any],
        requests: Sequence[bytes],
        answers: Sequence[bytes],
        *,
        count: int,
        raw: Sequence[bytes | memoryview] = (),
    ) -> None:
        """Keep the *count* records of some requests as they went over the wire; does not wait for the disk.

        Each request is a JSON object whose ``instances`` are the inputs, its answers a JSON list of ids with outputs;
        *about* is what all the records share, with ``at`` in it. Either may be an object of columns in place of a list
        of rows: ``height``, ``names`` in order, ``columns`` with a list of values by name; and ``blocks``, each with
        ``names`` and a ``code``, whose numbers lie in *raw*: one column behind another, little-endian, of the type that
        the code is for the standard library's ``array``, NaN for a missing one; blocks in the order in which they are
        mentioned, first those of requests. With ``of``, a block has the parts of the objects that this column holds.
        """

    def keep(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep records, and come back when they are on disk. Raises StoreError when that cannot be promised."""

    def flush(self) -> None:
        """Return when all that was appended before is on disk."""

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield intact records in order of logging; a torn tail is skipped and counted, never an error."""

    def dropped(self) -> int:
        """Return how many records could not be kept (disk full): counted, never silent."""

    def trouble(self) -> str:
        """Return why records cannot be kept now, or ''; asked for each request. It ends by itself when they can."""

    def close(self) -> None:
        """Flush and stop."""


class MessageSource(Protocol):
    """Hands out the messages of a broker at least once: what is not confirmed comes again, here or to another member.

    Members of a group, on one machine or several, share the messages: each goes to one of them. Making one connects to
    nothing and refuses, with ProjectError, what cannot be an address. After a SourceError it is closed, and another one
    is made.
    """

    def receive(self, most: int, wait_s: float) -> Sequence[Incoming]:
        """Return up to *most* messages in their order: those that are there, else the first to come within *wait_s*.

        Connects when it is first called. A broker may hand out no more once a hundred are not confirmed. Raises
        SourceError: the broker cannot be reached, or refuses.
        """

    def confirm(self) -> None:
        """Say that all that was received, perhaps nothing, is kept elsewhere. Raises SourceError."""

    def close(self) -> None:
        """Disconnect; what is not confirmed is for others. Never raises, and may be called again."""


Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""
