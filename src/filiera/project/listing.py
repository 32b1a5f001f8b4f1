"""Lists of runs, newest first, page after page, at the same cost in a store of a million runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Any

from filiera.core.value import dataclass
from filiera.ports import MetadataStore, Row
from filiera.project.project import Project
from filiera.project.runs import shown_state

Place = tuple[float, str]
"""When a run started, and its id: its place in a list."""
NEWEST: Place = (1e18, "")

_WITHIN = 500
"""A search looks at so many runs of any name before it asks each pipeline with a fitting name: 0.5 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which runs to list; an empty text stands for any."""

    pipeline: str = ""
    state: str = ""  #: as people see it
    search: str = ""  #: a part of the pipeline's name; with a dash, the end of the run's id, such as "train-7"


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some of the runs that are wanted."""

    rows: list[Row]
    older: Place | None  #: where the next page begins; None when this is the last


def find_runs(project: Project, wanted: Wanted, *, before: Place = NEWEST, limit: int) -> Page:
    """Return the newest runs before a place; fewer than *limit* where some have died, whose record does not say so."""
    recorded = _recorded(project.records, wanted, before, limit)
    if wanted.state == "interrupted":  # also those that nobody could record as such, because their driver died
        as_running = Wanted(pipeline=wanted.pipeline, state="running", search=wanted.search)
        running = _recorded(project.records, as_running, before, limit)
        recorded = sorted([*recorded, *running], key=place_of, reverse=True)[:limit]
    rows = [row for row in recorded if wanted.state in ("", shown_state(project, row))]
    return Page(rows=rows, older=place_of(recorded[-1]) if len(recorded) == limit else None)


def place_of(row: Row) -> Place:
    """Return a run's place in a list."""
    return row["started_at"], row["run_id"]


def _recorded(records: MetadataStore, wanted: Wanted, before: Place, limit: int) -> list[Row]:
    where = {"pipeline": wanted.pipeline, "state": wanted.state, "limit": limit}
    where |= {"before_at": before[0], "before_id": before[1]}
    in_state = "_in_state" if wanted.state else ""
    if wanted.search:
        return _search(records, wanted.search.lower(), where, in_state)
    return records.read(f"find_runs{'_of_pipeline' if wanted.pipeline else ''}{in_state}", where)


def _search(records: MetadataStore, text: str, where: Mapping[str, Any], in_state: str) -> list[Row]:
    name, dash, number = text.rpartition("-")
    if dash and number:
        if not (name and number.isascii() and number.isdigit() and len(number) < 18):
            return []
        return records.read("search_numbered_runs", {**where, "pattern": f"%{_as_is(name)}", "number": int(number)})
    pattern = f"%{_as_is(name)}" if dash else f"%{_as_is(text)}%"
    newest = records.read(f"search_newest_runs{in_state}", {**where, "pattern": pattern, "within": _WITHIN})
    if len(newest) == where["limit"]:
        return newest
    # The newest runs are among those of the pipelines whose newest runs are the newest.
    heads = records.read(f"search_pipelines{in_state}", {**where, "pattern": pattern})
    size = where["limit"] // max(1, len(heads)) + 1

    def runs_of(head: Row) -> Iterator[Row]:
        page = [head]
        while page:
            yield from page
            before_at, before_id = place_of(page[-1])
            place = {"pipeline": head["pipeline"], "before_at": before_at, "before_id": before_id, "limit": size}
            page = records.read(f"find_runs_of_pipeline{in_state}", {**where, **place})

    return list(islice(merge(*map(runs_of, heads), key=place_of, reverse=True), where["limit"]))


def _as_is(text: str) -> str:
    """Return a text as a pattern that only it is like."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
