"""The steps of a run as a list for people: what a step has become is below it, or a count when it is much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from filiera.cli.progress import MOST_LISTED
from filiera.core.value import dataclass
from filiera.ports import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A step; or, with no row, the steps that the one above has become."""

    depth: int  #: how many steps above it have become others
    row: Row | None = None
    folded: Sequence[Row] = ()

    @property
    def name(self) -> str:
        """Return what the line is about, indented by its depth."""
        name = f"{len(self.folded):,} steps" if self.row is None else self.row["step"]
        return f"{'  ' * self.depth}{name}"

    @property
    def counts(self) -> Counter[str]:
        """Return how many of the folded steps are in each state."""
        return Counter(row["state"] for row in self.folded)


def outline(rows: Sequence[Row]) -> Iterator[Line]:
    """Yield a line per step, in order; where a step has become more than ten others, one line for all of these."""
    names = {row["step"] for row in rows}
    below: dict[str, list[Row]] = {}
    for row in rows:
        below.setdefault(parent_of(row["step"], names), []).append(row)
    yield from _lines(below.get("", []), below, 0)


def parent_of(step: str, names: Collection[str]) -> str:
    """Return which of *names* has become *step* and others; "" when none has.

    >>> parent_of("plan[2].double", {"plan", "plan[2]"}), parent_of("left.fit", {"fit"})
    ('plan[2]', '')
    """
    end = len(step)
    while (end := max(step.rfind("[", 0, end), step.rfind(".", 0, end))) > 0:
        if step[:end] in names:
            return step[:end]
    return ""


def _lines(rows: Sequence[Row], below: dict[str, list[Row]], depth: int) -> Iterator[Line]:
    for row in rows:
        yield Line(depth=depth, row=row)
        others = below.get(row["step"], [])
        if len(others) > MOST_LISTED:
            yield Line(depth=depth + 1, folded=others)
        else:
            yield from _lines(others, below, depth + 1)
