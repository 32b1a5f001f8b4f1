"""What is needed: the digests of all artifacts, blobs and code that a kept record names.

There may be millions. They are kept on the disk, in parts by their first digit, of which one at a time is in memory;
what is looked up comes in the same order.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, cast

from filiera.core.artifact import ArtifactRef
from filiera.core.parts import PARTS_CODEC, read_parts
from filiera.engine.rows import read_metrics, read_refs
from filiera.errors import BlobCorrupted, BlobMissing, CodecError
from filiera.ports import Row
from filiera.project import plugins
from filiera.project.contributing import contributions_key
from filiera.project.importances import importance_key
from filiera.project.profiles import profile_key
from filiera.project.project import Project
from filiera.project.record import blobs_named

Tell = Callable[[str], None]
"""Told now and then what long work has come to."""

_DIGITS = "0123456789abcdef"
_DIGEST_BYTES = 32
_PIECE_BYTES = _DIGEST_BYTES * 32_768
_AT_ONCE = 5000
_REMEMBERED = 100_000


class Parts:
    """Records of one length that begin with a digest, on the disk in 16 parts, which go when this is closed.

    >>> with Parts(Path(), 32) as parts:
    ...     parts.add("ab" * 32)
    ...     [len(list(parts.of(digit))) for digit in "ab"]
    [1, 0]
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._stack = ExitStack()
        # Files without a name: a process that is killed leaves none behind.
        self._files = {digit: self._stack.enter_context(_nameless_file(folder)) for digit in _DIGITS}

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, digest: str, more: bytes = b"") -> None:
        """Add a record: a digest of 64 hex digits, and *more* bytes."""
        self._files[digest[0]].write(bytes.fromhex(digest) + more)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all records, in the order of their digests' first digit."""
        for digit in _DIGITS:
            yield from self.of(digit)

    def of(self, digit: str) -> Iterator[bytes]:
        """Yield the records whose digest begins with a hex digit."""
        file = self._files[digit]
        file.seek(0)
        while piece := file.read(self._size_bytes * 4096):
            for start in range(0, len(piece), self._size_bytes):
                yield piece[start : start + self._size_bytes]


class Marks:
    """A set of digests on the disk, asked for in the order of the digests."""

    def __init__(self, folder: Path) -> None:
        self._parts = Parts(folder, _DIGEST_BYTES)
        self._digit = ""
        self._part: set[bytes] = set()
        self._recent: set[str] = set()

    def __enter__(self) -> Marks:
        return self

    def __exit__(self, *error: object) -> None:
        self._parts.__exit__(*error)

    def add(self, digest: str) -> None:
        """Add a digest; it is forgotten what was in memory for looking up."""
        if digest in self._recent:  # the same few values come again and again
            return
        if len(self._recent) >= _REMEMBERED:
            self._recent.clear()
        self._recent.add(digest)
        self._parts.add(digest)
        self._digit = ""

    def __contains__(self, digest: str) -> bool:
        if digest[0] != self._digit:
            self._digit = digest[0]
            self._part = set(self._parts.of(self._digit))
        return bytes.fromhex(digest) in self._part


class Needed:
    """The marks of one look at all records."""

    def __init__(self, project: Project, tell: Tell) -> None:
        self._project = project
        self._tell = tell
        self._manifests: set[tuple[str, str]] = set()
        self._stack = ExitStack()
        self.values = self._stack.enter_context(Marks(project.store))  #: digests of artifacts and blobs
        self.keys = self._stack.enter_context(Marks(project.store))  #: cache keys
        self.code = self._stack.enter_context(Marks(project.store))  #: digests of closures

    def __enter__(self) -> Needed:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def look(self, stays: Callable[[Row], bool]) -> None:
        """Mark what the runs that stay, their steps, all versions, predictions and open questions need."""
        self._runs(stays)
        self._steps(stays)
        self._versions()
        for row in self._project.records.read("all_prediction_parts"):
            self.values.add(row["digest"])
        for row in self._project.records.read("questions_of_waiting_runs"):
            codec, _, digest = str(json.loads(row["body"])["subject"]).rpartition(":")
            self._mark(ArtifactRef(digest=digest, codec=codec, size_bytes=0))

    def mark(self, outputs: str) -> None:
        """Mark the artifacts of an ``outputs`` column, and the blobs that they are made of."""
        for ref in read_refs(outputs, _no_bytes):
            self._mark(ref)

    def mark_list(self, manifest: bytes) -> None:
        """Mark the artifacts that a manifest of a list names, if it can be read."""
        with suppress(ValueError):
            for part in read_parts(manifest)[1]:
                self._mark(part)

    def _runs(self, stays: Callable[[Row], bool]) -> None:
        place = {"run_id": ""}
        while rows := self._project.records.read("runs_after", {**place, "limit": _AT_ONCE}):
            for row in rows:
                for digest in blobs_named(json.loads(row["record"])) if stays(row) else ():
                    self.values.add(digest)
            place = {"run_id": rows[-1]["run_id"]}

    def _steps(self, stays: Callable[[Row], bool]) -> None:
        place, count = {"run_id": "", "step": ""}, 0
        known: dict[str, bool] = {}
        while rows := self._project.records.read("recorded_steps", {**place, "limit": _AT_ONCE}):
            for row in rows:
                if row["run_id"] not in known:
                    known = {row["run_id"]: stays(row)}
                if not known[row["run_id"]]:
                    continue
                self.mark(row["outputs"])
                if (logged := read_metrics(row["metrics"])) is not None:
                    self._mark(logged.curves)
                if row["key"]:
                    self.keys.add(row["key"])
                if row["closure_digest"]:
                    self.code.add(row["closure_digest"])
            place = {name: rows[-1][name] for name in place}
            count += len(rows)
            self._tell(f"{count:,} steps looked at")

    def _versions(self) -> None:
        place = {"kind": "", "name": "", "number": 0}
        while rows := self._project.records.read("versions_after", {**place, "limit": _AT_ONCE}):
            for row in rows:
                attached = json.loads(row["body"])["attachments"]
                for text in (row["artifact"], *attached.values()):
                    self.mark(text)
                for ref in read_refs(row["artifact"], _no_bytes):
                    self.keys.add(profile_key(ref))
                    for evaluation in read_refs(attached.get("evaluation", ""), _no_bytes):
                        self.keys.add(importance_key(ref, evaluation))
                        self.keys.add(contributions_key(ref, evaluation))
            place = {name: rows[-1][name] for name in place}

    def _mark(self, ref: ArtifactRef) -> None:
        self.values.add(ref.digest)
        if not plugins.has_parts(ref.codec) or (ref.digest, ref.codec) in self._manifests:
            return
        if len(self._manifests) >= _REMEMBERED:
            self._manifests.clear()
        self._manifests.add((ref.digest, ref.codec))
        try:
            if ref.codec == PARTS_CODEC:
                for part in read_parts(self._manifest(ref))[1]:
                    self._mark(part)
            else:
                for digest in plugins.blobs_of(ref, self._read):
                    self.values.add(digest)
        except (BlobMissing, BlobCorrupted, CodecError, ValueError):
            # The bytes that would name its parts are lost: what makes them anew puts the parts again too.
            return

    def _manifest(self, ref: ArtifactRef) -> bytes:
        return ref.inline if ref.inline is not None else self._read(ref.digest)

    def _read(self, digest: str) -> bytes:
        # Also one that is set aside: on the second look it may turn out to be needed, and then its parts are too.
        rows = self._project.records.read("kept_bytes", {"digest": digest})
        return bytes(rows[0]["inline"]) if rows else self._project.blobs.get(digest)


def _no_bytes(digest: str, codec: str) -> None:
    """Stand in for what finds the bytes of small artifacts: only manifests are read, each once."""


def _nameless_file(folder: Path) -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile("a+b", dir=folder))
