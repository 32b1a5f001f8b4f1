"""Datasets of Kedro's catalog: any class of the installed ``kedro_datasets`` as a source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filiera.adapters.credentials import filled_in, has_references, hidden
from filiera.adapters.sources.entries import file_digest, fingerprint, is_text, reading
from filiera.core.collected import Collected
from filiera.core.digest import digest
from filiera.core.task import Entry
from filiera.errors import ProjectError, SourceError

_USAGE = 'Write, for example, type = "kedro", class = "pandas.ExcelDataset", filepath = "data/shops.xlsx".'


class KedroSource:
    """Reads ``type = "kedro"``: what a dataset class of Kedro loads, such as a pandas table.

    Options: ``class``, such as ``pandas.ExcelDataset``; all others are that class's own. ``filepath`` is relative to
    ``filiera.toml``. What ``credentials`` holds are references.
    """

    def check(self, entry: Entry) -> None:
        """Refuse an entry without a class, or with credentials written out. Raises ProjectError."""
        problem = is_text(entry.get("class"))
        if problem:
            raise ProjectError(f"Option 'class' of a kedro source {problem}, got {entry.get('class')!r}.", do=_USAGE)
        if any(not has_references(text) for text in _texts(entry.get("credentials", {}))):
            raise ProjectError(
                "Option 'credentials' of a kedro source holds a text that is no reference.",
                why="What the catalog says is recorded with every run.",
                do='Name environment variables: credentials = {key = "${SHOP_KEY}"}.',
            )

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the file's or folder's bytes; of what is no local file, another one each time.

        Raises:
            SourceError: The file is not there.
        """
        options = {name: value for name, value in entry.items() if name != "filepath"}
        files = _files(entry, root)
        parts = [text.encode() for name, file in files for text in (name, file_digest(file))]
        # What a database or a service holds is known only when it is loaded: it is, and equal values end the run there.
        content = digest("files/1", *parts) if files else str(time.time_ns())
        return fingerprint(options, reader="kedro/1", content=content)

    def read(self, entry: Entry, root: Path, collected: Collected) -> Any:
        """Return what the dataset loads. Raises SourceError."""
        files = _files(entry, root)
        place = str(files[0][1].parent if len(files) > 1 else files[0][1]) if files else str(entry.get("filepath", ""))
        collected.place = place or f"kedro_datasets {entry['class']}"
        collected.files = len(files)
        collected.is_snapshot = not files
        collected.size_bytes = sum(file.stat().st_size for _, file in files)
        try:
            from kedro.io import AbstractDataset, DatasetError
        except ImportError as error:
            what = 'A source with type = "kedro" needs packages that are not installed.'
            raise SourceError(what, do="pip install kedro kedro-datasets") from error
        try:
            return AbstractDataset.from_config(str(entry["class"]), _settings(entry, root)).load()
        except DatasetError as error:
            raise SourceError(
                f"Kedro's {entry['class']} cannot load {collected.place}.",
                why=_without_credentials(str(error).strip().splitlines(), entry),
                do="Correct the entry of the catalog; its options are those of the class.",
            ) from error


def _files(entry: Entry, root: Path) -> list[tuple[str, Path]]:
    """Return the local files of an entry and their names below it, none when it is something else."""
    text = filled_in(str(entry.get("filepath", "")))
    if not text or "://" in text:
        return []
    path = root / text
    with reading(path):
        path.stat()
        if path.is_file():
            return [("", path)]
        return [(file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*")) if file.is_file()]


def _settings(entry: Entry, root: Path) -> dict[str, Any]:
    settings = {name: _resolved(value) for name, value in entry.items() if name not in ("type", "class")}
    if "filepath" in settings and "://" not in settings["filepath"]:
        settings["filepath"] = str(root / settings["filepath"])
    return {"type": entry["class"], **settings}


def _resolved(value: Any) -> Any:
    if isinstance(value, str):
        return filled_in(value)
    if isinstance(value, Mapping):
        return {name: _resolved(item) for name, item in value.items()}
    return [_resolved(item) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _without_credentials(lines: list[str], entry: Entry) -> str:
    told = " ".join(line.strip() for line in lines[:4])[:500]
    for text in _texts(entry):
        told = hidden(told, text)
    return told
