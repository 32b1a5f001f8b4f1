"""Steps are functions: call them with small tables."""

import polars as pl
from flows.data import clean, features
from flows.model import evaluate, fit, split_flows
from traffic.cleaning import LONGEST_S
from traffic.columns import COUNTS, FEATURES, FLAGS, RATES


def connections(rows: int) -> pl.DataFrame:
    """Return raw connections; those with an odd duration are attacks that go to one service."""
    numbers = {name: [0] * rows for name in FLAGS + COUNTS} | {name: [0.5] * rows for name in RATES}
    return pl.DataFrame(
        numbers
        | {
            "duration": range(rows),
            "protocol_type": "tcp",
            "service": ["http", "private"] * (rows // 2),
            "flag": "SF",
            "label": ["normal", "neptune"] * (rows // 2),
            "category": ["normal", "dos"] * (rows // 2),
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
    """The target has two values, and the attack's name is gone."""
    made = features(clean(connections(4)))
    assert made.columns == [*FEATURES, "attack"]
    assert made["attack"].to_list() == ["normal", "attack", "normal", "attack"]


def test_model_learns_an_obvious_rule() -> None:
    """What is plain in the training rows is found in the test rows, a new service included."""
    rows = features(clean(connections(200)))
    train_rows, test_rows = split_flows(rows, seed=0)
    model = fit(train_rows, trees=5, max_depth=4, seed=0)
    assert (train_rows.height, test_rows.height) == (160, 40)
    assert evaluate(model, test_rows).metrics["accuracy"].value == 1.0
    assert len(model.predict(test_rows.with_columns(service=pl.lit("new")))) == 40
