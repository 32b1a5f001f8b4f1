"""Faults in real data: each is caught by the check that should, and what does no harm alarms nobody."""

from __future__ import annotations

import random
from collections import Counter

import polars as pl
import pytest

from filiera.data.checks import run_checks
from tests.faults import spoiling

CAMPAIGN = 25
"""Times that each kind of fault is tried in the campaign: 650 faults."""

CAMPAIGN_HARMLESS = 60


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return spoiling.connections()


def failed(table: pl.DataFrame, spoiled: pl.DataFrame, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the short names of the checks that fail, with the reasons; half of the tables are lazy."""
    named = {name: check for name, check in spoiling.checks().items() if name not in without}
    report = run_checks(spoiled.lazy(), named.values(), beside=spoiling.beside(table))
    return {name: one.reason for name, one in zip(named, report.results, strict=True) if not one.passed}


def check_fault(table: pl.DataFrame, kind: str, seed: int) -> None:
    wanted, spoil = spoiling.FAULTS[kind]
    found = failed(table, spoil(table, random.Random(seed)))
    assert wanted in found, f"{kind}, seed {seed}: {found}"
    assert found[wanted]


def check_harmless(table: pl.DataFrame, kind: str, seed: int) -> None:
    without, change = spoiling.HARMLESS[kind]
    assert failed(table, change(table, random.Random(seed)), without=without) == {}, f"{kind}, seed {seed}"


def test_the_data_are_good(table: pl.DataFrame) -> None:
    """As they are, they pass every check."""
    assert failed(table, table) == {}


@pytest.mark.parametrize("kind", spoiling.FAULTS)
def test_a_fault_is_caught(table: pl.DataFrame, kind: str) -> None:
    """One of each kind, wherever it hits; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    check_fault(table, kind, seed)


@pytest.mark.parametrize("kind", spoiling.HARMLESS)
def test_what_is_harmless_alarms_nobody(table: pl.DataFrame, kind: str) -> None:
    """One of each kind; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    check_harmless(table, kind, seed)


@pytest.mark.campaign
def test_many_faults_and_many_harmless_changes(table: pl.DataFrame) -> None:
    """Hundreds of each; the table says which check caught what."""
    rows = Counter[tuple[str, str]]()
    for kind, (wanted, _) in spoiling.FAULTS.items():
        for seed in range(CAMPAIGN):
            check_fault(table, kind, seed)
            rows[kind, wanted] += 1
    for kind in spoiling.HARMLESS:
        for seed in range(CAMPAIGN_HARMLESS):
            check_harmless(table, kind, seed)
            rows[kind, "(none, rightly)"] += 1
    print(f"\n{'what was done':34}{'caught by':18}{'times':>6}")
    for (kind, wanted), times in rows.items():
        print(f"{kind:34}{wanted:18}{times:6}")
