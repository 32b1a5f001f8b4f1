"""Steps are functions: call them with small tables."""

import datetime as dt

import numpy as np
import polars as pl
from flows.data import clean, features
from flows.model import draw, evaluate, fit, split_days, try_counts
from machines.clusters import assigned, clustered, misses, stability
from machines.use import FEATURES, KNOWN, LATER, SAMPLES


def raw_days(machines: int) -> pl.DataFrame:
    """Return two days of idle, busy and jumping machines in turn, with a little noise."""
    rng = np.random.default_rng(0)
    kinds = np.arange(2 * machines) % 3
    use = np.array([5, 90, 45])[kinds][:, None] + rng.integers(0, 3, (len(kinds), len(SAMPLES)))
    use[kinds == 2] += 20 * (np.arange(len(SAMPLES)) % 2)
    names = [f"2011030{day}_{number:04}" for day in (3, 6) for number in range(machines)]
    return pl.DataFrame(use, schema=SAMPLES).insert_column(0, pl.Series("vm", names))


def test_a_machine_with_an_impossible_sample_is_left_out() -> None:
    """Use is between 0 and 100 percent, and known all day."""
    raw = raw_days(3)
    odd = pl.concat([raw[:1].with_columns(t005=101), raw[1:2].with_columns(t005=None), raw[2:]], how="vertical_relaxed")
    assert clean(odd)["vm"].to_list() == raw["vm"].to_list()[2:]


def test_features_know_nothing_of_the_last_hours() -> None:
    """Other late samples change the later spread and the late hours, and no feature."""
    raw = raw_days(3)
    other = raw.with_columns(pl.lit(50, pl.Int64).alias(name) for name in SAMPLES[KNOWN:])
    before, after = features(raw), features(other)
    assert before.select(FEATURES).equals(after.select(FEATURES))
    assert after[LATER].to_list() == [0.0] * 6
    assert before["day"].unique().sort().to_list() == [dt.date(2011, 3, 3), dt.date(2011, 3, 6)]


def test_an_even_day_has_no_variability_peak_rhythm_or_jumps() -> None:
    """Its level is the logarithm of its use."""
    even = raw_days(1)[:1].with_columns(pl.lit(9, pl.Int64).alias(name) for name in SAMPLES)
    assert features(even).select(FEATURES).row(0) == (np.log1p(9.0), 0.0, 0.0, 0.0, 0.0)


def test_plain_groups_are_found_on_another_day() -> None:
    """Three kinds of machines: they fit, they are stable, and they say more than mean use does of the later spread."""
    train_rows, test_rows = split_days(features(raw_days(30)))
    assert (train_rows.height, test_rows.height) == (30, 30)
    model = fit(train_rows, clusters=3, seed=0)
    members = assigned(model, test_rows)
    assert [len({*members[kind::3]}) for kind in range(3)] == [1, 1, 1]
    found = evaluate(model, test_rows, train_rows, seed=0)
    assert found.metrics["silhouette"].value > 0.5
    assert found.metrics["stability"].value > 0.9
    assert "cluster 2" in draw(model, test_rows, found, try_counts(train_rows, seed=0)[:2]).text


def test_what_is_expected_is_the_median_of_the_group() -> None:
    """As known from the rows that are trained on."""
    rows = features(raw_days(30)).with_columns(pl.lit(4.0).alias(LATER))
    assert set(misses(clustered(rows, 3, 0), rows, rows.with_columns(pl.lit(6.5).alias(LATER)))) == {2.5}
    assert stability(rows, rows, 3, 0).shape == (10,)
