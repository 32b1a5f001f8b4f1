"""What was measured, as a table of medians and ratios."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from pathlib import Path

OURS = "Filiera"


@dataclass(kw_only=True, slots=True)
class Measurements:
    """Seconds by scenario and subject, in the order in which they were first measured."""

    steps: int  #: length of the chain
    versions: dict[str, str] = field(default_factory=dict)  #: by subject
    failures: dict[str, str] = field(default_factory=dict)  #: why a subject has no figures
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, scenario: str, subject: str, seconds: float) -> None:
        """Keep one measurement."""
        self.seconds.setdefault(scenario, {}).setdefault(subject, []).append(seconds)

    def table(self) -> str:
        """Return a Markdown table: per subject the median and, after it, our median divided by it."""
        subjects = list(self.versions)
        header = ["", *(f"{name} {self.versions[name]}" for name in subjects)]
        lines = [_row(header), _row([":--", *("--:" for _ in subjects)])]
        for scenario, found in self.seconds.items():
            if set(found) == {"Python"}:
                continue
            ours = found.get(OURS)
            cells = [_cell(found.get(name), ours, is_ours=name == OURS) for name in subjects]
            lines.append(_row([self._title(scenario), *cells]))
        lines += ["", *self._notes()]
        return "\n".join(lines)

    def _title(self, scenario: str) -> str:
        return scenario.replace("chain", f"chain of {self.steps} steps")

    def _notes(self) -> list[str]:
        bare = self.seconds.get("python -c pass", {}).get("Python", [])
        notes = [
            f"Medians of {len(bare)} rounds. In brackets: Filiera's time divided by the peer's, below 1 is faster.",
        ]
        if bare:
            notes.append(f"`python -c pass` takes {_text(statistics.median(bare))} here.")
        notes.append(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors.")
        notes += [f"{name}: {why}." for name, why in self.failures.items()]
        return notes


def write_results(measurements: Measurements, folder: Path) -> None:
    """Write every measurement as JSON, and the table as Markdown, under the version of ours."""
    version = measurements.versions[OURS]
    folder.mkdir(exist_ok=True)
    data = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "steps": measurements.steps,
        "versions": measurements.versions,
        "failures": measurements.failures,
        "seconds": {
            scenario: {name: [round(value, 6) for value in values] for name, values in found.items()}
            for scenario, found in measurements.seconds.items()
        },
    }
    (folder / f"{version}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / f"{version}.md").write_text(f"# Filiera {version}\n\n{measurements.table()}\n", encoding="utf-8")
    print(f"\nwritten to {folder.name}/{version}.json and .md")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(values: list[float] | None, ours: list[float] | None, *, is_ours: bool) -> str:
    if not values:
        return "–"
    median = statistics.median(values)
    ratio = "" if is_ours or not ours else f" ({_ratio(statistics.median(ours) / median)})"
    return f"{_text(median)}{ratio}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
