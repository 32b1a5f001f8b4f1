from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from filiera.core.document import Document, Section, escaped, for_terminal, listed, table
from filiera.core.report import Svg

TEXTS = st.text(st.sampled_from("ab_*`[]()<>&|~\\!#-+=:1.) \n\t\"'@/;{}^$%é"), min_size=1, max_size=12)
render = MarkdownIt("commonmark", {"html": False}).enable("table").render


def shown(markdown: str, around: str) -> str:
    """Return the text that Markdown shows inside *around*, a pattern with one group."""
    found = re.fullmatch(around, render(markdown), re.DOTALL)
    assert found, render(markdown)
    return html.unescape(found[1])


@given(TEXTS.filter(str.strip))
def test_what_is_escaped_is_shown_as_it_is(text: str) -> None:
    """In a line, an item and a cell alike: no character of a value is taken as Markdown; blanks become one."""
    said = " ".join(text.split())
    assert shown(escaped(text), r"<p>(.*)</p>\n") == said
    assert shown(listed([text]), r"<ul>\n<li>(.*)</li>\n</ul>\n") == said
    assert shown(table(["x"], [[text]]), r'.*<td style="text-align:left">(.*)</td>.*') == said


def test_names_and_numbers_stay_readable() -> None:
    """What needs no escape gets none: most people read Markdown as it is."""
    for text in ("f1_macro", "0.9964", "-0.5", "2026-11-22 12:50", "a: b", "tcp, udp"):
        assert escaped(text) == text


def test_a_document_is_its_sections() -> None:
    """Headings, text, one empty line between; a drawing is for pages."""
    found = Document(kind="Card", title="m@1", lead="lead", sections=(Section("A", "a"), Section("B", "b")))
    assert found.markdown == "# m@1\n\nlead\n\n## A\n\na\n\n## B\n\nb"


def test_what_is_only_drawn_is_no_text() -> None:
    """A section of drawings has no heading in Markdown."""
    sections = (Section("Plots", "", (Svg("<svg/>"),)), Section("Made by", "me"))
    text = Document(kind="Card", title="m", lead="", sections=sections).markdown
    assert "Plots" not in text and "## Made by" in text


@given(st.text(max_size=30) | TEXTS)
def test_a_terminal_shows_texts_as_they_are(text: str) -> None:
    """In a line and in a table: what escapes is gone, and nothing else."""
    line = " ".join(text.split())
    assert for_terminal(escaped(text)) == line
    assert for_terminal(table(["name"], [[text]])).splitlines()[2] == f"| {line.ljust(4)} |"
