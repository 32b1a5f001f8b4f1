"""Files in object stores: listed, and fetched when they are read.

What a file holds is known by the tag its store gives it, without fetching it: a run whose files are unchanged fetches
nothing, because the step that collects is a hit. Credentials come from the environment, by the names that the makers of
the stores use, such as ``AWS_ACCESS_KEY_ID``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from filiera.adapters.credentials import hidden
from filiera.adapters.sources.found_files import SourceFile, Workspace, fixed_part, none_matches
from filiera.core.digest import digest
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file elsewhere, as it was when it was listed."""

    store: ObjectStore
    key: str  #: its path in the store
    name: str
    shown: str
    tag: str  #: what the store says of its content: an entity tag, or else a time of change
    size: int

    def identity(self) -> str:
        return digest("remote/1", self.tag.encode(), str(self.size).encode())

    def size_bytes(self) -> int:
        return self.size

    def local(self, workspace: Workspace) -> Path:
        """Return the file, fetched: all of it, or an error."""
        import obstore

        target = workspace.file()
        fetched = 0
        with _speaking(self.shown), target.open("wb") as file:
            found = obstore.get(self.store, self.key)
            if _tag(found.meta) != self.tag:
                raise SourceError(
                    f"{self.shown} changed while it was read.",
                    why="It is not what it was when it was listed.",
                    do="Run again when nobody writes to it.",
                )
            for piece in found.stream(min_chunk_size=8 << 20):
                fetched += file.write(piece)
        if fetched != self.size:
            raise SourceError(
                f"{self.shown} broke off after {fetched:,} of {self.size:,} bytes.", do="Run again, or filiera resume."
            )
        return target


def find_remote_files(address: str, *, shown: str) -> list[SourceFile]:
    """Return the files that an address means, at least one, in the order of their names.

    Args:
        address: Such as ``s3://bucket/orders/*.parquet``; only stores can be asked for a pattern.
        shown: The address as people may see it.

    Raises:
        SourceError: There is none, its store cannot be reached or does not let us in, or we cannot speak its protocol.
    """
    scheme, host, path = _split(address, shown)
    with _speaking(shown):
        store = open_store(scheme, host, shown)
        if not _WILDCARD.search(path):
            return [_remote(store, _head(store, path), name="", shown=shown)]
        base = fixed_part(path)
        pattern = re.compile(_regular(path))
        found = [meta for batch in _listed(store, base) for meta in batch if pattern.fullmatch(meta["path"])]
    if not found:
        raise none_matches(shown)
    place = f"{scheme}://{host}/"
    return [
        _remote(store, meta, name=meta["path"].removeprefix(base), shown=f"{place}{meta['path']}")
        for meta in sorted(found, key=lambda meta: str(meta["path"]))
    ]


def _split(address: str, shown: str) -> tuple[str, str, str]:
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        raise SourceError(
            f"{shown} cannot be read: nothing here speaks {parts.scheme}.",
            why=f"Known are: https, {', '.join(SCHEMES)}, and paths of this machine.",
            do="Correct path in the catalog of filiera.toml.",
        )
    return parts.scheme, parts.netloc, unquote(parts.path.removeprefix("/"))


def open_store(scheme: str, host: str, shown: str) -> ObjectStore:
    """Return the store at an address. Raises SourceError where its library is missing."""
    try:
        from obstore import store
    except ImportError as error:
        raise SourceError(
            f"{shown} is in a store, for which a library is missing.", do="pip install 'filiera[remote]'"
        ) from error
    return store.from_url(
        f"{scheme}://{host}",
        client_options={"allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
    )


def _head(store: ObjectStore, path: str) -> Any:
    import obstore

    return obstore.head(store, path)


def _listed(store: ObjectStore, base: str) -> Any:
    import obstore

    return obstore.list(store, prefix=base or None)


def _remote(store: ObjectStore, meta: Any, *, name: str, shown: str) -> RemoteFile:
    return RemoteFile(store, meta["path"], name, shown, _tag(meta), meta["size"])


def _tag(meta: Any) -> str:
    return str(meta.get("e_tag") or meta["last_modified"])


def _regular(pattern: str) -> str:
    """Return the regular expression of a pattern: ``*`` and ``?`` stay in a folder, ``**`` does not.

    >>> bool(re.fullmatch(_regular("a/**/*.csv"), "a/b/c/d.csv")), bool(re.fullmatch(_regular("a/*.csv"), "a/b/d.csv"))
    (True, False)
    """
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return "".join(words.get(piece, piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)


@contextmanager
def _speaking(shown: str) -> Iterator[None]:
    """Turn what the store or the network says into SourceError, without addresses that hold credentials."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(
            f"There is no {shown}.",
            why="Its store answers, but has no such file.",
            do="Correct path in the catalog of filiera.toml.",
        ) from error
    except PermissionError as error:
        raise SourceError(f"{shown} must not be read.", why=first_line(error, shown), do=_LET_IN) from error
    except OSError as error:
        raise SourceError(f"Cannot read {shown}.", why=f"The system says: {error.strerror or error}.") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "obstore":
            raise
        raise SourceError(f"Cannot read {shown}.", why=first_line(error, shown), do=_LET_IN) from error


_LET_IN = "Check the address, the network, and the variables with credentials, such as AWS_ACCESS_KEY_ID."


def first_line(error: Exception, shown: str) -> str:
    """Return what an error says, without credentials that are in the address *shown*."""
    return hidden(str(error).strip().partition("\n")[0], shown)[:300]
