"""Tables predicted in this process: any length, portion by portion, written whole or not at all."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.core.signature import Field
from filiera.errors import FilieraError, SourceError, UsageError
from filiera.serving import table_mode
from filiera.serving.columns import ColumnDecoder
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import Predictions, ServedModel
from filiera.serving.table_mode import ModelHere, given_of, predict_rows, predict_table, write_answers
from tests.serving.offers import GOOD, SIGNATURE, Rule
from tests.serving.test_columns import signature_of

LABELS = ["normal", "attack"]


def model() -> ModelHere:
    return ModelHere(ServedModel("flows", Rule(), version=3, signature=SIGNATURE))


def table(rows: int) -> pl.LazyFrame:
    """Return rows that are called normal and an attack by turns, with a column that is no input."""
    return pl.DataFrame([{**GOOD, "duration": 90 * (row % 2), "other": "x"} for row in range(rows)]).lazy()


@pytest.mark.parametrize("rows", [1, 5, 6, 23])
def test_rows_are_answered_in_order_in_portions(rows: int) -> None:
    """Of as many rows as a request may have; columns that are no inputs are passed over."""
    found = list(predict_table(model(), table(rows)))
    assert [len(each.ids) for each in found] == [5] * (rows // 5) + [rows % 5] * (rows % 5 > 0)
    assert [answer["label"] for each in found for answer in each.answers()] == [LABELS[row % 2] for row in range(rows)]


@pytest.mark.parametrize("part_rows", [1, 7, 100])
@pytest.mark.parametrize("ending", table_mode.ENDINGS)
def test_answers_are_written_as_one_table(
    ending: str, part_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many parts it was put together from, and nothing else is left beside it."""
    monkeypatch.setattr(table_mode, "_PART_ROWS", part_rows)
    file = tmp_path / f"answers{ending}"
    assert write_answers(predict_table(model(), table(23)), file) == 23
    read: Any = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[ending]
    found = read(file)
    assert found["label"].to_list() == [LABELS[row % 2] for row in range(23)]
    assert found["id"].n_unique() == 23
    if ending == ".csv":
        assert found.columns == ["id", "label", "probabilities.attack", "probabilities.normal"]
        assert found["probabilities.attack"][1] == 0.75
    else:
        assert found["probabilities"][1] == {"attack": 0.75, "normal": 0.25}
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_what_is_refused_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A row far down breaks a rule: the file of before is still there."""
    file = tmp_path / "answers.parquet"
    file.write_text("before")
    wrong = pl.concat(
        [table(12), pl.DataFrame([{**GOOD, "duration": -1, "other": "x"}]).lazy()], how="vertical_relaxed"
    )
    with pytest.raises(RequestRefused, match=r"instances\[2\]\.duration must be at least 0"):
        write_answers(predict_table(model(), wrong), file)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(file.name, "before")]
    with pytest.raises(FilieraError, match="no folder"):
        write_answers(iter(()), tmp_path / "nowhere" / "answers.csv")


def test_no_rows_are_no_answers(tmp_path: Path) -> None:
    """An empty table becomes an empty one."""
    assert write_answers(predict_table(model(), table(5).head(0)), tmp_path / "answers.jsonl") == 0
    assert (tmp_path / "answers.jsonl").read_text() == ""


def test_a_table_without_inputs_is_an_error_of_use() -> None:
    """And so is said; one that breaks while it is read is told as such."""
    with pytest.raises(UsageError, match="no column that the model takes"):
        list(predict_table(model(), pl.DataFrame({"other": [1]}).lazy()))

    def broken(frame: pl.DataFrame) -> pl.DataFrame:
        raise pl.exceptions.ComputeError("the file ends here")

    with pytest.raises(SourceError, match="cannot be read"):
        list(predict_table(model(), table(5).map_batches(broken, validate_output_schema=False)))


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_what_is_not_finite_is_refused_in_every_form(value: float) -> None:
    """JSON has no word for it, and null would be a value that is missing, which is taken here."""
    rows = [{**GOOD, "rate": math.nan}, {**GOOD, "rate": value}]
    for answers in (predict_rows(model(), rows), predict_table(model(), pl.DataFrame(rows).lazy())):
        with pytest.raises(RequestRefused, match=r"instances\[1\]\.rate must be a finite number or null"):
            list(answers)


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("int8", pl.Series([1, None]), [1, None]),
        ("bool", pl.Series([True, None]), [True, None]),
        ("float32", pl.Series([0.5, None]), [0.5, None]),
        ("string", pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        ("date", pl.Series([dt.date(2026, 1, 31), None]), [dt.date(2026, 1, 31), None]),
        (
            "timestamp",
            pl.Series([dt.datetime(2026, 1, 31, 12), None]).dt.replace_time_zone("Europe/Rome"),
            [dt.datetime(2026, 1, 31, 11), None],
        ),
        ("timestamp", pl.Series(["2026-01-31T12:00:00Z", None]), [dt.datetime(2026, 1, 31, 12), None]),
    ],
)
def test_columns_of_every_type_are_understood(kind: Any, column: pl.Series, expected: list[Any]) -> None:
    """As rows of them would be."""
    decoder = ColumnDecoder(signature_of(Field(name="x", type=kind, nullable=True)))
    assert decoder.batch({"x": given_of(column)}, 2).frame()["x"].to_list() == expected


def test_only_a_portion_is_in_memory(tmp_path: Path) -> None:
    """A portion is read when those before it are answered: a source may be endless."""
    parts: list[int] = []

    def answers() -> Iterator[Predictions]:
        for each in predict_table(model(), table(20)):
            parts.append(len(each.ids))
            yield each

    stream = answers()
    next(stream)
    assert parts == [5]
