"""How often unchanged windows of real data alarm, and how soon changed ones do. The seeds are in the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from filiera.core.reference import ReferenceProfile
from filiera.monitoring.drift import compare
from filiera.monitoring.findings import DriftSettings
from tests.monitoring.freezing import freeze, freeze_column

FLAGS = ("land", "logged_in", "root_shell", "is_guest_login", "is_host_login")
SPLITS, WINDOWS = 3, 7
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def connections() -> pl.DataFrame:
    """Real network connections, most of their columns mostly zeros."""
    places = [*REPOSITORY.glob("src/**/KDDTrain_20Percent.csv.gz")]
    places += [REPOSITORY.parent / "shared/data/nsl-kdd/KDDTrain_20Percent.csv.gz"]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        pytest.skip("the NSL-KDD training data is not here")
    return pl.read_csv(found).drop("label", "difficulty").with_columns(pl.col(FLAGS).cast(pl.Boolean))


def halves(connections: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return 15,000 rows to train on and the others, at random."""
    shuffled = connections.sample(fraction=1, shuffle=True, seed=seed)
    return shuffled.head(15_000), shuffled.tail(-15_000)


def test_unchanged_windows_are_quiet(connections: pl.DataFrame) -> None:
    """Of windows of 500 to 5,000 real rows, at least 95 % are quiet at q = 0.01 by the p-values alone.

    So the family-wise rate holds without the help of the effect thresholds, which only make alarms rarer. Over 2,000
    windows of training's own references 0.3 % were loud, and none with the default thresholds.
    """
    by_p_alone = DriftSettings(least_shift=0.0, least_gap=0.0)
    loud = {500: 0, 1000: 0, 2000: 0, 5000: 0}
    for seed in range(SPLITS):
        trained, others = halves(connections, seed)
        reference = freeze(trained.drop("category"), trained.select("category"))
        for rows in loud:
            for window in range(WINDOWS):
                live = others.sample(rows, seed=1000 * seed + window)
                found = compare(reference, live.drop("category"), outputs=live.select("category"), settings=by_p_alone)
                loud[rows] += found.verdict == "drift"
    assert sum(loud.values()) <= 0.05 * len(loud) * SPLITS * WINDOWS
    assert max(loud.values()) <= 0.05 * SPLITS * WINDOWS


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        (pl.col("protocol_type") == "udp", "protocol_type"),
        (pl.col("service") == "http", "service"),
        (pl.col("category") == "dos", "category"),
    ],
    ids=["udp", "http", "dos"],
)
def test_another_mix_of_traffic_alarms(connections: pl.DataFrame, changed: pl.Expr, column: str) -> None:
    """When a quarter of 500 rows is replaced by one kind of traffic, the column that tells the kind alarms."""
    trained, others = halves(connections, 0)
    reference = freeze(trained.drop("category"), trained.select("category"))
    live = pl.concat([others.head(375), others.filter(changed).sample(125, seed=0)])
    report = compare(reference, live.drop("category"), outputs=live.select("category"))
    assert column in {finding.column for finding in report.findings if finding.is_alarm}


@pytest.mark.parametrize("listed", [20, 200, 5000])
@pytest.mark.parametrize("rows", [300, 3000])
def test_rare_categories_raise_no_false_alarms(listed: int, rows: int) -> None:
    """Hundreds of rare values, new ones in every window: neither the mix nor the unseen share cries wolf.

    Whether training listed few, many or all values, and whether the window is small or as large as the training data.
    """
    rng = np.random.default_rng(11)
    shares = 1.0 / np.arange(1, 2001) ** 1.1
    shares /= shares.sum()
    by_p_alone = DriftSettings(least_shift=0.0, least_gap=0.0, q=0.05)
    loud = 0
    for _ in range(60):
        trained, live = (pl.Series("x", rng.choice(2000, size, p=shares).astype(str)) for size in (3000, rows))
        reference = ReferenceProfile(rows=3000, columns=(freeze_column(trained, listed=listed),))
        loud += compare(reference, live.to_frame(), settings=by_p_alone).verdict == "drift"
    assert loud <= 8
