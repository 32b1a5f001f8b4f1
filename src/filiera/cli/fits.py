"""How a model was fitted and exported, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from filiera.cli.output import print_table
from filiera.cli.terminal_plots import sparkline
from filiera.core.fit import ONNX_NOTE, Fit
from filiera.project.project import Project
from filiera.project.versions import Version

_SHOWN_FEATURES = 10


def print_fit(fit: Fit) -> None:
    """Print the parameters that somebody chose, metrics per iteration, and the features that count most."""
    if fit.chosen:
        print()
        rows = [[name, _told(fit.parameters[name])] for name in fit.chosen]
        print_table(["parameter", "value"], rows)
    if fit.curves:
        print()
        header = ["per iteration", "", "first", "least", "greatest", "last"]
        print_table(header, [_curve(name, points) for name, points in fit.curves.items()], right=tuple(header[2:]))
    if fit.importances:
        print()
        shown = list(fit.importances.items())[:_SHOWN_FEATURES]
        print_table(["feature", "importance"], [[name, f"{value:.4g}"] for name, value in shown], right=("importance",))
        if len(fit.importances) > _SHOWN_FEATURES:
            print(f"… {len(fit.importances) - _SHOWN_FEATURES:,} less important features")


def as_data(fit: Fit) -> dict[str, Any]:
    """Return a fit as JSON data."""
    return asdict(fit)


def export_of(project: Project, version: Version) -> str:
    """Return what became of a model's export to ONNX; "" if none was asked for."""
    return str(project.value(version.attachments[ONNX_NOTE])) if ONNX_NOTE in version.attachments else ""


def _curve(name: str, points: tuple[float, ...]) -> list[str]:
    numbers = (points[0], min(points), max(points), points[-1])
    return [name, sparkline(points), *(f"{number:.4g}" for number in numbers)]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
