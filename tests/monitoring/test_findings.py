from __future__ import annotations

from typing import Any

from filiera.monitoring.findings import Aspect, DriftReport, DriftSettings, Finding, State


def finding(column: str, state: State = "ok", *, aspect: Aspect = "values", effect: float | None = None) -> Finding:
    """Return a finding with a threshold of 0.1."""
    return Finding(
        column=column, role="input", aspect=aspect, state=state, effect=effect, effect_name="D", threshold=0.1
    )


def report(*findings: Finding, verdict: Any = "drift") -> DriftReport:
    """Return a report of a window of 1,234 rows."""
    return DriftReport(
        verdict=verdict, findings=findings, reference_rows=20_000, current_rows=1234, settings=DriftSettings()
    )


def test_worst_comes_first() -> None:
    """Alarms lead, what vanished before what changed, then by effect in units of the threshold."""
    found = report(
        finding("quiet", effect=0.05),
        finding("small", "drift", effect=0.2),
        finding("few", "not enough data"),
        finding("large", "drift", effect=0.4),
        finding("gone", "missing column"),
    )
    assert [one.column for one in found.worst()] == ["gone", "large", "small", "quiet", "few"]
    assert [row["column"] for row in found.to_rows()] == ["gone", "large", "small", "quiet", "few"]


def test_summary_names_the_three_worst() -> None:
    """One line: how many columns, over what, the worst three with their effect, and how many more."""
    alarms = [finding(f"c{i}", "drift", effect=0.9 - i / 10) for i in range(5)]
    missing = finding("c0", "drift", aspect="missing", effect=0.95)
    assert report(*alarms, missing, finding("x", effect=0.0)).summary == (
        "drift in 5 of 6 columns over 1,234 rows: c0 missing (D 0.95), c0 (D 0.90), c1 (D 0.80) and 3 more"
    )


def test_summary_of_a_quiet_window_without_tests() -> None:
    """Constant columns need no test: quiet, with no largest change to name."""
    assert report(finding("x"), verdict="quiet").summary == "quiet: 1 columns over 1,234 rows"


def test_rows_have_stable_names_and_plain_values() -> None:
    """What scripts read as JSON: the same keys in every row, None where there is nothing."""
    row = finding("x").to_row()
    assert list(row) == [
        "column", "role", "aspect", "state", "test", "statistic", "p_value", "adjusted_p", "effect", "effect_name",
        "threshold", "reference_rows", "current_rows", "note",
    ]  # fmt: skip
    assert row["p_value"] is None
    assert row["note"] is None
