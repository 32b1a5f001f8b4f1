"""An evaluation as one HTML page that loads nothing: numbers with intervals, parts of the rows, plots."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib.resources import files

from filiera.core.evaluation import Evaluation
from filiera.core.report import Html
from filiera.model.evaluation_text import Part, Table, parts


def evaluation_html(evaluation: Evaluation, *, title: str = "Evaluation") -> Html:
    """Return a page with all that an evaluation says, and the plots that fit its task.

    >>> from filiera.core.metric import Metrics
    >>> import polars as pl
    >>> page = evaluation_html(Evaluation(metrics=Metrics((), task="clustering"), rows=pl.DataFrame()))
    >>> "<h1>Evaluation</h1>" in page.text
    True
    """
    task = evaluation.metrics.task.replace("_", " ")
    clusters = f", which hang together by {evaluation.clusters}" if evaluation.clusters else ""
    lead = f"{task}, {evaluation.rows.height:,} rows{clusters}"
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return Html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title>"
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>'
        f'<h1>{html.escape(title)}</h1><p class="m">{html.escape(lead)}</p>'
        f"{''.join(map(_shown, parts(evaluation)))}</body></html>"
    )


def _shown(part: Part) -> str:
    notes = f"<ul>{_each('li', part.notes)}</ul>" if part.notes else ""
    plots = "".join(f"<figure>{drawing.text}</figure>" for drawing in part.drawings)
    texts = _each("p", part.said) + "".join(map(_table, part.tables)) + notes
    return f"<h2>{html.escape(part.title)}</h2>{texts}" + (f'<div class="plots">{plots}</div>' if plots else "")


def _table(one: Table) -> str:
    marks = [' class="n"' if name in one.right else "" for name in one.header]
    head = "".join(f"<th{mark}>{html.escape(name)}</th>" for name, mark in zip(one.header, marks, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{mark}>{html.escape(str(c))}</td>' for c, mark in zip(row, marks, strict=True))}</tr>"
        for row in one.rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _each(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
