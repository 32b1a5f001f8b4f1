"""Steps are functions: call them with small tables."""

import polars as pl
import pytest
from flows.data import clean, features
from flows.model import evaluate, fit, fit_unaware, split_flows
from flows.unseen import hold, measure
from traffic.cleaning import LONGEST_S
from traffic.columns import COUNTS, FEATURES, FLAGS, KIND, RATES, TARGET
from traffic.comparing import by_kind, gain, means
from traffic.unseen import NEVER_MET, rounds, thinned, weights


def connections(rows: int) -> pl.DataFrame:
    """Return raw connections; those with an odd duration are attacks, of two kinds, that go to one service."""
    numbers = {name: [0] * rows for name in FLAGS + COUNTS} | {name: [0.5] * rows for name in RATES}
    return pl.DataFrame(
        numbers
        | {
            "duration": range(rows),
            "protocol_type": "tcp",
            "service": ["http", "private"] * (rows // 2),
            "flag": "SF",
            "label": ["normal", "neptune", "normal", "satan"] * (rows // 4),
            "category": ["normal", "dos", "normal", "probe"] * (rows // 4),
            "num_outbound_cmds": 0,
            "difficulty": 21,
        }
    )


def test_clean_drops_what_leaks_and_what_cannot_be() -> None:
    """No row twice, no impossible duration, no column that tells the answer."""
    raw = connections(4)
    impossible = raw.head(1).with_columns(duration=pl.lit(LONGEST_S + 1, dtype=pl.Int64))
    cleaned = clean(pl.concat([raw, raw.head(2), impossible]))
    assert cleaned["duration"].to_list() == [0, 1, 2, 3]
    assert not {"difficulty", "category", "num_outbound_cmds"} & set(cleaned.columns)


def test_every_label_but_normal_is_an_attack() -> None:
    """The target has two values; the attack's name stays beside it, to split by."""
    made = features(clean(connections(4)))
    assert made.columns == [*FEATURES, KIND, TARGET]
    assert made["kind"].to_list() == ["normal", "neptune", "normal", "satan"]
    assert made["attack"].to_list() == ["normal", "attack", "normal", "attack"]


def test_model_learns_an_obvious_rule() -> None:
    """What is plain in the training rows is found in the test rows, a new service included."""
    rows = features(clean(connections(200)))
    train_rows, test_rows = split_flows(rows, seed=0)
    model = fit(train_rows, trees=5, max_depth=4, seed=0)
    assert (train_rows.height, test_rows.height) == (160, 40)
    assert evaluate(model, model, test_rows).metrics["accuracy"].value == 1.0
    assert len(model.predict(test_rows.with_columns(service=pl.lit("new")))) == 40


def test_the_unaware_model_never_meets_some_kinds() -> None:
    """What it says of them is told apart, beside what the model itself does per protocol."""
    rows = features(clean(connections(200)))
    new = rows.filter(pl.col(KIND) == "satan").with_columns(kind=pl.lit(NEVER_MET[0]), src_bytes=pl.lit(1, pl.Int64))
    train_rows, test_rows = split_flows(pl.concat([rows, new]), seed=0)
    models = [train(train_rows, trees=5, max_depth=4, seed=0) for train in (fit, fit_unaware)]
    slices = {part.value: part.metrics["accuracy"] for part in evaluate(*models, test_rows).slices}
    assert set(slices) == {"tcp", "known attack", "normal", "unseen attack"}
    assert slices["unseen attack"].n == test_rows.filter(pl.col(KIND).is_in(NEVER_MET)).height > 0
    assert slices["unseen attack"].value == 1.0


def test_a_kind_is_left_out_as_a_whole() -> None:
    """In exactly one round, and in each round something normal."""
    kinds = pl.Series(["normal", "dos", "normal", "probe", "normal", "dos", "normal", "r2l"])
    found = rounds(kinds, 2)
    for kind in ("dos", "probe", "r2l"):
        assert len(set(found[(kinds == kind).to_numpy()])) == 1
    assert sorted(found[(kinds == "normal").to_numpy()]) == [0, 0, 1, 1]


def test_each_kind_weighs_the_same() -> None:
    """However many rows it has; and a flood is thinned before that."""
    kinds = pl.Series([*["normal"] * 10, *["dos"] * 8, *["probe"] * 2])
    found = pl.DataFrame({"kind": kinds, "weight": weights(kinds)}).group_by("kind").agg(pl.col("weight").sum())
    assert dict(found.rows()) == {"normal": 10.0, "dos": 5.0, "probe": 5.0}
    flood = pl.DataFrame({"kind": ["dos"] * 3000 + ["probe"] * 5, "at": range(3005)})
    kept = thinned(flood, seed=1)
    assert (kept.height, kept["at"].is_sorted()) == (1005, True)


def test_a_kind_must_be_there_to_be_left_out() -> None:
    """With one kind there is nothing to learn about new ones from."""
    rows = features(clean(connections(40))).filter(pl.col(KIND) != "satan")
    with pytest.raises(ValueError, match="two kinds"):
        fit(rows, trees=1, max_depth=1, seed=0)


def test_the_gain_counts_kinds_not_rows() -> None:
    """One kind of a hundred rows that is found anew is as much as one of two rows that is lost."""
    found = pl.DataFrame(
        {
            "kind": ["normal"] * 100 + ["dos"] * 100 + ["probe"] * 2,
            "plain": [False] * 200 + [True] * 2,
            "detector": [False] * 100 + [True] * 100 + [False] * 2,
        }
    )
    assert means(found, "plain") == means(found, "detector") == (0.5, 0.0, 0.75)
    best, low, high = gain(found)
    assert (best, low, high) == (0.0, -0.5, 0.5)
    assert by_kind(found).rows() == [("dos", 100, 0.0, 1.0), ("rare kinds", 2, 1.0, 0.0)]


def test_a_recipe_that_finds_nothing_new_is_rejected() -> None:
    """As is one that raises alarms all the time; one that finds most kinds and is mostly silent passes."""
    kinds = ["normal"] * 400 + [f"kind {number % 10}" for number in range(100)]
    is_attack = [kind != "normal" for kind in kinds]
    for answers, passes in ((is_attack, True), ([False] * 500, False), ([True] * 500, False)):
        found = pl.DataFrame({"kind": kinds, "plain": [False] * 500, "detector": answers})
        assert hold(measure([found[:300], found[300:]])).blocks is not passes
