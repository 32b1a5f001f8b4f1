"""Compressed files and other encodings, made plain UTF-8 before they are read."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from filiera.adapters.sources.entries import not_whole, reading
from filiera.adapters.sources.found_files import Workspace
from filiera.errors import SourceError

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_PIECE_BYTES = 1 << 20
_UTF8 = ("utf-8", "utf-8-sig")
_OPEN: Mapping[str, Callable[[IO[bytes]], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "": lambda file: file,
}


def is_encoding(value: Any) -> str:
    """Say that a value is not the name of an encoding of texts."""
    try:
        is_text = isinstance(value, str) and codecs.lookup(value)._is_text_encoding
    except LookupError:
        is_text = False
    return "" if is_text else 'needs the name of an encoding, such as "latin-1"'


def as_utf8(path: Path, workspace: Workspace, *, shown: str, encoding: str = "utf-8") -> Path:
    """Return a file with the same text, not compressed and in UTF-8: itself, or a new one in *workspace*.

    UTF-8 is not looked through here: whoever parses it does so anyway.

    Raises:
        SourceError: It is cut off or damaged, or not text of that encoding; the message says in which line.
    """
    with reading(Path(shown)), path.open("rb") as file:
        head = file.read(6)
    compression = _compression(head)
    is_utf8 = codecs.lookup(encoding).name in _UTF8
    if not compression and is_utf8 and not head.startswith(codecs.BOM_UTF8):
        return path
    plain = workspace.file(".txt")
    pieces = _pieces(path, compression, shown)
    with plain.open("wb") as target:
        for number, piece in enumerate(pieces if is_utf8 else _decoded(pieces, encoding, shown)):
            target.write(piece if number else piece.removeprefix(codecs.BOM_UTF8))
    return plain


def unpacked(path: Path, *, shown: str) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed when it is compressed. Raises SourceError when it is cut off or damaged."""
    with reading(Path(shown)), path.open("rb") as file:
        head = file.read(6)
    yield from _pieces(path, _compression(head), shown)


def _compression(head: bytes) -> str:
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def _pieces(path: Path, compression: str, shown: str) -> Iterator[bytes]:
    with reading(Path(shown)), path.open("rb") as file:
        if compression == "zstd":
            yield from _unpacked_zstd(file, shown)
            return
        try:
            source = _OPEN[compression](file)
            while piece := source.read(_PIECE_BYTES):
                yield piece
        except OSError as error:
            if error.errno is not None:
                raise
            raise not_whole(shown, error) from error  # so bz2 and gzip say that bytes are not theirs


def _unpacked_zstd(file: IO[bytes], shown: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError as error:
        what = f"{shown} is compressed by zstd, for which a library is missing."
        raise SourceError(what, do="pip install zstandard") from error
    frame, is_begun = zstandard.ZstdDecompressor().decompressobj(), False
    try:
        while piece := file.read(_PIECE_BYTES):
            while piece:
                is_begun = True
                yield frame.decompress(piece)
                piece = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, is_begun = zstandard.ZstdDecompressor().decompressobj(), False
    except zstandard.ZstdError as error:
        raise not_whole(shown, error) from error
    if is_begun:
        raise not_whole(shown, EOFError("it ends inside a frame"))


def _decoded(pieces: Iterator[bytes], encoding: str, shown: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for piece, is_last in _with_end(pieces):
        try:
            text = decoder.decode(piece, is_last)
            plain = text.encode("utf-8")
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                line += error.object[: error.start].decode(encoding, "replace").count("\n")
            raise SourceError(
                f"Cannot read {shown}: line {line} is not {encoding} text.",
                why=f"{getattr(error, 'reason', error)}.",
                do="Correct 'encoding' in the catalog, or the file.",
            ) from error
        line += text.count("\n")
        yield plain


def _with_end(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for piece in pieces:
        yield piece, False
    yield b"", True
