"""Reports are stored as the bytes one would save to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.reports import HtmlCodec, MarkdownCodec
from filiera.core.report import Html, Markdown
from filiera.testing.codec import CodecContract, MemoryArtifact


class TestHtmlCodec(CodecContract):
    def make_codec(self) -> HtmlCodec:
        return HtmlCodec()

    def make_values(self) -> Sequence[Any]:
        return [Html(""), Html("<p>così</p>\r\n"), Html("<br>" * 2000)]


class TestMarkdownCodec(CodecContract):
    def make_codec(self) -> MarkdownCodec:
        return MarkdownCodec()

    def make_values(self) -> Sequence[Any]:
        return [Markdown(""), Markdown("# Così\n")]


@pytest.mark.parametrize(
    ("codec", "report"), [(HtmlCodec(), Html("<p>è</p>")), (MarkdownCodec(), Markdown("è"))], ids=["html", "markdown"]
)
def test_the_stored_bytes_are_the_text(codec: Any, report: Any) -> None:
    """A browser or an editor can open the artifact's bytes as they are."""
    artifact = MemoryArtifact(Path())
    codec.encode(report, artifact)
    assert artifact.bytes() == report.text.encode()
