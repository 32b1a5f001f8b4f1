"""What was measured, as tables of medians and ratios."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

OURS = "Filiera"


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One measurement."""

    title: str  #: of what
    subject: str  #: of whom
    number: float
    unit: str = "s"  #: seconds, "MB", or the sign of multiplication for a ratio by itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One thing that we want to reach, and how far we came."""

    work: str
    reach: str
    found: str
    is_reached: bool | None  #: None: not measured


@dataclass(kw_only=True, slots=True)
class Measurements:
    """Numbers by what was measured and subject, in the order in which they were first measured."""

    versions: dict[str, str] = field(default_factory=dict)  #: by subject
    failures: dict[str, str] = field(default_factory=dict)  #: why a subject, or a scenario of it, has no figures
    units: dict[str, str] = field(default_factory=dict)  #: by title
    numbers: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, value: Value) -> None:
        """Keep one measurement."""
        self.units[value.title] = value.unit
        self.numbers.setdefault(value.title, {}).setdefault(value.subject, []).append(value.number)

    def median(self, title: str, subject: str) -> float | None:
        """Return the median of what was measured, or None."""
        found = self.numbers.get(title, {}).get(subject)
        return statistics.median(found) if found else None

    def ratio(self, title: str, subject: str, peer_title: str = "", peer: str = "") -> float | None:
        """Return a subject's figure divided by a peer's, round by round, as the median of these; None: not measured.

        What happens to the machine meanwhile happens to both sides of a round, and so to few of the ratios.
        """
        ours = self.numbers.get(title, {}).get(subject, ())
        theirs = self.numbers.get(peer_title or title, {}).get(peer, ())
        ratios = [one / other for one, other in zip(ours, theirs, strict=False)]
        return statistics.median(ratios) if ratios else None

    def table(self) -> str:
        """Return a Markdown table: per subject the median and, after it, our figure divided by it."""
        subjects = [name for name in self.versions if any(name in found for found in self.numbers.values())]
        header = ["", *(f"{name} {self.versions[name]}" for name in subjects)]
        lines = [_row(header), _row([":--", *("--:" for _ in subjects)])]
        for title, found in self.numbers.items():
            if set(found) != {"Python"}:
                lines.append(_row([title, *(self._cell(title, name) for name in subjects)]))
        return "\n".join([*lines, "", *self._notes()])

    def _cell(self, title: str, subject: str) -> str:
        median, ratio = self.median(title, subject), self.ratio(title, OURS, peer=subject)
        if median is None:
            return "–"
        said = "" if subject == OURS or ratio is None else f" ({shown_ratio(ratio)})"
        return f"{shown(median, self.units[title])}{said}"

    def _notes(self) -> list[str]:
        rounds = max((len(values) for found in self.numbers.values() for values in found.values()), default=0)
        notes = [
            f"Medians of up to {rounds} rounds. In brackets: Filiera's figure divided by the peer's of the same round. "
            "Below 1 is less.",
        ]
        bare = self.median("python -c pass", "Python")
        if bare is not None:
            notes.append(f"`python -c pass` takes {shown(bare, 's')} here.")
        notes.append(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors.")
        notes += [f"{name}: {why}." for name, why in self.failures.items()]
        return notes


def goals_table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table of what we want to reach."""
    lines = [_row(["work", "reach", "found", ""]), _row([":--", ":--", ":--", ":--"])]
    verdicts = {True: "pass", False: "**miss**", None: "not measured"}
    lines += [_row([o.work, o.reach, o.found, verdicts[o.is_reached]]) for o in outcomes]
    return "\n".join(lines)


def write_results(measurements: Measurements, outcomes: Sequence[Outcome], folder: Path, *, name: str = "") -> None:
    """Write every measurement as JSON, and the tables as Markdown, under *name* or the version of ours."""
    version = measurements.versions[OURS]
    name = name or version
    folder.mkdir(exist_ok=True)
    data = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "versions": measurements.versions,
        "failures": measurements.failures,
        "goals": [{"work": o.work, "reach": o.reach, "found": o.found, "is_reached": o.is_reached} for o in outcomes],
        "units": measurements.units,
        "numbers": {
            title: {subject: [float(f"{value:.6g}") for value in values] for subject, values in found.items()}
            for title, found in measurements.numbers.items()
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    page = f"# Filiera {version}\n\n{goals_table(outcomes)}\n\n{measurements.table()}\n"
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    print(f"\nwritten to {folder.name}/{name}.json and .md")


def shown(number: float, unit: str) -> str:
    """Return a number for people.

    >>> shown(0.0123, "s"), shown(2.5, "s"), shown(0.00001234, "s"), shown(320.4, "MB")
    ('12.3 ms', '2.5 s', '12.3 µs', '320 MB')
    """
    if unit == "×":
        return f"{number:.4f} ×"
    if unit != "s":
        return f"{number:.0f} {unit}"
    if number < 0.001:
        return f"{number * 1e6:.3g} µs"
    return f"{number * 1000:.3g} ms" if number < 1 else f"{number:.3g} s"


def shown_ratio(ratio: float) -> str:
    """Return a ratio for people.

    >>> shown_ratio(1.234), shown_ratio(0.0123)
    ('1.23', '0.01')
    """
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
