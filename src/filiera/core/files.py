"""Files as a value: a table with a row for each, and their bytes by digest. What images and recordings travel as.

The table is small and like any other; the bytes lie in *packs*, each a run of whole files, which steps hand on without
copying them. A file as large as a pack is a pack of its own.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from blake3 import blake3

from filiera.errors import SourceError, UsageError

PROBLEM = "problem"
"""The column of ``Files.rejected`` that says why a file was set aside."""
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""Those whose decoders are safe: others, such as EPS, would start programs."""
MAX_PIXELS = 100_000_000
"""A photograph has 10 to 60 million; decoded, this many take 400 MB."""
_SHOWN_REASONS = 10


FILES_CODEC = "files/1"
"""The name of the encoding of such values."""
PACK_BYTES = 1 << 20
"""A file of this size on is a pack of its own, and a pack that has reached it takes no more."""
_ENDS_PACK = 32  # a pack holds so many small files in the mean


class Stretch(NamedTuple):
    """Where the bytes of a pack lie."""

    file: Path | bytes  #: bytes, when they are in memory
    start: int  #: first byte
    size_bytes: int


class Place(NamedTuple):
    """Where a file lies in a pack."""

    pack: str  #: digest of the pack's bytes
    start: int  #: first byte inside the pack
    size_bytes: int


def ends_pack(digest: str, size_bytes: int) -> bool:
    """Tell whether a pack ends with the file of this *digest*, with which it has so many bytes.

    What is in a pack decides where it ends, so that a folder with more files has the packs that it had before.

    >>> ends_pack("0020", 10), ends_pack("0021", 10), ends_pack("0021", PACK_BYTES)
    (True, False, True)
    """
    return int(digest[:4], 16) % _ENDS_PACK == 0 or size_bytes >= PACK_BYTES


class Files:
    """Files with a table that has one row for each, and those that were set aside, with the reason.

    Columns that every table has: ``path`` and ``digest`` (BLAKE3 of the bytes, 64 hex digits). Rows may go, come twice
    and be joined with others, as long as ``digest`` stays what it was.
    """

    __slots__ = ("_packs", "_places", "rejected", "table")

    def __init__(
        self, table: Any, *, rejected: Any, places: Mapping[str, Place], packs: Callable[[str], Stretch]
    ) -> None:
        self.table = table  #: ``polars.DataFrame``
        self.rejected = rejected  #: ``polars.DataFrame``: what could not be used, and ``problem``, the reason
        self._places = places
        self._packs = packs
        for each in (table, rejected):
            _require_known(each, places)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        aside = f", {len(self.rejected):,} set aside" if len(self.rejected) else ""
        return f"<{len(self.table):,} files{aside}>"

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns of the table."""
        found: tuple[int, int] = self.table.shape
        return found

    @property
    def summary(self) -> str:
        """Return how many files there are and how many were set aside, for which reasons, on a line or a few.

        The reason that most have comes first.
        """
        aside: Mapping[str, int] = collections.Counter(self.rejected[PROBLEM])
        reasons = sorted(aside, key=lambda reason: (-aside[reason], reason))
        lines = [f"{len(self):,} files" + (f", {len(self.rejected):,} set aside:" if aside else "")]
        lines += [f"  {aside[reason]:,}: {reason}" for reason in reasons[:_SHOWN_REASONS]]
        rest = len(reasons) - _SHOWN_REASONS
        return "\n".join([*lines, f"  and {rest:,} other reasons"] if rest > 0 else lines)

    def where(self, *predicates: Any) -> Files:
        """Return the files whose rows fulfil all *predicates*, as ``polars.DataFrame.filter`` takes them."""
        return self.with_table(self.table.filter(*predicates))

    def with_table(self, table: Any, *, rejected: Any = None) -> Files:
        """Return files with another table, such as one with more columns; what was set aside stays so.

        Args:
            table: ``polars.DataFrame`` whose column ``digest`` names files of this value.
            rejected: The same of the files set aside; by default they stay what they are.

        Raises:
            UsageError: There is no column ``digest``, or it names a file that is not here.
        """
        aside = self.rejected if rejected is None else rejected
        return Files(table, rejected=aside, places=self._places, packs=self._packs)

    def read(self, digest: str) -> bytes:
        """Return the bytes of a file, verified.

        Raises:
            UsageError: No file here has that digest.
            SourceError: The file it is in has changed since it was collected.
            StoreError: The bytes are gone from the store.
        """
        place = self._places.get(digest)
        if place is None:
            raise UsageError(f"No file here has the digest {digest!r}.", do="Take it from the table: files.table")
        pack = self._packs(place.pack)
        content = _cut(pack, place.start, place.size_bytes)
        if blake3(content).hexdigest() != digest:
            raise changed(pack.file)
        return content

    def write_to(self, folder: Path) -> Path:
        """Return *folder*, in which each file now is at its ``path``; for programs that read folders.

        Raises:
            UsageError: A path is not relative to the folder, or two rows with one path have different bytes.
            SourceError, StoreError: As ``read``.
        """
        written: dict[str, str] = {}
        for path, digest in zip(self.table["path"], self.table["digest"], strict=True):
            parts = PurePosixPath(path).parts
            if not parts or parts[0] == "/" or ".." in parts:
                raise UsageError(f"The path {path!r} leads out of the folder.", do="Change the column 'path'.")
            if written.setdefault(path, digest) != digest:
                raise UsageError(f"Two files have the path {path!r}.", do="Change the column 'path'.")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(digest))
        return folder

    def packs(self) -> dict[str, list[tuple[str, Place]]]:
        """Return the packs in which the files of both tables lie, and which of these files are in each, in order."""
        found: dict[str, list[tuple[str, Place]]] = {}
        for digest in dict.fromkeys([*self.table["digest"], *self.rejected["digest"]]):
            place = self._places[digest]
            found.setdefault(place.pack, []).append((digest, place))
        return {pack: sorted(found[pack], key=lambda item: (item[1].start, item[0])) for pack in sorted(found)}

    def pack(self, digest: str) -> Stretch:
        """Return where the bytes of a pack lie. Raises StoreError."""
        return self._packs(digest)


def read_stretch(stretch: Stretch) -> bytes:
    """Return the bytes of a pack; fewer when its file was cut. Raises SourceError."""
    return _cut(stretch, 0, stretch.size_bytes)


def changed(file: Path | bytes) -> SourceError:
    """Return the error of a file that is not what it was when it was collected."""
    return SourceError(
        f"{file if isinstance(file, Path) else 'What is in memory'} changed after it was read.",
        why="Its bytes do not have the digest they had then.",
        do="Run again when nobody writes to it.",
    )


def _cut(stretch: Stretch, start: int, size_bytes: int) -> bytes:
    if isinstance(stretch.file, bytes):
        return stretch.file[stretch.start + start :][:size_bytes]
    try:
        with stretch.file.open("rb", buffering=0) as file:
            file.seek(stretch.start + start)
            return file.read(size_bytes)
    except OSError as error:
        raise SourceError(
            f"{stretch.file} cannot be read.",
            why=f"The system says: {error.strerror}.",
            do="Run the step again that collected it.",
        ) from error


def _require_known(table: Any, places: Mapping[str, Place]) -> None:
    columns: Sequence[str] = getattr(table, "columns", ())
    if "digest" not in columns:
        raise UsageError(
            "A table of files needs the column 'digest'.",
            why=f"It has: {', '.join(map(str, columns)) or 'no columns'}.",
            do="Keep the column that files.table has.",
        )
    unknown = [digest for digest in table["digest"].unique() if digest not in places]
    if unknown:
        raise UsageError(
            f"{len(unknown):,} rows of the table are of files that are not here, the first {str(unknown[0])[:12]!r}.",
            do="Keep the column 'digest' as files.table has it.",
        )
