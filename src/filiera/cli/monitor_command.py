"""``filiera monitor``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from filiera.cli.output import coloured, print_json, print_table, when
from filiera.cli.places import find_model
from filiera.errors import UsageError
from filiera.project import plugins
from filiera.project.project import Project

DRIFT_EXIT_CODE = 7
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(options: argparse.Namespace) -> int:
    """Print what differs between the logged predictions and the training data; 7 when that is an alarm."""
    from filiera.monitoring.drift import compare
    from filiera.monitoring.window import Selection, collect

    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    since = project.clock() - _duration_s(options.since) if options.since else None
    selection = Selection(model=version.name, version=version.number, since=since, last=options.last)
    reference = project.value(version.attachments["reference"])
    log = plugins.prediction_log(project.store, version.name)
    window = collect(log.read(since=since or 0.0), reference, selection=selection)
    report = compare(reference, window.inputs, outputs=window.outputs)
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
                "findings": report.to_rows(),
                "unexpected": list(report.unexpected),
            }
        )
    else:
        _print(version.ref, report, window)
    return DRIFT_EXIT_CODE if report.verdict == "drift" else 0


def _print(model: str, report: Any, window: Any) -> None:
    span = f", {when(window.first_at)} … {when(window.last_at)}" if window.rows else ""
    print(f"{model}: {window.rows:,} predictions{span}, against {report.reference_rows:,} training rows\n")
    rows = [
        [
            finding.column,
            finding.role,
            finding.aspect,
            finding.test,
            _number(finding.statistic),
            _number(finding.adjusted_p),
            f"{finding.effect_name} {_number(finding.effect)}" if finding.effect is not None else "",
            finding.state,
        ]
        for finding in report.findings
        if finding.aspect == "values" or finding.is_alarm
    ]
    print_table(["column", "role", "aspect", "test", "statistic", "adjusted p", "effect", "state"], rows)
    print(f"\nverdict: {coloured(report.summary, report.verdict)}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _duration_s(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise UsageError(f"--since takes a duration such as 30m, 12h or 7d, not {text!r}.")
    return float(match[1]) * _SECONDS[match[2]]


def _write(file: Path, model: str, report: Any, facts: list[tuple[str, str]]) -> None:
    from filiera.monitoring.report import render

    try:
        file.write_text(render(report, title=model, facts=facts).text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
