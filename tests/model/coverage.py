"""How often intervals hold, as the page on intervals shows it: ``python -m tests.model.coverage`` measures it anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.model.worlds import WORLDS, held

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "intervals.md"
REPEATS = 2000
_START, _END = "<!-- measured -->\n", "<!-- end of what was measured -->\n"
_HEADER = re.compile(r"(.*) ([\d,]+) (?:rows|queries|times|clusters)")

Shares = Mapping[tuple[str, int], Mapping[str, float]]
"""By world and number of rows: of each metric, how many of 100 intervals held."""


def measured(name: str, n: int, repeats: int = REPEATS) -> dict[str, float]:
    """Return how many of 100 intervals of each metric hold in a world."""
    return held(WORLDS[name][0], n, repeats, large=30_000 if "clusters of" in name else 300_000)


def shown(page: str) -> Shares:
    """Return the shares that the page shows."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    places: list[tuple[str, int]] = []
    for line in page.partition(_START)[2].partition(_END)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 2 or set(cells[0]) == {"-"}:
            continue
        if not cells[0].startswith("`"):
            places = [_place(cells[0], cell) for cell in cells[1:]]
            continue
        for place, cell in zip(places, cells[1:], strict=True):
            if cell:
                found.setdefault(place, {})[cells[0].strip("`")] = float(cell)
    return found


def tables(shares: Shares) -> str:
    """Return the shares as Markdown, a table for each task."""
    lines: list[str] = []
    for task in dict.fromkeys(name.partition(", ")[0] for name, _ in shares):
        own = {place: each for place, each in shares.items() if place[0].partition(", ")[0] == task}
        lines += [_row([task, *(_header(*place) for place in own)]), _row(["---"] * (len(own) + 1))]
        for metric in dict.fromkeys(metric for each in own.values() for metric in each):
            cells = [f"{each[metric]:.1f}" if metric in each else "" for each in own.values()]
            lines.append(_row([f"`{metric}`", *cells]))
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Measure everything, about ten minutes, and write it into the page."""
    shares: dict[tuple[str, int], dict[str, float]] = {}
    for name, (_, sizes) in WORLDS.items():
        for n in sizes:
            shares[name, n] = measured(name, n)
            print(f"{name}, {n:,}:", ", ".join(f"{key} {share:.1f}" for key, share in shares[name, n].items()))
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(_START)[0], page.partition(_END)[2]
    PAGE.write_text(f"{before}{_START}\n{tables(shares)}\n{_END}{after}", encoding="utf-8")
    return 0


def _header(name: str, n: int) -> str:
    units = {"ranking": "queries", "forecasting": "times"}
    unit = "clusters" if "clusters of" in name else units.get(_task(name), "rows")
    return f"{name.partition(', ')[2]} {n:,} {unit}".strip()


def _place(task: str, header: str) -> tuple[str, int]:
    matched = _HEADER.fullmatch(f" {header}")
    assert matched is not None, header
    rest = matched[1].strip()
    return f"{task}, {rest}" if rest else task, int(matched[2].replace(",", ""))


def _task(name: str) -> str:
    return name.partition(", ")[0]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
