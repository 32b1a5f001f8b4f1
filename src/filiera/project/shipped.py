"""Versions that come with a project as a file beside ``filiera.toml``: written when it is shipped, taken by its store.

The store of a shipped project is a volume that outlives what is shipped: the next one finds it with the versions
before, with a log and a queue. So versions are added under the numbers that they have, and aliases are pointed where
the file says, once for each file: whoever moves them afterwards has the last word until another one is shipped, also
an older. What is in it is trusted as the code beside it is: the project names it.
"""

from __future__ import annotations

import fcntl
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from filiera.adapters.local_disk import disk_error
from filiera.adapters.run_archive import ArchiveReader, ArchiveWriter
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.products import check_name, check_product_name
from filiera.engine.rows import read_refs
from filiera.errors import FilieraError, StoreError
from filiera.ports import Row, Statement
from filiera.project import audit, plugins
from filiera.project.project import Project
from filiera.project.versions import Version, content_digest

FILE_NAME = "versions.filiera"
FORMAT = "filiera-versions"
FORMAT_VERSION = 1
_MARK = "taken-over"
_VERSION = ("kind", "name", "number", "artifact", "content", "run_id", "created_at", "body")
_ALIAS = ("kind", "name", "alias", "number")
_SIGNATURE = ("kind", "name", "number", "key", "project", "by", "at", "signature")
_ARTIFACT = ("digest", "codec", "size_bytes", "inline")


def write_versions(project: Project, versions: Iterable[Version], file: Path) -> None:
    """Write versions with all that they have, and the aliases that point at them; the same give the same bytes.

    Raises:
        StoreError: The store lacks something of them, or the file cannot be written.
    """
    chosen = sorted({(version.kind, version.name, version.number): version for version in versions}.items())
    tables: dict[str, list[Row]] = {"product_version": [], "alias": [], "signature": [], "artifact": []}
    artifacts: dict[tuple[str, str], ArtifactRef] = {}
    for (kind, name, number), version in chosen:
        where = {"kind": kind, "name": name, "number": number}
        tables["product_version"] += _picked(project.records.read("get_product_version", where), _VERSION)
        tables["alias"] += [{**where, "alias": alias} for alias in sorted(version.aliases)]
        signatures = [{**where, **row} for row in project.records.read("signatures_of", where)]
        tables["signature"] += _picked(signatures, _SIGNATURE)
        for ref in (version.artifact, *version.attachments.values()):
            artifacts[ref.digest, ref.codec] = ref
    tables["artifact"] = [_artifact_row(artifacts[key]) for key in sorted(artifacts)]
    writer = ArchiveWriter(file)
    try:
        for table, rows in tables.items():
            _write_rows(writer, table, rows)
        blobs = {digest for ref in artifacts.values() for digest in plugins.blobs_of(ref, project.blobs.get)}
        for digest in sorted(blobs):
            with project.blobs.path(digest).open("rb") as blob:
                writer.write(f"blobs/{digest}", blob, os.fstat(blob.fileno()).st_size)
        writer.close({"format": FORMAT, "version": FORMAT_VERSION})
    except BaseException:
        writer.abandon()
        raise


def take_over(project: Project, file: Path) -> None:
    """Have the versions of a *file* in the project's store; nothing happens when they were taken over last.

    Raises:
        UsageError: There is no such file.
        ArchiveError: It is damaged, or none of ours; nothing was changed.
        StoreError: The store has other versions of these numbers, or cannot be written.
    """
    with ArchiveReader(file) as archive:
        mark = blob_digest(json.dumps(archive.manifest, sort_keys=True).encode())
        try:
            project.store.mkdir(parents=True, exist_ok=True)
            marking = (project.store / _MARK).open("a+", encoding="ascii")
        except OSError as error:
            raise disk_error(error, project.store) from error
        with marking:
            fcntl.flock(marking, fcntl.LOCK_EX)  # a service and a look at it may begin at the same moment
            marking.seek(0)
            if marking.read() == mark:
                return
            for _ in archive.verify():
                pass
            _Arrival(project, archive).add()
            marking.truncate(0)
            marking.write(mark)


class _Arrival:
    """One archive on its way into a store."""

    def __init__(self, project: Project, archive: ArchiveReader) -> None:
        self._project = project
        self._archive = archive
        try:
            if (archive.manifest.get("format"), archive.manifest.get("version")) != (FORMAT, FORMAT_VERSION):
                raise ValueError("it is no archive of versions that this Filiera knows")
            self._artifacts = [self._artifact(row) for row in self._rows("artifact", _ARTIFACT)]
            self._versions = [self._version(row) for row in self._rows("product_version", _VERSION)]
            self._signatures = list(self._rows("signature", _SIGNATURE))
            self._aliases = list(self._rows("alias", _ALIAS))
            for row in self._aliases:
                check_name(row["alias"], "alias")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise archive.broken(f"its records are not what they should be: {error}") from error
        except FilieraError as error:
            raise archive.broken(f"its records are not what they should be: {error.what}") from error

    def add(self) -> None:
        """Add all of it in one transaction, the bytes before it."""
        self._require_same()
        blobs = self._project.blobs
        digests = [name.removeprefix("blobs/") for name in self._archive.names("blobs/")]
        for digest in digests:
            self._archive.put_blob(digest, blobs)
        blobs.settle(digests)
        self._project.records.write(list(self._statements()), durable=True)

    def _require_same(self) -> None:
        for row in self._versions:
            for known in self._project.records.read("get_product_version", row):
                if known["content"] != row["content"]:
                    raise StoreError(
                        f"{self._project.store} has another {row['name']}@{row['number']} than {self._archive.name}.",
                        why="It is the store of another project, or versions were published there.",
                        do="Give what is shipped a folder or volume of its own.",
                    )

    def _statements(self) -> Iterator[Statement]:
        at = self._project.clock()
        for row in self._artifacts:
            yield "put_artifact", row
        for row in self._versions:
            yield "put_product_version", row
        for row in self._signatures:
            yield "put_signature", row
        for row in self._aliases:
            said: dict[str, Any] = {**row, "at": at, "reason": f"shipped in {self._archive.name}", "by": audit.actor()}
            yield "set_alias", said
            yield "add_alias_move", said
        for row in self._versions:
            yield audit.entry("import", f"{row['name']}@{row['number']}", at=at, detail={"from": self._archive.name})

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        for line in self._archive.lines(f"records/{table}.jsonl"):
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != set(columns):
                raise ValueError(f"a row of {table} has other columns")
            yield row

    def _artifact(self, row: Row) -> Row:
        inline = None if row["inline"] is None else b64decode(row["inline"], validate=True)
        ref = ArtifactRef(digest=row["digest"], codec=row["codec"], size_bytes=row["size_bytes"], inline=inline)
        if inline is not None and (blob_digest(inline) != ref.digest or len(inline) != ref.size_bytes):
            raise ValueError(f"value {ref.short} is damaged")
        if inline is None and self._archive.size_bytes(f"blobs/{ref.digest}") != ref.size_bytes:
            raise ValueError(f"value {ref.short} is missing")
        return {**row, "inline": inline}

    def _version(self, row: Row) -> Row:
        check_product_name(row["name"])
        body = json.loads(row["body"])
        known = {(artifact["digest"], artifact["codec"]) for artifact in self._artifacts}
        for text in (row["artifact"], *body["attachments"].values()):
            if not {(ref.digest, ref.codec) for ref in read_refs(text, lambda digest, codec: None)} <= known:
                raise ValueError(f"{row['name']}@{row['number']} names a value that is not in it")
        if row["content"] != content_digest(row["artifact"], body):
            raise ValueError(f"{row['name']}@{row['number']} is not what its digest says")
        return row


def _picked(rows: Iterable[Row], columns: Sequence[str]) -> list[Row]:
    return [{column: row[column] for column in columns} for row in rows]


def _artifact_row(ref: ArtifactRef) -> Row:
    inline = None if ref.inline is None else b64encode(ref.inline).decode()
    return {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes, "inline": inline}


def _write_rows(writer: ArchiveWriter, table: str, rows: Sequence[Row]) -> None:
    import io

    lines = [json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n" for row in rows]
    content: BinaryIO = io.BytesIO(b"".join(lines))
    writer.write(f"records/{table}.jsonl", content, sum(map(len, lines)))
