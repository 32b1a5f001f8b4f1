"""From a day of samples per machine to the dataset "machines"."""

import polars as pl
from machines.use import FEATURES, LATER, SAMPLES, described

from filiera import Check, Dataset, Html, Source, pipeline, step
from filiera.data.explore import explore
from filiera.data.report import profile_html

CHECKS = [
    Check.rows(at_least=1000),
    Check.unique("vm"),
    Check.not_null("vm", "day"),
    Check.finite(*FEATURES, LATER),
    *(Check.in_range(name, 0) for name in (*FEATURES, LATER)),
    *(Check.in_range(f"hour_{number:02}", 0, 100) for number in range(24)),
]


@step(stage="clean")
def clean(raw: pl.DataFrame) -> pl.DataFrame:
    """Return machines whose samples are all there and are percentages, each once."""
    usable = pl.all_horizontal(pl.col(SAMPLES).is_between(0, 100))
    return raw.select("vm", *SAMPLES).filter(usable).unique("vm", maintain_order=True)


@step(stage="transform")
def features(use: pl.DataFrame) -> pl.DataFrame:
    """Return what each day says about its machine."""
    return described(use)


@step(stage="explore")
def explore_machines(rows: pl.DataFrame) -> Html:
    """Return a page that shows each feature."""
    return profile_html(explore(rows.select("day", *FEATURES, LATER), title="Machines and their use"))


@pipeline(kind="data", publishes=Dataset("machines", checks=CHECKS, keys="vm"))
def machines(raw: pl.DataFrame = Source("raw_use")):
    """Collect, clean, describe, explore, validate and publish machines by their use."""
    rows = features(clean(raw))
    explore_machines(rows)
    return rows
