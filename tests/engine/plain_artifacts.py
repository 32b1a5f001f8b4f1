"""An artifact store for tests: plain values, in the references themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.errors import CodecError


class PlainArtifacts:
    def put(self, value: object, codec: str | None = None) -> ArtifactRef:
        try:
            content = plain.encode(value)
        except TypeError as error:
            raise CodecError("No codec.", why=str(error)) from error
        return ArtifactRef(digest=blob_digest(content), codec="json/1", size_bytes=len(content), inline=content)

    def put_parts(self, items: Iterable[object]) -> ArtifactRef:
        return self.put(list(items))

    def manifest(self, parts: Iterable[ArtifactRef]) -> ArtifactRef:
        return self.put([self.get(part) for part in parts])

    def get(self, ref: ArtifactRef, *, lazily: bool = False) -> Any:
        if ref.inline is None:
            raise CodecError(f"Artifact {ref.short} is not inline.")
        return plain.decode(ref.inline)
