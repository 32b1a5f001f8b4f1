"""Rows on their way out: set aside by one transaction, and put back or let go once all records were looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from filiera.core.value import dataclass
from filiera.ports import MetadataStore, Row, Statement

_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """One kind of rows: the columns that tell them apart, and the names of the queries that move them."""

    place: tuple[str, ...]  #: the columns that tell them apart; by the first it is known whether one is needed
    all: str
    set_aside: str
    take_out: str
    aside: str
    put_back: str
    drop: str

    def rows(self, records: MetadataStore) -> Iterator[list[Row]]:
        """Yield all rows that are in their place, some at a time, in order."""
        return self._rows(records, self.all)

    def rows_aside(self, records: MetadataStore) -> Iterator[list[Row]]:
        """Yield all rows that are aside, some at a time, in order."""
        return self._rows(records, self.aside)

    def move(self, records: MetadataStore, rows: list[Row]) -> list[Row]:
        """Set rows aside and return those that stay, because a run is under way."""
        moves: list[Statement] = [(self.set_aside, self._key(row)) for row in rows]
        moved = records.write([*moves, *[(self.take_out, self._key(row)) for row in rows]])
        return [row for row, gone in zip(rows, moved, strict=False) if not gone]

    def put_needed_back(self, records: MetadataStore, is_needed: Callable[[str], bool]) -> None:
        """Put back what is aside and needed."""
        for rows in self._rows(records, self.aside):
            keys = [self._key(row) for row in rows if is_needed(row[self.place[0]])]
            records.write([(query, key) for query in (self.put_back, self.drop) for key in keys])

    def clear(self, records: MetadataStore) -> Iterator[Row]:
        """Let go of what is aside, and yield its rows."""
        for rows in self._rows(records, self.aside):
            records.write([(self.drop, self._key(row)) for row in rows])
            yield from rows

    def is_empty(self, records: MetadataStore) -> bool:
        """Tell whether nothing is aside."""
        return next(self._rows(records, self.aside), None) is None

    def _rows(self, records: MetadataStore, query: str) -> Iterator[list[Row]]:
        place = dict.fromkeys(self.place, "")
        while rows := records.read(query, {**place, "limit": _AT_ONCE}):
            place = self._key(rows[-1])
            yield rows

    def _key(self, row: Row) -> dict[str, str]:
        return {name: row[name] for name in self.place}


RESULTS = Shelf(
    place=("key",),
    all="results_after",
    set_aside="set_result_aside",
    take_out="take_result_out",
    aside="results_aside",
    put_back="put_result_back",
    drop="drop_result",
)
"""Cached results."""

VALUES = Shelf(
    place=("digest", "codec"),
    all="values_after",
    set_aside="set_value_aside",
    take_out="take_value_out",
    aside="values_aside",
    put_back="put_value_back",
    drop="drop_value",
)
"""Artifacts in the records, small ones with their bytes."""

CLOSURES = Shelf(
    place=("digest",),
    all="closures_after",
    set_aside="set_closure_aside",
    take_out="take_closure_out",
    aside="closures_aside",
    put_back="put_closure_back",
    drop="drop_closure",
)
"""The parts of code closures."""
