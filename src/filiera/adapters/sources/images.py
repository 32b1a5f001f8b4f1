"""Images in folders and archives: each is looked at once, to know that it can be decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.sources import file_trees
from filiera.adapters.sources.archives import Member
from filiera.adapters.sources.entries import check_options, fingerprint, no_rows
from filiera.adapters.sources.file_paths import FilePaths, file_paths, is_file_paths
from filiera.adapters.sources.image_facts import FACTS, Facts
from filiera.adapters.sources.image_help import Seen
from filiera.adapters.sources.image_lots import looks
from filiera.core.collected import Collected
from filiera.core.digest import blob_digest
from filiera.core.files import MAX_PIXELS, PACK_BYTES, PROBLEM, Files, changed
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = ("path", "digest", *FACTS, "size_bytes", PROBLEM)
_READER = "images/2"


class ImagesSource:
    """Reads ``type = "images"``: ``Files`` whose table says of each image what it is.

    Options: ``path`` (see ``file_paths``); ``max_pixels``, above which an image is set aside unread.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"path": _is_path, "max_pixels": _is_count})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' names and bytes. Raises SourceError."""
        return fingerprint(entry, reader=_READER, content=file_trees.content_of(file_paths(entry, root)))

    def read(self, entry: Entry, root: Path, collected: Collected) -> Files:
        """Return all files that are meant; what is no sound image is set aside. Raises SourceError."""
        return _read(entry, root, collected, {})

    def grows(self, entry: Entry) -> bool:
        """Return True: what is known of an image stays true, for it is known by its digest."""
        return True

    def read_more(
        self, entry: Entry, root: Path, collected: Collected, before: tuple[pl.LazyFrame, Collected]
    ) -> Files:
        """Return what ``read`` does; images that were collected before are not decoded again. Raises SourceError."""
        table, told = before
        return _read(entry, root, collected, _facts_in(table) if told.more.get("reader") == _READER else {})


def _read(entry: Entry, root: Path, collected: Collected, known: Mapping[str, Facts]) -> Files:
    paths = file_paths(entry, root)
    collected.place, collected.more["reader"] = str(paths.base), _READER
    rows = _Rows(paths, known)
    collector = file_trees.FileCollector()
    try:
        with file_trees.members(paths) as found:
            for lot, seen in looks(found, int(entry.get("max_pixels", MAX_PIXELS)), known):
                _collect(lot, seen, collector)
                rows.add(lot, seen)
        collected.files, collected.size_bytes = len(rows.sizes), sum(rows.sizes)
        table, rejected = rows.tables()
        if not table.height:
            raise _none_good(paths, rejected)
        if collected.fingerprint and not paths.is_archive:
            _require_planned(entry, collected, rows.content())
        return collector.finish(table, rejected)
    except BaseException:
        collector.discard()
        raise


def _collect(lot: Sequence[Member], seen: Seen, collector: file_trees.FileCollector) -> None:
    for member, digest, size_bytes, content in zip(lot, seen.digests, seen.sizes, seen.contents, strict=True):
        if member.place and size_bytes >= PACK_BYTES:
            collector.add_file(digest, Path(member.place), size_bytes)
            continue
        if content is None:  # too much to be sent back
            content = member.read()
            if blob_digest(content) != digest:
                raise changed(Path(member.place))
        collector.add(digest, content)


class _Rows:
    """What is known of all files, column by column."""

    def __init__(self, paths: FilePaths, known: Mapping[str, Facts]) -> None:
        self._paths = paths
        self._known = known
        self._members: dict[str, list[str]] = {name: [] for name in ("path", *paths.names)}
        self._digests: list[str] = []
        self._facts: list[Facts] = []
        self.sizes: list[int] = []

    def add(self, lot: Sequence[Member], seen: Seen) -> None:
        """Take what was seen of a lot."""
        self._members["path"] += [member.path for member in lot]
        for name in self._paths.names:
            self._members[name] += [member.labels[name] for member in lot]
        self._digests += seen.digests
        self._facts += [
            self._known[digest] if facts is None else facts
            for digest, facts in zip(seen.digests, seen.facts, strict=True)
        ]
        self.sizes += seen.sizes

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of sound images, and those of other files."""
        import polars as pl

        facts = {name: [found.get(name) for found in self._facts] for name in (*FACTS, PROBLEM)}
        columns: dict[str, Sequence[Any]] = {
            **self._members,
            "digest": self._digests,
            **facts,
            "size_bytes": self.sizes,
        }
        aside = file_trees.rejected_schema(self._paths)
        texts = dict.fromkeys(("mode", "format"), pl.String)
        numbers = {**dict.fromkeys(("width", "height"), pl.UInt32), "channels": pl.UInt8}
        table = file_trees.as_table(columns, {name: {**texts, **numbers, **aside}[name] for name in columns})
        is_sound = pl.col(PROBLEM).is_null()
        return table.filter(is_sound).drop(PROBLEM), table.filter(~is_sound).select(*aside)

    def content(self) -> str:
        """Return the digest that ``file_trees.content_of`` returned of these files, in a folder."""
        digests = map(bytes.fromhex, self._digests)
        return file_trees.digest_of_folder(self._paths, zip(self._members["path"], digests, strict=True))


def _facts_in(table: pl.LazyFrame) -> dict[str, Facts]:
    columns = table.select("digest", *FACTS).unique("digest").collect()
    return {digest: dict(zip(FACTS, facts, strict=True)) for digest, *facts in columns.iter_rows()}


def _require_planned(entry: Entry, collected: Collected, content: str) -> None:
    """Note that what was read is what the run was planned with, so that nobody need read it again to know.

    Raises:
        SourceError: It is not.
    """
    if fingerprint(entry, reader=_READER, content=content) != collected.fingerprint:
        raise changed(Path(collected.place))
    collected.is_snapshot = True


def _is_path(value: Any) -> str:
    return is_file_paths(value, reserved=_COLUMNS)


def _is_count(value: Any) -> str:
    is_good = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if is_good else "needs a whole number above 0"


def _none_good(paths: FilePaths, rejected: pl.DataFrame) -> SourceError:
    if not rejected.height:
        return no_rows(paths.base / paths.pattern)
    first = rejected.row(0, named=True)
    return SourceError(
        f"{paths.base / paths.pattern} has no sound image among {rejected.height:,} files.",
        why=f"The first, {first['path']}, {first[PROBLEM]}.",
        do='Correct path in the catalog, or use type = "files" for files that are no images.',
    )
