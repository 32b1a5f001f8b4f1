from __future__ import annotations

from filiera.adapters.markdown_page import document_html
from filiera.core.document import Document, Section
from filiera.core.report import Svg


def page(lead: str, *sections: Section) -> str:
    return document_html(Document(kind="Card", title="m@1", lead=lead, sections=sections)).text


def test_words_of_an_author_are_markdown() -> None:
    """Emphasis, lists and links."""
    text = page("For *drills* only, see [here](https://example.org/a).\n\n- one\n- two")
    assert "<em>drills</em>" in text and '<a href="https://example.org/a">here</a>' in text and "<li>two</li>" in text


def test_no_page_runs_or_loads_anything() -> None:
    """HTML is shown as text, links that would run something are none, and the page forbids what is left."""
    text = page("<script>alert(1)</script> [x](javascript:alert(1)) ![y](https://example.org/y.png)")
    assert "<script" not in text and 'href="javascript' not in text
    assert "default-src 'none'" in text


def test_drawings_follow_the_text_of_their_section() -> None:
    """And tables scroll by themselves."""
    text = page("", Section("Metrics", "| a |\n| - |\n| 1 |", (Svg("<svg id='one'/>"),)))
    assert text.index("</table></div>") < text.index("<figure><svg id='one'/></figure>")
