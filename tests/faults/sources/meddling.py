"""Something is done to a file while it is read: when the first rows or images have come, the same moment each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from filiera.adapters.sources import image_help

IMAGES_BEFORE = 20


def _shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def _replace(path: Path) -> None:
    """Put another file in its place, as programs do that write carefully."""
    content = path.read_bytes()
    other = path.with_name("other")
    other.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 1 :])
    other.replace(path)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0" * 5000)


def _append(path: Path) -> None:
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(content[-200:])


def _delete(path: Path) -> None:
    path.unlink()


def _leave(path: Path) -> None:
    """Do what harms nobody."""
    os.utime(path, (1, 1))
    path.with_name("neighbour").write_bytes(b"another file")


DEEDS: Mapping[str, Callable[[Path], None]] = {
    "deleted": _delete,
    "cut": _shrink,
    "replaced": _replace,
    "overwritten": _overwrite,
    "lengthened": _append,
    "touched": _leave,
}


def meddle(deed: str, name: str) -> None:
    """Let the deed be done once, when the first rows or images have come, known ones too."""
    do, collect_batches, blake3 = DEEDS[deed], pl.LazyFrame.collect_batches, image_help.blake3
    seen, path = 0, Path(name)

    def batches(self: pl.LazyFrame, **options: Any) -> Iterator[pl.DataFrame]:
        nonlocal seen
        for batch in collect_batches(self, **options):
            yield batch
            seen += 1
            if seen == 1:
                do(path)

    def hashed(content: bytes) -> Any:
        nonlocal seen
        seen += 1
        if seen == IMAGES_BEFORE:
            do(path)
        return blake3(content)

    pl.LazyFrame.collect_batches = batches  # type: ignore[assignment, method-assign]
    image_help.blake3 = hashed  # type: ignore[assignment, misc]
