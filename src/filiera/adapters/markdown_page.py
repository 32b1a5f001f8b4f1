"""Documents as pages: self-contained, without scripts, light and dark."""

from __future__ import annotations

import html
from importlib.resources import files

from markdown_it import MarkdownIt

from filiera.core.document import Document
from filiera.core.report import Html


def document_html(document: Document) -> Html:
    """Return *document* as a page. HTML in its Markdown is shown as text, and pictures from elsewhere are not loaded.

    >>> from filiera.core.document import Section
    >>> page = document_html(Document(kind="Card", title="<b>", lead="<i>", sections=(Section("Made", "*by* me"),)))
    >>> "&lt;b&gt;" in page.text, "<i>" in page.text, "<em>by</em> me" in page.text
    (True, False, True)
    """
    # Without HTML: what an author or a table's cell says is never taken as part of the page.
    render = MarkdownIt("commonmark", {"html": False}).enable("table").render
    style = files("filiera.adapters").joinpath("markdown_page.css").read_text(encoding="utf-8")
    sections = "".join(
        f"<section><h2>{html.escape(section.title)}</h2>{_wide(render(section.text))}"
        f"{''.join(f'<figure>{drawing.text}</figure>' for drawing in section.drawings)}</section>"
        for section in document.sections
    )
    title = html.escape(document.title)
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body><main>"
        f'<header><p class="eyebrow">{html.escape(document.kind)}</p><h1>{title}</h1>'
        f'<div class="lead">{render(document.lead)}</div></header>{sections}</main></body></html>\n'
    )


def _wide(text: str) -> str:
    """Let tables that are wider than the page scroll by themselves."""
    return text.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
