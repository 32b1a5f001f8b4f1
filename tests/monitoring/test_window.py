from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.reference import MAX_PROBABILITY
from filiera.errors import UsageError
from filiera.monitoring.drift import compare
from filiera.monitoring.window import Selection, Window, collect
from tests.monitoring.freezing import freeze

ROWS = 200
RNG = np.random.default_rng(0)
INPUTS = pl.DataFrame(
    {
        "bytes": RNG.integers(0, 5000, ROWS),
        "rate": RNG.random(ROWS).astype(np.float32),
        "protocol": RNG.choice(["tcp", "udp"], ROWS),
        "logged_in": RNG.random(ROWS) < 0.5,
        "day": [dt.date(2026, 1, 1) + dt.timedelta(days=i) for i in range(ROWS)],
        "at": [dt.datetime(2026, 1, 1) + dt.timedelta(hours=i) for i in range(ROWS)],
    }
)
OUTPUTS = pl.DataFrame({"label": RNG.choice(["normal", "attack"], ROWS), MAX_PROBABILITY: RNG.random(ROWS) / 2 + 0.5})
REFERENCE = freeze(INPUTS, outputs=OUTPUTS)


def record(i: int = 0, **changes: Any) -> dict[str, Any]:
    """Return what a service logs of row *i*, after a trip through JSON."""
    inputs = {**INPUTS.row(i, named=True)}
    inputs = {**inputs, "day": inputs["day"].isoformat(), "at": inputs["at"].isoformat()}
    label, score = OUTPUTS.row(i)
    chances = {"normal": score, "attack": 1 - score}
    whole = {
        "id": f"p{i}",
        "at": 1000.0 + i,
        "model": "flow-classifier",
        "version": 3,
        "inputs": inputs,
        "outputs": {"label": label, "probabilities": chances},
    }
    found: dict[str, Any] = json.loads(json.dumps({**whole, **changes}))
    return found


def window(*records: dict[str, Any], **selection: Any) -> Window:
    """Return the window of *records*."""
    return collect(iter(records), REFERENCE, selection=Selection(**selection))


def test_logged_rows_come_back_as_they_were() -> None:
    """Types and values are the training data's, the greatest probability included."""
    found = window(*(record(i) for i in range(ROWS)))
    assert found.inputs.equals(INPUTS)
    assert found.inputs.schema == INPUTS.schema
    assert found.outputs.equals(OUTPUTS)
    assert (found.rows, found.first_at, found.last_at, found.skipped.total) == (ROWS, 1000.0, 1199.0, 0)
    assert compare(REFERENCE, found.inputs, outputs=found.outputs).verdict == "quiet"


def test_other_models_versions_and_times_are_counted() -> None:
    """What the window leaves out is counted by reason: nothing disappears silently."""
    found = window(
        record(0, model="other"),
        record(1, version=2),
        record(2, at=5.0),
        record(3, at=2000.0),
        record(4),
        record(5),
        record(6),
        model="flow-classifier",
        version=3,
        since=1000.0,
        until=2000.0,
        last=2,
    )
    assert found.rows == 2
    skipped = found.skipped
    assert (skipped.other_model, skipped.other_version, skipped.other_time, skipped.older) == (1, 1, 2, 1)
    assert (skipped.malformed, skipped.total) == (0, 5)


def test_last_takes_the_latest_logged() -> None:
    """The last N in order of logging, since clocks may step back."""
    found = window(record(0, at=9.0), record(1, at=5.0), record(2, at=7.0), last=2)
    assert found.inputs["bytes"].to_list() == INPUTS["bytes"][1:3].to_list()
    assert (found.first_at, found.last_at) == (5.0, 7.0)


@pytest.mark.parametrize(
    "broken",
    [
        {"id": "x"},
        {"at": "noon", "inputs": {}, "outputs": {}},
        {"at": 1.0, "inputs": None, "outputs": {}},
        {"at": 1.0, "inputs": [1, 2], "outputs": {}},
        {"at": 1.0, "inputs": {}, "outputs": "normal"},
    ],
)
def test_malformed_records_are_counted(broken: dict[str, Any]) -> None:
    """A record that is no prediction is skipped and counted, never an error."""
    found = window(broken, record(0))
    assert (found.rows, found.skipped.malformed) == (1, 1)


def test_an_empty_log_gives_an_empty_window() -> None:
    """No predictions: no rows, no times, and nothing to compare."""
    found = window()
    assert (found.rows, found.first_at, found.last_at) == (0, None, None)
    assert compare(REFERENCE, found.inputs, outputs=found.outputs).verdict == "not enough data"


def test_absent_values_are_null_and_absent_names_no_column() -> None:
    """A name that some rows lack is null there; one that all lack is missing; one that is new is kept as text."""
    short = record(1)
    del short["inputs"]["bytes"]
    rows = [record(0), short]
    for row in rows:
        del row["inputs"]["rate"]
        row["inputs"]["extra"] = {"a": 1}
    found = window(*rows)
    assert found.inputs.columns == ["bytes", "protocol", "logged_in", "day", "at", "extra"]
    assert found.inputs["bytes"].null_count() == 1
    assert found.inputs["extra"].to_list() == ["{'a': 1}"] * 2


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("bytes", [1, 1.5, "x", None, [1]], [1.0, 1.5, None, None, None]),
        ("bytes", [1, 2**70], [1.0, float(2**70)]),
        ("rate", ["0.5", {}, True], [0.5, None, 1.0]),
        ("protocol", ["tcp", 6, None], ["tcp", "6", None]),
        ("logged_in", [True, 1, "yes"], ["true", "1", "yes"]),
        ("day", ["2026-01-02", "soon", 7], [dt.date(2026, 1, 2), None, None]),
        ("day", ["2026-01-02T03:00:00+05:00"], [dt.date(2026, 1, 1)]),
        ("at", ["2026-01-02T03:00:00+01:00", None], [dt.datetime(2026, 1, 2, 2), None]),
    ],
)  # fmt: skip
def test_values_of_the_wrong_type_are_tolerated(name: str, values: list[Any], expected: list[Any]) -> None:
    """A wrong value becomes null among numbers and times, and text elsewhere; nothing raises."""
    rows = [record(i) for i in range(len(values))]
    for row, value in zip(rows, values, strict=True):
        row["inputs"][name] = value
    assert window(*rows).inputs[name].to_list() == expected


@pytest.mark.parametrize(
    ("outputs", "score"),
    [
        ({"label": "a", "probabilities": {"a": 0.25, "b": 0.75}}, [0.75]),
        ({"label": "a", "probabilities": {}}, [None]),
        ({"label": "a", "probabilities": {"a": "high"}}, [None]),
    ],
)
def test_score_is_the_greatest_probability(outputs: dict[str, Any], score: list[float | None]) -> None:
    """Probabilities of all labels become one score, null where there is none."""
    assert window(record(0, outputs=outputs)).outputs[MAX_PROBABILITY].to_list() == score


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from([*INPUTS.columns, "extra"])


@given(
    records=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "at": json_values | st.floats(),
                "model": json_values,
                "version": json_values,
                "inputs": st.dictionaries(names, json_values, max_size=7) | json_values,
                "outputs": st.dictionaries(st.sampled_from(["label", "probabilities"]), json_values) | json_values,
            },
        ),
        max_size=6,
    )
)
def test_no_record_is_too_awkward(records: list[dict[str, Any]]) -> None:
    """Whatever JSON a log holds, every record is in the window or counted as skipped, and the window compares."""
    found = collect(records * 20, REFERENCE, selection=Selection())
    assert found.rows + found.skipped.total == 20 * len(records)
    assert compare(REFERENCE, found.inputs, outputs=found.outputs).summary


@pytest.mark.parametrize("wrong", [{"last": 0}, {"since": 2.0, "until": 1.0}, {"since": 1.0, "until": 1.0}])
def test_windows_that_are_always_empty_are_refused(wrong: dict[str, Any]) -> None:
    """Asking for nothing is a mistake, told at once."""
    with pytest.raises(UsageError):
        Selection(**wrong)
