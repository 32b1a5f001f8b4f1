"""Values in and out of the store: a codec turns them into bytes, the digest of the bytes is their name.

A list, tuple or dataclass that is not all plain data, but has tables or models in it, is stored in parts: each item or
field by the codec of its type, and a manifest that names them.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

from filiera.core import plain
from filiera.core.artifact import INLINE_LIMIT_BYTES, ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.parts import PARTS_CODEC, is_list, put_together, read_parts, split_plain, write_kind, write_part
from filiera.engine.streams import Reader, Sink, store_error
from filiera.errors import CodecError, FilieraError
from filiera.ports import BlobStore, Codec, TableCodec

_PLAIN_CODEC = "json/1"
_MAX_DEPTH = 50
"""How deep lists of lists of tables may go: deeper is most likely a list that contains itself."""


class Artifacts:
    """Puts values into a blob store and gets them back."""

    def __init__(
        self, blobs: BlobStore, find_codec: Callable[[object], Codec], codec_named: Callable[[str], Codec]
    ) -> None:
        self._blobs = blobs
        self._find_codec = find_codec
        self._codec_named = codec_named
        self._queries = _Queries()

    def put(self, value: object, codec: str | None = None) -> ArtifactRef:
        """Return the reference of the stored *value*; up to 4096 bytes are inside it and no file is written.

        Args:
            value: Anything a codec takes, or a list, tuple or dataclass of such things.
            codec: Name of the codec to use, such as "parquet/1", instead of the one that handles the type.

        Raises:
            CodecError: No codec can store the value.
            StoreError: The bytes cannot be kept; StoreFull when no space is left.
        """
        if codec is not None:
            return self._encode(value, self._codec_named(codec))
        return self._put(value, "value", 0)

    def put_parts(self, items: Iterable[object]) -> ArtifactRef:
        """Return the reference of a list of *items*, each stored as it comes: only one of them is in memory at a time.

        Raises:
            CodecError: No codec can store an item; the message says which.
            StoreError: The bytes cannot be kept; StoreFull when no space is left.
        """
        return self._put_parts(items, list, "value", 0)

    def manifest(self, parts: Iterable[ArtifactRef]) -> ArtifactRef:
        """Return the reference of the list of values that *parts* name, which are stored already. Raises StoreError."""
        return self._write_manifest(parts, list)

    def parts(self, ref: ArtifactRef) -> tuple[ArtifactRef, ...]:
        """Return the references of the items of a stored list, tuple or set, which are not loaded.

        Raises:
            CodecError: The artifact is something else.
            StoreError: BlobMissing or BlobCorrupted, of the artifact itself.
        """
        if ref.codec == PARTS_CODEC:
            kind, parts = self.manifest_of(ref)
            if not is_list(kind):
                raise _no_list(ref, f"It is a {kind}.")
            return parts
        if ref.codec != _PLAIN_CODEC:
            raise _no_list(ref, f"It was stored by codec {ref.codec!r}.")
        try:
            items = split_plain(Reader(ref, self._blobs).bytes())
        except ValueError as error:
            raise _no_list(ref, str(error)) from error
        return tuple([self._keep(item, _PLAIN_CODEC) for item in items])

    def get(self, ref: ArtifactRef, *, lazily: bool = False) -> Any:
        """Return the value that *ref* names.

        Args:
            ref: What ``put`` returned.
            lazily: Of what was stored in parts, return a sequence that loads an item each time it is asked for it; of a
                table, a query that reads it when it is run.

        Raises:
            CodecError: The codec is unknown or cannot read the bytes.
            StoreError: BlobMissing, or BlobCorrupted when the bytes do not have that digest.
        """
        if ref.codec == PARTS_CODEC:
            kind, parts = self.manifest_of(ref)
            if lazily and is_list(kind):
                return StoredItems(self, parts)
            values = [self.get(part) for part in parts]
            try:
                return put_together(kind, values)
            except (ValueError, TypeError) as error:
                raise _unreadable(ref, error) from error
        chosen = self._codec_named(ref.codec)
        reader = Reader(ref, self._blobs)
        try:
            if lazily and isinstance(chosen, TableCodec):
                return self._queries.note(chosen.scan(reader), ref)
            return chosen.decode(reader)
        except (FilieraError, MemoryError):
            raise
        except Exception as error:
            raise _unreadable(ref, error) from error
        finally:
            reader.close()

    def _put(self, value: object, place: str, depth: int) -> ArtifactRef:
        chosen = self._find_codec(value)
        kind: Any = type(value)
        if not _has_parts(value):
            return self._encode(value, chosen)
        try:
            return self._encode(value, chosen)
        except CodecError:
            if chosen.name != _PLAIN_CODEC:
                raise
        if depth >= _MAX_DEPTH:
            raise _too_deep(value)
        if kind in (list, tuple):
            return self._put_parts(value, kind, place, depth)  # type: ignore[arg-type]
        return self._put_parts((getattr(value, name) for name in plain.fields_of(kind)), kind, place, depth)

    def _put_parts(self, items: Iterable[object], kind: type, place: str, depth: int) -> ArtifactRef:
        names = () if kind in (list, tuple) else plain.fields_of(kind)

        def stored() -> Iterator[ArtifactRef]:
            for position, item in enumerate(items):
                at = f".{names[position]}" if names else f"[{position}]"
                ref = self._put_item(item, place + at, depth)
                del item  # the next one may need the memory
                yield ref

        return self._write_manifest(stored(), kind)

    def _put_item(self, item: object, place: str, depth: int) -> ArtifactRef:
        if _has_parts(item):
            return self._put(item, place, depth + 1)
        try:
            return self._encode(item, self._find_codec(item))
        except CodecError as error:
            why = place + (error.why.removeprefix("value") if error.why.startswith("value") else f": {error.why}")
            raise CodecError(error.what, why=why, do=error.do) from error

    def _write_manifest(self, parts: Iterable[ArtifactRef], kind: type) -> ArtifactRef:
        sink = Sink(self._blobs)
        try:
            sink.write(write_kind(kind))
            for part in parts:
                sink.write(write_part(part))
            return sink.finish(PARTS_CODEC)
        except OSError as error:
            if sink.failure is not None:
                raise store_error(sink.failure) from error
            raise
        finally:
            sink.discard()

    def manifest_of(self, ref: ArtifactRef) -> tuple[str, tuple[ArtifactRef, ...]]:
        """Return "list", "tuple" or the name of a dataclass, and the parts of what is stored in parts."""
        try:
            return read_parts(Reader(ref, self._blobs).bytes())
        except ValueError as error:
            raise _unreadable(ref, error) from error

    def _encode(self, value: object, chosen: Codec) -> ArtifactRef:
        stored = self._queries.find(value)
        if stored is not None and stored.codec == chosen.name:
            return stored
        sink = Sink(self._blobs)
        try:
            chosen.encode(value, sink)
            return sink.finish(chosen.name)
        except Exception as error:
            if sink.failure is not None:
                raise store_error(sink.failure) from error
            if isinstance(error, FilieraError | MemoryError):
                raise
            raise _encoding_failed(value, chosen.name, error) from error
        finally:
            sink.discard()

    def _keep(self, content: bytes, codec: str) -> ArtifactRef:
        """Return the reference of bytes that are encoded already."""
        if len(content) > INLINE_LIMIT_BYTES:
            return ArtifactRef(digest=self._blobs.put(content), codec=codec, size_bytes=len(content))
        return ArtifactRef(digest=blob_digest(content), codec=codec, size_bytes=len(content), inline=content)


class _Queries:
    """The queries over stored tables that somebody still has. A query never changes: what it gives is stored already.

    So a step that hands on the table it was given, as the one that publishes does, writes nothing.
    """

    def __init__(self) -> None:
        self._refs: dict[int, tuple[weakref.ref[Any], ArtifactRef]] = {}

    def note(self, query: Any, ref: ArtifactRef) -> Any:
        """Remember that *query* gives what *ref* names, and return it."""
        place = id(query)
        self._refs[place] = weakref.ref(query, lambda _: self._refs.pop(place, None)), ref
        return query

    def find(self, value: object) -> ArtifactRef | None:
        """Return the artifact that *value* is a query over, if it is one of these."""
        query, ref = self._refs.get(id(value), (None, None))
        return ref if query is not None and query() is value else None


class StoredItems(Sequence[Any]):
    """A list whose items are loaded from the store when they are asked for: one fits in memory where all do not."""

    def __init__(self, artifacts: Artifacts, parts: Sequence[ArtifactRef]) -> None:
        self._artifacts = artifacts
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> StoredItems: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return StoredItems(self._artifacts, self._parts[index])
        return self._artifacts.get(self._parts[index])

    def lazily(self) -> Iterator[Any]:
        """Yield the items, of tables queries that read them when they are run. Raises CodecError, StoreError."""
        for part in self._parts:
            yield self._artifacts.get(part, lazily=True)

    def __repr__(self) -> str:
        return f"<{len(self)} stored items>"


def _has_parts(value: Any) -> bool:
    """Tell whether a value can be stored in parts: a list, a tuple, or a dataclass that can be found by its name."""
    kind = type(value)
    return kind in (list, tuple) or (dataclasses.is_dataclass(kind) and "<" not in kind.__qualname__)


def _no_list(ref: ArtifactRef, why: str) -> CodecError:
    return CodecError(f"Artifact {ref.short} is not a list.", why=why, do="Return a list from the step that made it.")


def _too_deep(value: object) -> CodecError:
    return CodecError(
        f"A {type(value).__name__} cannot be stored.",
        why=f"It is nested deeper than {_MAX_DEPTH} levels, or contains itself.",
        do="Return a list of tables, models or files, or a list of such lists.",
    )


def _unreadable(ref: ArtifactRef, error: Exception) -> CodecError:
    return CodecError(
        f"Artifact {ref.short} cannot be read by codec {ref.codec!r}.",
        why=f"{type(error).__name__}: {error}",
        do="Run the step that made it again.",
    )


def _encoding_failed(value: object, codec: str, error: Exception) -> CodecError:
    kind = type(value)
    return CodecError(
        f"A value of type {kind.__module__}.{kind.__qualname__} cannot be stored.",
        why=f"Codec {codec!r} failed with {type(error).__name__}: {error}",
        do="Return it in another form: plain data, a table, an array, or the Path of a file you wrote.",
    )
