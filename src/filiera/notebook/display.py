"""What runs, versions and values look like in a notebook: HTML, in which whatever comes from elsewhere is escaped.

A report that a step returned is shown in a frame of its own without any rights: its scripts do not run, its links and
forms lead nowhere, and nothing of it touches the notebook.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from filiera.cli.output import how_big, how_long, when
from filiera.cli.previews import preview
from filiera.cli.run_command import told
from filiera.core.check import CheckReport
from filiera.core.drawing import colour_of, draw
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.gate import GateReport
from filiera.core.graph import Graph
from filiera.core.metric import Metrics
from filiera.core.pipeline import Pipeline
from filiera.core.report import Html, Markdown, Svg
from filiera.core.runstate import StepStatus
from filiera.errors import FilieraError
from filiera.project.runs import Run
from filiera.project.versions import Version

MOST_ROWS = 200
"""A table shows so many rows and says how many there are."""
_FRAME_PX = 480


def run(one: Run) -> str:
    """Return a run: how it ended, its graph, a table of its steps."""
    state = one.state
    head = f"<b>{escape(one.run_id)}</b> {_state(one.status)} · {escape(_counts(one))}"
    if one.version is not None:
        head += f" · {_published(one)} <b>{escape(one.version.ref)}</b>"
    reasons = _reasons(one) if len(state.steps) <= MOST_ROWS else {}
    rows = [
        [
            escape(step.name),
            escape(step.stage),
            _state(step.status),
            escape(how_long(step.duration_s) if step.attempt else ""),
            escape(how_big(sum(ref.size_bytes for ref in step.outputs)) if step.outputs else ""),
            escape(step.detail or reasons.get(step.name, "")),
        ]
        for step in list(state.steps.values())[:MOST_ROWS]
    ]
    states = {name: step.status for name, step in state.steps.items()}
    drawing = draw({node.name: node.upstream for node in one.graph.nodes}, states)
    table = _table(("step", "stage", "state", "took", "output", "why"), rows, total=len(state.steps))
    failures = "".join(
        f"<div>step <b>{escape(step.name)}</b> failed ({escape(step.failure.kind)})</div>"
        f"<pre>{escape(told(step.failure.error, step.failure.message, step.failure.traceback))}</pre>"
        for step in state.steps.values()
        if step.failure is not None and step.status == "failed"
    )
    return f"<div><div>{head}</div>{drawing}{table}{failures}</div>"


def run_in_words(one: Run) -> str:
    """Return how a run ended, in one line."""
    version = f", {_published(one)} {one.version.ref}" if one.version is not None else ""
    return f"{one.run_id} {one.status}: {_counts(one)}{version}"


def _counts(one: Run) -> str:
    named: tuple[StepStatus, ...] = ("failed", "rejected", "blocked", "cancelled", "skipped", "caught")
    counts = {"ran": one.state.count("succeeded"), "from cache": one.state.count("hit")}
    counts |= {name: one.state.count(name) for name in named if one.state.count(name)}
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _published(one: Run) -> str:
    return "published" if one.is_new_version else "unchanged, still"


def _reasons(one: Run) -> dict[str, str]:
    return {row["step"]: row["reason"] for row in one.project.records.read("steps_of_run", {"run_id": one.run_id})}


def graph(one: Graph) -> str:
    """Return a graph as a drawing; as a list of names when it is too large for one."""
    drawing = draw({node.name: node.upstream for node in one.nodes})
    names = "" if drawing else f"<div>{escape(', '.join(node.name for node in one.nodes[:MOST_ROWS]))} …</div>"
    head = f"<b>{escape(one.pipeline)}</b> {escape(one.kind)} pipeline · {len(one.nodes)} steps"
    return f"<div><div>{head}</div>{drawing}{names}</div>"


def pipeline(one: Pipeline) -> str | None:
    """Return a pipeline as the graph of its default parameters, or None when it needs others."""
    try:
        return graph(one.trace())
    except FilieraError:
        return None


def version(one: Version) -> str:
    """Return a version: where it comes from, what it is made of, its metrics or columns."""
    description = dict(one.description)
    measured, columns = description.pop("metrics", {}), description.pop("columns", {})
    facts = {
        one.kind: one.ref,
        "aliases": ", ".join(one.aliases),
        "published": f"{when(one.created_at)} by {one.run_id}",
        "content": f"{one.artifact.digest} ({one.artifact.codec})",
        "made from": ", ".join(f"{name} = {value}" for name, value in one.inputs.items()),
        **{name: str(value) for name, value in description.items()},
    }
    parts = [_table((), [[f"<b>{escape(name)}</b>", escape(value)] for name, value in facts.items() if value])]
    if measured:
        rows = [[escape(name), *_numbers(m["value"], m["low"], m["high"], m["n"])] for name, m in measured.items()]
        parts.append(_table(("metric", "value", "low", "high", "rows"), rows))
    if columns:
        found = [[escape(name), escape(str(kind))] for name, kind in columns.items()]
        parts.append(_table(("column", "type"), found[:MOST_ROWS], total=len(found)))
    return f"<div>{''.join(parts)}</div>"


def metrics(all_: Evaluation | Metrics) -> str:
    """Return metrics as a table, each with its interval."""
    rows = [
        [escape(one.name), *_numbers(one.value, one.low, one.high, one.n, one.baseline)] for one in metrics_of(all_)
    ]
    return _table(("metric", "value", "low", "high", "rows", "dummy"), rows)


def gates(report: GateReport) -> str:
    """Return what each gate said."""
    rows = [[_state("succeeded" if one.passed else "failed", one.passed), escape(one.reason)] for one in report.results]
    return _table(("gate", "why"), rows)


def checks(report: CheckReport) -> str:
    """Return what checks found."""
    rows = [[escape(one.severity), escape(one.name), escape(one.reason)] for one in report.failed]
    table = _table(("severity", "check", "why"), rows) if rows else ""
    return f"<div><div>{escape(report.headline)}</div>{table}</div>"


def page(report: Html) -> str:
    """Return a report in a frame that may do nothing."""
    return (
        f'<iframe sandbox="" srcdoc="{escape(report.text)}" title="report" '
        f'style="width:100%;height:{_FRAME_PX}px;border:1px solid {colour_of("")};background:white"></iframe>'
    )


def picture(drawing: Svg) -> str:
    """Return a drawing as an image: in one, no script of it runs and nothing is loaded."""
    content = base64.b64encode(drawing.text.encode("utf-8", "replace")).decode()
    return f'<img alt="figure" src="data:image/svg+xml;base64,{content}" style="max-width:100%;background:white"/>'


def text(report: Markdown) -> str:
    """Return a Markdown text as it was written: rendered, it could hold HTML of any kind."""
    return f"<pre>{escape(preview(report))}</pre>"


def values(all_: Iterable[Any]) -> str:
    """Return several values below each other."""
    return "".join(f"<div>{shown(value)}</div>" for value in all_)


def shown(value: Any) -> str:
    """Return any stored value: ours as above, others as they show themselves, the rest as text."""
    for kind, function in _OURS.items():
        if isinstance(value, kind):
            return str(function(value))
    own = getattr(value, "_repr_html_", None)
    found = own() if callable(own) else None
    return found if isinstance(found, str) else f"<pre>{escape(preview(value))}</pre>"


_OURS: dict[type, Any] = {
    Html: page, Svg: picture, Markdown: text, Metrics: metrics, Evaluation: metrics, GateReport: gates,
    CheckReport: checks,
}  # fmt: skip


def _state(state: str, said: object = None) -> str:
    word = state if said is None else "passed" if said else "FAILED"
    return f'<span style="color:{colour_of(state)}">{escape(word)}</span>'


def _numbers(*numbers: float | None) -> list[str]:
    return ["" if n is None else f"{n:,}" if isinstance(n, int) else f"{n:.4f}" for n in numbers]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, total: int | None = None) -> str:
    """Return a table of cells that are HTML already."""
    align = ' style="text-align:left"'
    head = f"<thead><tr>{''.join(f'<th{align}>{escape(name)}</th>' for name in header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{''.join(f'<td{align}>{cell}</td>' for cell in row)}</tr>" for row in rows)
    more = f"<div>and {total - len(rows):,} more</div>" if total is not None and total > len(rows) else ""
    return f"<table>{head}<tbody>{body}</tbody></table>{more}"
