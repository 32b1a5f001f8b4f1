"""Steps that others are made of, some under another name than their function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from filiera.core.approval import approve
from filiera.core.pipeline import pipeline
from filiera.core.products import Source
from filiera.core.shapes import loop, when
from filiera.core.step import step


class Table:
    """Stands for what no graph can say."""


@dataclass(frozen=True)
class Settings:
    """Stands for what it can."""

    depth: int


def trivial(value: Any) -> Any:
    """Be made a step elsewhere."""
    return value


aliased = step(trivial, retries=3)


@step
def load(name: str) -> Table:
    return Table()


@step(retries=1, stage="train")
def fit(rows: Table, settings: Settings = Settings(1)) -> float:
    return 0.5


@step
def halves(rows: Table) -> tuple[Table, Table]:
    return rows, rows


@step
def is_good(score: float) -> bool:
    return score > 0.5


@step
def most(scores: list[float]) -> float:
    return max(scores)


@step(dynamic=True)
def inner(rows: Table, depth: int) -> float:
    return fit(rows, Settings(depth))


@step(dynamic=True)
def everything(rows: Table, names: list[str]) -> tuple[Any, list[Any]]:
    first, _ = halves(rows)
    score = fit(first, settings=Settings(2))
    scores = fit.with_options(retries=5, name="again", never_retry=(KeyError,)).map([rows, first])
    chosen = when(is_good(score), lambda: inner(rows, 3), 0.0)
    looped = loop(lambda value: aliased(value), {"rows": rows, "first": first}, until=is_good, at_most=2)
    loads = [load(name) for name in names]
    return approve(most([most(scores), score])), [*loads, chosen, looped, rows, 5]


@pipeline(kind="data")
def looked_up(raw: Table = Source("raw")) -> Any:  # type: ignore[assignment]  # noqa: B008
    return halves(raw)


def with_inputs() -> Any:
    return looked_up()


def with_local() -> Any:
    @step
    def local() -> int:
        return 1

    return local()


def with_wrong_types(rows: Table) -> Any:
    return is_good(rows)  # type: ignore[arg-type]
