"""What the benchmark says of what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import ROOT


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the benchmark's modules, which are scripts beside each other and no package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import measurements
    import reach

    yield measurements, reach
    for name in ("measurements", "reach", "scenarios", "peers", "memory"):
        sys.modules.pop(name, None)


def found_with(measurements: Any, *values: tuple[str, str, float]) -> Any:
    found = measurements.Measurements(versions={"Filiera": "1.2.3", "joblib": "4"})
    for title, subject, number in values:
        found.add(measurements.Value(title=title, subject=subject, number=number))
    return found


@pytest.mark.parametrize(("ours", "verdict"), [(0.5, True), (0.51, False)])
def test_a_ratio_is_compared_with_what_it_should_be(modules: Any, ours: float, verdict: bool) -> None:
    """At most half of joblib's time passes; what was not measured is neither reached nor missed."""
    measurements, reach = modules
    cold = "chain of 100 steps, cold"
    first, *_, last = reach.outcomes(found_with(measurements, (cold, "Filiera", ours), (cold, "joblib", 1.0)))
    assert (first.work, first.reach, first.is_reached) == (cold, "≤ 0.5 × joblib", verdict)
    assert (last.found, last.is_reached) == ("", None)


def test_a_median_decides(modules: Any) -> None:
    """One slow round among five changes nothing."""
    measurements, reach = modules
    title = "1,000 runs of 3 steps"
    found = found_with(measurements, *[(title, "Filiera", seconds) for seconds in (1, 9, 2, 2, 2)])
    outcome = next(o for o in reach.outcomes(found) if o.work == title)
    assert (outcome.reach, outcome.found, outcome.is_reached) == ("≤ 3 s", "2 s", True)


def test_times_faster_is_the_ratio_upside_down(modules: Any) -> None:
    """Forty times faster is a fortieth of the time."""
    measurements, reach = modules
    cold = "chain of 100 steps, cold"
    found = found_with(measurements, (cold, "Filiera", 0.02), (cold, "Kedro session", 1.0))
    outcome = next(o for o in reach.outcomes(found) if "Kedro" in o.reach)
    assert (outcome.reach, outcome.is_reached) == ("≥ 40 × faster than Kedro session", True)
    assert outcome.found == "50 × faster (20 ms beside 1 s)"


def test_every_query_of_a_large_store_is_a_goal(modules: Any) -> None:
    """Whatever queries there are."""
    measurements, reach = modules
    found = found_with(measurements, ("store of 10 runs: latest", "Filiera", 0.011))
    assert [(o.work, o.is_reached) for o in reach.outcomes(found) if "store" in o.work] == [
        ("store of 10 runs: latest", False)
    ]


def test_results_are_kept_for_each_version(modules: Any, tmp_path: Path) -> None:
    """All numbers for programs, and the tables for people."""
    measurements, reach = modules
    found = found_with(measurements, ("--help", "Filiera", 0.1), ("--help", "joblib", 0.4))
    measurements.write_results(found, reach.outcomes(found), tmp_path)
    assert json.loads((tmp_path / "1.2.3.json").read_text())["numbers"]["--help"]["joblib"] == [0.4]
    page = (tmp_path / "1.2.3.md").read_text()
    assert "| --help | 100 ms | 400 ms (0.25) |" in page
    assert "| not measured |" in page
