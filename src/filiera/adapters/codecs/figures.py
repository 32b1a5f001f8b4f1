"""Drawings as SVG: what a browser shows is what is stored."""

from __future__ import annotations

from typing import Any

from filiera.adapters.codecs.refusal import is_loaded, unreadable, watched
from filiera.adapters.codecs.reports import decode_text
from filiera.core.report import Svg
from filiera.ports import ArtifactReader, ArtifactWriter

_SALT = "filiera"  # Matplotlib names clip paths by a hash with this salt; without one, by a random number


class SvgCodec:
    """Matplotlib figures and ``Svg`` texts; both come back as ``Svg``.

    Text is drawn as outlines, so the page looks the same where the font is missing. A layout engine moves the axes each
    time a figure is drawn: a figure with one has equal bytes if it was drawn equally often before.
    """

    name = "svg/1"

    def handles(self, value: object) -> bool:
        return type(value) is Svg or is_loaded(value, "matplotlib.figure", "Figure")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        if type(value) is Svg:
            writer.stream.write(value.text.encode())
            return
        import matplotlib as mpl

        style: Any = {"svg.hashsalt": _SALT, "svg.fonttype": "path"}
        with watched(writer.stream) as stream, mpl.rc_context(style):
            value.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})

    def decode(self, reader: ArtifactReader) -> Svg:
        text = decode_text(reader, self.name)
        if "<svg" not in text:
            raise unreadable(self.name, "there is no <svg> element")
        return Svg(text)
