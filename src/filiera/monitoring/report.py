"""The drift report as one HTML page that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from filiera.core.report import Html
from filiera.monitoring.findings import Bar, DriftReport, Finding

MAX_CHARTS = 24
"""Columns drawn; beyond that the table alone tells."""

_NONE = "-"
_SIGNS = {"drift": "▲", "quiet": "●", "not enough data": "○"}
_WIDTH, _ROW_HEIGHT, _LABEL_WIDTH, _BAR_WIDTH = 420, 30, 150, 215
_LONGEST_LABEL = 22

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6878; --line: #d9dee6; --page: #f6f7f9; --card: #ffffff;
  --before: #8a97a8; --now: #0f6fc6; --alarm: #b3261e; --good: #1b7f4b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b6; --line: #323b48; --page: #12161c;
  --card: #1a2029; --before: #7d8999; --now: #62b0f5; --alarm: #ff8a80; --good: #6fd39b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 32px 24px 64px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 12px; } h3 { font-size: 16px; margin: 0; }
.verdict { font-size: 17px; margin: 12px 0 4px; } .verdict b { text-transform: uppercase; letter-spacing: .04em; }
.drift b, .alarm { color: var(--alarm); } .quiet b { color: var(--good); }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 16px 0 0; padding: 0; }
.facts div { min-width: 110px; } dt, .soft { color: var(--soft); font-size: 13px; } dd { margin: 0; font-weight: 600; }
.cards { columns: 2 340px; column-gap: 16px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px;
  break-inside: avoid; margin: 0 0 16px; }
.card p { margin: 2px 0 8px; } .card h3, td:first-child, td:last-child { overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg .share { fill: var(--soft); font-size: 11px; }
.before { fill: none; stroke: var(--before); } .now { fill: var(--now); }
.legend { display: flex; gap: 20px; align-items: center; margin: 0 0 12px; }
.legend span::before { content: ""; width: 14px; height: 9px; display: inline-block; margin-right: 6px;
  border: 1px solid var(--before); }
.legend .live::before { background: var(--now); border-color: var(--now); }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; } th { color: var(--soft); font-weight: 600; }
th, td span { white-space: nowrap; }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } .number { text-align: right; white-space: nowrap; }
details { margin-top: 24px; } summary { cursor: pointer; } a { color: var(--now); }
"""

_EXPLANATION = """
<details><summary>How to read this</summary>
<p>Each column of the window is compared with what the training data looked like. <b>p</b> is the chance of a
difference at least this large if nothing had changed, adjusted for the number of tests (Benjamini-Hochberg). With many
rows even a trifle has a tiny p, so an alarm needs a large <b>effect</b> besides: D and total variation are shares of
rows that would have to move to undo the change; a difference of shares is the change of one share.</p>
<p>Numbers with many values are compared by Kolmogorov-Smirnov on bins frozen at training, categories by the chi-square
test of both samples (rare values together), two-valued columns, missing and unseen values by the test of two
proportions or, with few rows, Fisher's exact test. &ldquo;Not enough data&rdquo; is not &ldquo;no drift&rdquo;.</p>
</details>
"""


def render(report: DriftReport, *, title: str, facts: Sequence[tuple[str, str]] = ()) -> Html:
    """Return *report* as a page, the same bytes for the same arguments.

    Args:
        report: What was found.
        title: Names what is monitored, such as ``"flow-classifier@3"``.
        facts: More labels and values for the head of the page, such as the window's first and last time.
    """
    alarms = [finding for finding in report.worst() if finding.is_alarm]
    settings = report.settings
    head = [
        ("Rows in the window", f"{report.current_rows:,}"),
        ("Training rows", f"{report.reference_rows:,}"),
        ("Alarm when", f"p ≤ {settings.q:g} and effect ≥ threshold"),
        *facts,
    ]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict {"drift" if report.verdict == "drift" else report.verdict.split()[0]}">'
        f"{_SIGNS[report.verdict]} {_verdict(report)}</p>",
        f'<dl class="facts">{"".join(_fact(name, value) for name, value in head)}</dl>',
        _alarms(alarms),
        f'<h2>All columns</h2><div class="wide">{_table(report.worst())}</div>' if report.findings else "",
        _unexpected(report.unexpected),
        _EXPLANATION,
    ]
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: {report.verdict}</title><style>{_STYLE}</style></head>\n"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _verdict(report: DriftReport) -> str:
    """Return the summary with its first word, the verdict, marked."""
    rest = report.summary.removeprefix(report.verdict)
    return f"<b>{report.verdict}</b>{escape(rest)}"


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _alarms(alarms: Sequence[Finding]) -> str:
    if not alarms:
        return ""
    more = f'<p class="soft">{len(alarms) - MAX_CHARTS} more in the table.</p>' if len(alarms) > MAX_CHARTS else ""
    legend = '<div class="legend soft"><span>training</span><span class="live">window</span></div>'
    cards = "".join(_card(finding) for finding in alarms[:MAX_CHARTS])
    return f'<h2>What changed</h2>{legend}<div class="cards">{cards}</div>{more}'


def _card(finding: Finding) -> str:
    facts = [finding.test or str(finding.state)]
    if finding.effect is not None:
        facts.append(f"{finding.effect_name} {finding.effect:.3f} (alarm from {finding.threshold:g})")
    if finding.adjusted_p is not None:
        facts.append(f"p\N{NO-BREAK SPACE}{_p(finding.adjusted_p)}")
    note = f'<p class="soft">{escape(finding.note)}</p>' if finding.note else ""
    return (
        f'<section class="card"><h3>{escape(_name(finding))}</h3>'
        f'<p class="soft">{escape(" · ".join(facts))}</p>{note}{_chart(finding)}</section>'
    )


def _name(finding: Finding) -> str:
    name = f"{finding.column} (output)" if finding.role == "output" else finding.column
    return name if finding.aspect == "values" else f"{name}: {finding.aspect} values"


def _chart(finding: Finding) -> str:
    bars = finding.bars
    if not bars:
        return ""
    greatest = max(max(bar.reference, bar.current) for bar in bars) or 1.0
    rows = "".join(_chart_row(bar, index * _ROW_HEIGHT, greatest) for index, bar in enumerate(bars))
    height = len(bars) * _ROW_HEIGHT
    label = escape(f"{_name(finding)}: shares of rows in training and in the window", quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{rows}</svg>'


def _chart_row(bar: Bar, top: int, greatest: float) -> str:
    label = bar.label if len(bar.label) <= _LONGEST_LABEL else bar.label[: _LONGEST_LABEL - 1] + "…"
    before, now = (bar.reference / greatest * _BAR_WIDTH, bar.current / greatest * _BAR_WIDTH)
    return (
        f"<g><title>{escape(bar.label)}: {bar.reference:.1%} in training, {bar.current:.1%} in the window</title>"
        f'<text x="{_LABEL_WIDTH - 8}" y="{top + 17}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="before" x="{_LABEL_WIDTH}.5" y="{top + 3}.5" width="{before:.1f}" height="9"/>'
        f'<rect class="now" x="{_LABEL_WIDTH}" y="{top + 14}" width="{now:.1f}" height="10"/>'
        f'<text class="share" x="{_LABEL_WIDTH + before + 5:.1f}" y="{top + 12}">{bar.reference:.1%}</text>'
        f'<text class="share" x="{_LABEL_WIDTH + now + 5:.1f}" y="{top + 23}">{bar.current:.1%}</text></g>'
    )


def _table(findings: Sequence[Finding]) -> str:
    names = ("Column", "State", "Test", "Effect", "Alarm from", "p (adjusted)", "Rows", "Note")
    numbers = {"Effect", "Alarm from", "p (adjusted)", "Rows"}
    head = "".join(f'<th scope="col"{_number_class(name in numbers)}>{name}</th>' for name in names)
    body = "".join(_table_row(finding) for finding in findings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _table_row(finding: Finding) -> str:
    state = f'<span class="alarm">▲ {finding.state}</span>' if finding.is_alarm else finding.state
    tested = finding.effect is not None
    test = f"<span>{escape(finding.test)}</span> <span class=soft>{escape(finding.effect_name)}</span>"
    cells = [
        (escape(_name(finding)), False),
        (state, False),
        (test if tested else _NONE, False),
        (f"{finding.effect:.3f}" if tested else _NONE, True),
        (f"{finding.threshold:g}" if tested else _NONE, True),
        (_NONE if finding.adjusted_p is None else escape(_p(finding.adjusted_p)), True),
        (f"{finding.current_rows:,}", True),
        (escape(finding.note), False),
    ]
    return f"<tr>{''.join(f'<td{_number_class(is_number)}>{text}</td>' for text, is_number in cells)}</tr>"


def _number_class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _unexpected(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"<h2>Not in the training data</h2><p>{escape(', '.join(names))}</p>"


def _p(p: float) -> str:
    if p < 1e-12:
        return "< 1e-12"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
