"""Reports as raw UTF-8, so that what is stored can be opened as it is."""

from __future__ import annotations

from typing import Any

from filiera.adapters.codecs.refusal import unreadable
from filiera.core.report import Html, Markdown
from filiera.ports import ArtifactReader, ArtifactWriter


class HtmlCodec:
    """HTML pages."""

    name = "html/1"

    def handles(self, value: object) -> bool:
        return type(value) is Html

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        writer.stream.write(value.text.encode())

    def decode(self, reader: ArtifactReader) -> Html:
        return Html(decode_text(reader, self.name))


class MarkdownCodec:
    """Markdown texts."""

    name = "markdown/1"

    def handles(self, value: object) -> bool:
        return type(value) is Markdown

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        writer.stream.write(value.text.encode())

    def decode(self, reader: ArtifactReader) -> Markdown:
        return Markdown(decode_text(reader, self.name))


def decode_text(reader: ArtifactReader, codec: str) -> str:
    """Return the artifact's bytes as text. Raises CodecError when they are not UTF-8."""
    content = reader.bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise unreadable(codec, error) from error
