"""Rows of any number predicted portion by portion, here or by a service, and their answers written whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filiera.errors import FilieraError, SourceError, UsageError
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Batch
from filiera.serving.columns import Given
from filiera.serving.predictor import PredictionFailed
from filiera.serving.served_model import Predictions, ServedModel, request_body

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".parquet", ".csv", ".jsonl")
_PART_ROWS = 65_536


class AnswersPortions(Protocol):
    """A model version that is asked for the predictions of a portion of rows at a time."""

    @property
    def inputs(self) -> Sequence[str]:
        """Return the names of the columns that it takes."""

    @property
    def shown(self) -> str:
        """Return which version answers, for people."""

    @property
    def max_rows(self) -> int:
        """Return how many rows a portion may have."""

    def of_frame(self, frame: pl.DataFrame) -> Predictions:
        """Return one prediction per row. Raises FilieraError, UsageError for rows that are refused."""

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Predictions:
        """Return one prediction per row. Raises as ``of_frame``."""


class ModelHere:
    """A model or graph in this process, which answers as its service would, and says what it raised."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._signature = model.contract.signature
        self.inputs = tuple(field.name for field in self._signature.inputs)
        self.max_rows = self._signature.max_rows

    @property
    def shown(self) -> str:
        """Return which version answers; a graph that was not published has none."""
        contract = self._model.contract
        return f"{contract.name}@{contract.version}" if contract.version else contract.name

    def of_frame(self, frame: pl.DataFrame) -> Predictions:
        """Return one prediction per row. Raises RequestRefused, PredictionFailed."""
        given = {column.name: given_of(column) for column in frame.iter_columns()}
        return self._predictions(self._model.columns.batch(given, frame.height))

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Predictions:
        """Return one prediction per row. Raises RequestRefused, PredictionFailed."""
        return self._predictions(self._model.records.decode(request_body(rows)))

    def _predictions(self, batch: Batch) -> Predictions:
        try:
            return self._model.predict(batch)
        except PredictionFailed as error:
            if error.__cause__ is not None:
                error.do = (
                    "Let the dataset's checks promise what the model takes, such as Check.in_set; else is refused."
                )
                if not any(field.sensitive for field in self._signature.inputs):
                    error.why = f"It raised {type(error.__cause__).__name__}: {error.__cause__}"
            raise


def predict_table(model: AnswersPortions, table: pl.LazyFrame) -> Iterator[Predictions]:
    """Yield the predictions of a table's rows, in order, of as many rows at a time as a request may have.

    Columns that are no inputs are passed over. Only a portion of the table is in memory, where its reader streams.

    Raises:
        UsageError: A row breaks the contract; ``instances[0]`` is the first of its portion.
        FilieraError: The model or its service failed.
        SourceError: The table cannot be read.
    """
    there = set(_schema(table))
    names = [name for name in model.inputs if name in there]
    if not names:
        raise UsageError("The rows have no column that the model takes.", why=f"It has: {', '.join(sorted(there))}.")
    for portion in _portions(table.select(names), model.max_rows):
        for part in portion.iter_slices(model.max_rows):
            yield model.of_frame(part)


def predict_rows(model: AnswersPortions, rows: Iterable[Mapping[str, Any]]) -> Iterator[Predictions]:
    """Yield the predictions of rows as JSON has them, as ``predict_table`` does of a table's. Raises as that."""
    known = set(model.inputs)
    rest = ({name: value for name, value in row.items() if name in known} for row in rows)
    while portion := list(islice(rest, model.max_rows)):
        yield model.of_rows(portion)


def _schema(table: pl.LazyFrame) -> list[str]:
    import polars as pl

    try:
        return table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error) from error


def _portions(table: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    import polars as pl

    try:
        yield from table.collect_batches(chunk_size=size, maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> SourceError:
    return SourceError("The file cannot be read to its end.", why=str(error).partition("\n")[0])


def given_of(column: pl.Series) -> Given:
    """Return a column of a table as surfaces bring it; numbers are not copied where none is missing."""
    import polars as pl

    if (column.dtype.is_numeric() and not column.dtype.is_decimal()) or column.dtype == pl.Boolean:
        if not column.null_count():
            return Given(values=column.to_numpy())
        filled = column.fill_null(False) if column.dtype == pl.Boolean else column.fill_null(0)
        return Given(values=filled.to_numpy(), missing=column.is_null().to_numpy())
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.cast_time_unit("us")
        if column.dtype.time_zone is not None:  # type: ignore[attr-defined]
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return Given(values=column.to_list())


def answer_table(predictions: Predictions) -> pl.DataFrame:
    """Return *predictions* as a table: the columns of the JSON answer, probabilities as a struct."""
    import polars as pl

    columns: dict[str, Any] = {"id": list(predictions.ids)}
    for output, values in zip(predictions.promised, predictions.outputs, strict=True):
        key = ANSWER_KEYS[output.semantics]
        if output.semantics == "probability":
            names = [label_key(label) for label in output.labels]
            columns[key] = pl.DataFrame(dict(zip(names, values.T, strict=True))).to_struct(key)
        else:
            columns[key] = pl.Series(key, values.tolist() if values.dtype.kind in "OU" else values)
    return pl.DataFrame(columns)


def require_writable(file: Path) -> None:
    """Raise UsageError unless *file* ends as a table does, FilieraError unless its folder is there."""
    if file.suffix not in ENDINGS:
        raise UsageError(f"{file} has no ending that can be written.", why=f"Known are: {', '.join(ENDINGS)}.")
    if not file.parent.is_dir():
        raise FilieraError(f"There is no folder {file.parent}.", do="make it, or name another file")


def write_answers(answers: Iterable[Predictions], file: Path) -> int:
    """Write predictions to a *file* of one of ENDINGS, and return how many; the file is there when it is whole.

    In CSV, which has no structs, each probability has a column of its own, ``probabilities.LABEL``.

    Raises:
        FilieraError: As reading the *answers* does; then there is no new file.
    """
    import polars as pl

    require_writable(file)
    parts, rows, pending = 0, 0, 0
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as place:
        folder = Path(place)
        waiting: list[pl.DataFrame] = []

        def write_part() -> None:
            pl.concat(waiting).write_ipc(folder / f"{parts:08d}.arrow")
            waiting.clear()

        for each in answers:
            waiting.append(answer_table(each))
            pending += waiting[-1].height
            rows += waiting[-1].height
            if pending >= _PART_ROWS:
                write_part()
                parts, pending = parts + 1, 0
        if waiting:
            write_part()
        whole = folder / f"whole{file.suffix}"
        table = pl.scan_ipc(folder / "*.arrow") if rows else pl.LazyFrame()
        _sink(table, whole)
        shutil.move(whole, file)
    return rows


def _sink(table: pl.LazyFrame, file: Path) -> None:
    import polars as pl

    if file.suffix == ".parquet":
        table.sink_parquet(file)
    elif file.suffix == ".jsonl":
        table.sink_ndjson(file)
    else:
        structs = [name for name, kind in table.collect_schema().items() if isinstance(kind, pl.Struct)]
        flat = [pl.col(name).name.prefix_fields(f"{name}.") for name in structs]
        table.with_columns(flat).unnest(structs).sink_csv(file)
