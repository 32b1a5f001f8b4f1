"""What the steps of runs have logged: of those that run, of those that ended, and of hits what was logged for them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.core.charts import Line, line_chart, page
from filiera.core.logged import Curve, Curves, Summary
from filiera.core.report import Html
from filiera.core.value import dataclass
from filiera.engine.rows import read_metrics
from filiera.errors import UsageError
from filiera.ports import Row
from filiera.project.project import Project
from filiera.project.worker import curve_files

if TYPE_CHECKING:
    import polars as pl

_ENDINGS = (".html", ".csv", ".parquet", ".jsonl")


@dataclass(frozen=True, slots=True)
class StepCurve:
    """A curve, and where it comes from."""

    run_id: str
    step: str
    curve: Curve


def curves_of_run(project: Project, run_id: str, *, step: str = "", names: Sequence[str] = ()) -> Iterator[StepCurve]:
    """Yield the curves of a run, step by step; of steps that run, as far as they have come.

    Args:
        project: Whose run it is.
        run_id: Which run.
        step: Only this step's, and those of the steps that it has become.
        names: Only the metrics of these names.

    Raises:
        StoreError, CodecError: Recorded curves cannot be read.
    """
    for row in project.records.read("steps_with_metrics", {"run_id": run_id}):
        if step and not (row["step"] == step or row["step"].startswith((f"{step}[", f"{step}."))):
            continue
        for curve in _curves(project, row):
            if not names or curve.name in names:
                yield StepCurve(run_id, row["step"], curve)


def summaries_of_run(project: Project, run_id: str) -> dict[str, Summary]:
    """Return the summary of each metric of a run, by name; where several steps logged one, that of the last of them."""
    found: dict[str, Summary] = {}
    for row in project.records.read("metrics_of_run", {"run_id": run_id}):
        logged = read_metrics(row["metrics"])
        found.update((one.name, one) for one in (logged.summaries if logged else ()))
    return found


def write_curves(curves: Sequence[StepCurve], file: Path) -> None:
    """Write curves to a file: as a page with a chart per metric, or as a table, by its ending.

    Raises:
        UsageError: It has another ending.
        OSError: It cannot be written.
    """
    if file.suffix == ".html":
        file.write_text(curves_page(curves).text, encoding="utf-8")
    elif file.suffix == ".csv":
        curves_table(curves).write_csv(file)
    elif file.suffix == ".parquet":
        curves_table(curves).write_parquet(file)
    elif file.suffix == ".jsonl":
        curves_table(curves).write_ndjson(file)
    else:
        known = ", ".join(_ENDINGS)
        raise UsageError(f"Metrics cannot be written to {file.name}.", why=f"Its ending must be one of {known}.")


def curves_table(curves: Sequence[StepCurve]) -> pl.DataFrame:
    """Return one row per point: run, step of the pipeline, metric, step of the curve, value, and time in UTC."""
    import polars as pl

    rows = [(one.run_id, one.step, one.curve.name, *point) for one in curves for point in one.curve.points()]
    schema = {
        "run": pl.String, "pipeline_step": pl.String, "metric": pl.String, "step": pl.Int64, "value": pl.Float64,
        "at": pl.Float64,
    }  # fmt: skip
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.with_columns(pl.from_epoch((pl.col("at") * 1000).round().cast(pl.Int64), time_unit="ms"))


def curves_page(curves: Sequence[StepCurve]) -> Html:
    """Return a page with a chart per metric, on which the lines of all steps and runs lie."""
    by_name: dict[str, list[StepCurve]] = {}
    for one in curves:
        by_name.setdefault(one.curve.name, []).append(one)
    runs = list(dict.fromkeys(one.run_id for one in curves))
    sections = []
    for name, same in by_name.items():
        lines = [Line(_label(one, runs), [(p.step, p.value) for p in one.curve.points()]) for one in same]
        sections.append(f"<h2>{html.escape(name)}</h2>{line_chart(lines, label=name)}")
    return page(f"Metrics of {', '.join(runs)}", sections)


def _label(one: StepCurve, runs: Sequence[str]) -> str:
    return one.step if len(runs) == 1 else f"{one.run_id} {one.step}"


def _curves(project: Project, row: Row) -> Curves:
    logged = read_metrics(row["metrics"])
    if logged is None:
        return curve_files(project.store).read(row["key"]) if row["key"] else Curves(())
    ref = logged.curves
    whole = replace(ref, inline=project.versions.inline(ref.digest, ref.codec))
    found: Curves = project.artifacts.get(whole)
    return found
