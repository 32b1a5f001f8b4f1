"""What importance was found, for people: as a section of a document, with its drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from filiera.core.document import Document, Section, escaped, listed, table
from filiera.model.evaluation_text import interval_text, number
from filiera.model.importance import Importance, InputImportance
from filiera.model.interval_chart import Measured, interval_chart

_MOST = 30


def importance_document(found: Importance, *, title: str = "Importance") -> Document:
    """Return what was found, all of it, as a document."""
    section = importance_section(found, most=len(found.inputs))
    return Document(kind="Importance of inputs", title=title, lead="", sections=(section,))


def importance_section(found: Importance, *, most: int = _MOST) -> Section:
    """Return what was found as a section, with a drawing; of more inputs than *most* the first."""
    shown = found.inputs[:most]
    rows = [(one.name, signed(one.value), f"{signed(one.low)} to {signed(one.high)}", verdict(one)) for one in shown]
    text = [
        escaped(" ".join(told(found))),
        table(("input", worse(found), "95 % interval", ""), rows, right=(worse(found),)),
    ]
    if len(found.inputs) > len(shown):
        text.append(f"and {len(found.inputs) - len(shown):,} less important ones")
    if found.notes:
        text.append(listed(found.notes))
    lines = [Measured(label=one.name, value=one.value, low=one.low, high=one.high, mark=0.0) for one in shown]
    chart = interval_chart(lines, of=f"By how much {found.baseline.name} gets worse", mark="no importance")
    return Section(f"Importance for {found.baseline.name}", "\n\n".join(text), (chart,) if chart else ())


def told(found: Importance) -> Iterator[str]:
    """Yield sentences that say what was measured, and how."""
    base, how = found.baseline, found.how
    yield f"{base.name} is {number(base.value)} ({interval_text(base)}) on {base.n:,} rows."
    times = "once" if how.repeats == 1 else f"{how.repeats} times"
    falls = "falls" if base.greater_is_better else "rises"
    yield f"When an input's values are dealt out anew among the rows ({times}, seed {how.seed}), it {falls} by:"


def worse(found: Importance) -> str:
    """Return what the numbers are, as the head of a column.

    >>> from filiera.core.metric import Metric
    >>> from filiera.model.importance import Permuting
    >>> mae = Metric(name="mae", value=1, low=1, high=1, n=9, method="", greater_is_better=False)
    >>> worse(Importance(task="regression", baseline=mae, inputs=(), how=Permuting(), rows=""))
    'mae rises by'
    """
    return f"{found.baseline.name} {'falls' if found.baseline.greater_is_better else 'rises'} by"


def verdict(one: InputImportance) -> str:
    """Return what the interval says."""
    if one.low == one.high == 0:
        return "changes no answer"
    return "matters" if one.low > 0 else "harms" if one.high < 0 else "no telling"


def signed(value: float) -> str:
    """Return a difference with its sign.

    >>> signed(0.25), signed(-1234.5), signed(0.0)
    ('+0.2500', '-1234.5', '+0.0000')
    """
    return ("" if value < 0 else "+") + number(value)


def importance_data(found: Importance) -> dict[str, Any]:
    """Return what was found as JSON data."""
    return asdict(found)
