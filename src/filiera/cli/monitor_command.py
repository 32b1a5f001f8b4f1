"""``filiera monitor``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.durations import seconds_of
from filiera.cli.output import coloured, print_json, print_table, when
from filiera.cli.places import find_model
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.serving.monitoring import look

if TYPE_CHECKING:
    from filiera.monitoring.findings import DriftReport, Finding
    from filiera.monitoring.window import Window

DRIFT_EXIT_CODE = 7
_WORDS = {
    "other_model": "of another model",
    "other_version": "of another version",
    "other_time": "before that time",
    "older": "earlier ones",
    "malformed": "that are no predictions",
}


def run(options: argparse.Namespace) -> int:
    """Print what differs between the logged predictions and the training data; 7 when that is an alarm."""
    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    since = project.clock() - seconds_of(options.since, "--since") if options.since else None
    report, window = look(project, version, since=since, last=options.last)
    facts = [("First prediction", when(window.first_at)), ("Last prediction", when(window.last_at))]
    if options.html:
        _write(Path(options.html), version.ref, report, facts)
    if options.json:
        print_json(
            {
                "model": version.ref,
                "verdict": report.verdict,
                "summary": report.summary,
                "rows": window.rows,
                "first_at": window.first_at,
                "last_at": window.last_at,
                "skipped": asdict(window.skipped),
                "findings": report.to_rows(),
                "unexpected": list(report.unexpected),
            }
        )
    else:
        _print(version.ref, report, window)
    return DRIFT_EXIT_CODE if report.verdict == "drift" else 0


def _print(model: str, report: DriftReport, window: Window) -> None:
    span = f", {when(window.first_at)} … {when(window.last_at)}" if window.rows else ""
    print(f"{model}: {window.rows:,} predictions{span}, against {report.reference_rows:,} training rows")
    if window.skipped.total:
        reasons = ", ".join(f"{count:,} {_WORDS[name]}" for name, count in asdict(window.skipped).items() if count)
        print(f"left out: {reasons}")
    if report.unexpected:
        print(f"not in the training data: {', '.join(report.unexpected)}")
    if window.rows:
        print()
        shown = [one for one in report.worst() if one.aspect == "values" or one.is_alarm]
        header = ["column", "role", "aspect", "test", "statistic", "adjusted p", "effect", "state"]
        print_table(header, [_line(finding) for finding in shown], right=("statistic", "adjusted p"))
    print(f"\nverdict: {coloured(report.summary, report.verdict)}")


def _line(finding: Finding) -> list[str]:
    return [
        finding.column,
        finding.role,
        finding.aspect,
        finding.test,
        _number(finding.statistic),
        _number(finding.adjusted_p),
        "" if finding.effect is None else f"{finding.effect_name} {finding.effect:.3f}",
        finding.state,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _write(file: Path, model: str, report: DriftReport, facts: list[tuple[str, str]]) -> None:
    from filiera.monitoring.report import render

    try:
        file.write_text(render(report, title=model, facts=facts).text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
