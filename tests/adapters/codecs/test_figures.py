"""Drawings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.figures import SvgCodec
from filiera.core.report import Svg
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact

pytest.importorskip("matplotlib")


def figure(layout: str | None = None) -> Any:
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(3, 2), layout=layout)
    axes = drawing.add_subplot()
    axes.plot([1, 2, 3], [1, 4, 9], label="squares")
    axes.imshow([[0, 1], [1, 0]], extent=(0, 1, 0, 1))
    axes.set_title("Così")
    axes.legend()
    return drawing


class TestSvgCodec(CodecContract):
    def make_codec(self) -> SvgCodec:
        return SvgCodec()

    def make_values(self) -> Sequence[Any]:
        return [Svg("<svg/>"), figure()]

    def assert_same(self, decoded: Any, original: Any) -> None:
        if isinstance(original, Svg):
            assert decoded == original
        else:
            assert decoded.text.startswith("<?xml")

    @pytest.mark.parametrize("layout", ["tight", "constrained"])
    def test_figures_with_a_layout_are_the_same_when_made_the_same(self, layout: str) -> None:
        """Two figures made by the same code have the same bytes."""
        assert self.digest_of(figure(layout)) == self.digest_of(figure(layout))

    def test_a_figure_is_handled(self) -> None:
        """Both what Matplotlib draws and what it was stored as are taken."""
        assert SvgCodec().handles(figure())
        assert SvgCodec().handles(Svg("<svg/>"))

    def test_the_style_of_the_process_stays(self) -> None:
        """Encoding changes no setting of Matplotlib."""
        import matplotlib as mpl

        before = dict(mpl.rcParams)
        self.digest_of(figure())
        assert dict(mpl.rcParams) == before

    def test_text_without_a_drawing_is_refused(self) -> None:
        """Bytes that are text but no SVG are refused."""
        with pytest.raises(CodecError, match="no <svg> element"):
            SvgCodec().decode(MemoryArtifact(Path(), b"<html></html>"))
