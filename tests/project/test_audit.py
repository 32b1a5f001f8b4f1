"""Who did what: rows that are only added, and show when they were touched."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import StoreError
from filiera.project import audit

TEXTS = st.text(st.characters(), max_size=20)


@pytest.fixture(autouse=True)
def _is_ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(audit.ACTOR_VARIABLE, "ada@lab")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqliteRecords]:
    store = SqliteRecords(tmp_path / "records.sqlite")
    yield store
    store.close()


def note(records: SqliteRecords, *subjects: str) -> None:
    """Note a run per subject, a second apart."""
    for index, subject in enumerate(subjects):
        records.write([audit.entry("run", subject, at=float(index))])


def by_hand(records: SqliteRecords, tmp_path: Path, sql: str) -> None:
    """Change the database as somebody who knows nothing of us would."""
    records.close()
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection, connection:
        connection.execute(sql)


def test_a_row_says_who_did_what_and_when(records: SqliteRecords) -> None:
    """What was noted comes back, with the actor of the moment."""
    records.write([audit.entry("promote", "m@2", at=5, detail={"alias": "champion", "reason": "better"})])
    (row,) = audit.find(records)
    assert (row.number, row.at, row.actor, row.action, row.subject) == (1, 5.0, "ada@lab", "promote", "m@2")
    assert row.detail == {"alias": "champion", "reason": "better"}


def test_without_the_variable_the_actor_is_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who acts is the user of the process, at this host."""
    monkeypatch.delenv(audit.ACTOR_VARIABLE)
    name, _, host = audit.actor().partition("@")
    assert name
    assert host == os.uname().nodename


def test_an_act_that_fails_leaves_no_row(records: SqliteRecords) -> None:
    """The row is written with the act or not at all."""
    with pytest.raises(StoreError):
        records.write([audit.entry("run", "train-1", at=1.0), ("put_closure", {})])
    assert audit.find(records) == []


def test_rows_are_ordered_by_number_though_the_clock_steps_back(records: SqliteRecords) -> None:
    """A clock that is set back changes neither order nor proof."""
    for at in (100.0, 50.0, 75.0):
        records.write([audit.entry("run", f"at-{at:.0f}", at=at)])
    assert [row.subject for row in audit.find(records)] == ["at-75", "at-50", "at-100"]
    assert audit.verify(records).rows == 3


def test_filters_and_pages(records: SqliteRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are found by subject, action and actor, one page after the other."""
    for index in range(6):
        monkeypatch.setenv(audit.ACTOR_VARIABLE, "bob" if index % 2 else "ada")
        action = "run" if index < 4 else "cancel"
        records.write([audit.entry(action, f"train-{index % 3}", at=0.0)])

    def numbers(**where: str) -> list[int]:
        return [row.number for row in audit.find(records, **where)]

    assert numbers() == [6, 5, 4, 3, 2, 1]
    assert (numbers(actor="bob"), numbers(action="cancel"), numbers(subject="train-2")) == ([6, 4, 2], [6, 5], [6, 3])
    assert numbers(subject="train-2", actor="bob") == [6]
    assert numbers(subject="train-2", action="run", actor="ada") == [3]
    assert numbers(action="run", actor="bob") == [4, 2]
    assert [row.number for row in audit.find(records, page=(4, 2))] == [3, 2]
    assert [row.number for row in audit.find(records, actor="ada", page=(5, 1))] == [3]


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET at = at + 0.001 WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET detail = '{\"a\":1}' WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET digest = '' WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET subject = subject || action, action = '' WHERE number = 3", "row 3 was changed"),
        ("DELETE FROM audit WHERE number = 3", "row 3 is not there"),
        ("DELETE FROM audit WHERE number IN (2, 3)", "rows 2 to 3 are not there"),
        ("DELETE FROM audit WHERE number = 1", "row 1 is not there"),
        ("UPDATE audit SET number = number - 1 WHERE number > 3", "rows 3 to 3 are not there"),
    ],
)
def test_a_touched_row_is_found(records: SqliteRecords, tmp_path: Path, sql: str, fault: str) -> None:
    """Whatever is edited or removed in the middle is named."""
    note(records, *"abcde")
    if "number - 1" in sql:
        by_hand(records, tmp_path, "DELETE FROM audit WHERE number = 3")
        fault = "row 3 was changed"
    by_hand(records, tmp_path, sql)
    found = audit.verify(records)
    assert fault in found.fault
    with pytest.raises(StoreError, match="The audit is not what was written"):
        audit.must_hold(found)


def test_a_row_put_in_by_hand_is_found(records: SqliteRecords, tmp_path: Path) -> None:
    """A row that was not written through the chain does not fit it, at its end neither."""
    note(records, "a", "b")
    copied = "SELECT 3, at, actor, action, subject, detail, digest FROM audit WHERE number = 2"
    by_hand(records, tmp_path, f"INSERT INTO audit {copied}")
    assert "row 3 was changed" in audit.verify(records).fault


def test_removing_the_end_shows_to_who_noted_a_digest(records: SqliteRecords, tmp_path: Path) -> None:
    """A chain cut at its end is whole; a digest noted elsewhere tells."""
    note(records, "a", "b", "c")
    head = audit.verify(records).head
    assert audit.verify(records, noted=head).fault == ""
    note(records, "d")
    assert audit.verify(records, noted=head).fault == ""
    by_hand(records, tmp_path, "DELETE FROM audit WHERE number >= 3")
    assert audit.verify(records).fault == ""
    assert head in audit.verify(records, noted=head).fault


def test_who_write_at_once_make_one_chain(tmp_path: Path) -> None:
    """Processes and threads that note at the same time need not wait for each other's digests."""
    stores = [SqliteRecords(tmp_path / "records.sqlite") for _ in range(4)]
    stores[0].read("latest_run")

    def act(index: int) -> None:
        for number in range(25):
            stores[index].write([audit.entry("run", f"p{index}-{number}", at=0.0)])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(act, range(4)))
    found = audit.verify(stores[0])
    assert (found.rows, found.fault) == (100, "")
    assert len({row.subject for row in audit.find(stores[0], page=(audit.NEWEST, 1000))}) == 100
    for store in stores:
        store.close()


def test_many_rows_in_one_transaction_are_chained(records: SqliteRecords) -> None:
    """Each of many rows in one transaction covers the one before it."""
    records.write([audit.entry("run", f"train-{index}", at=0.0) for index in range(50)])
    assert audit.verify(records).rows == 50


@pytest.fixture(scope="module")
def long_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteRecords]:
    store = SqliteRecords(tmp_path_factory.mktemp("audit") / "records.sqlite")
    yield store
    store.close()


@given(rows=st.lists(st.tuples(TEXTS, TEXTS, st.floats(allow_nan=False, allow_infinity=False)), max_size=5))
def test_any_text_and_time_can_be_noted_and_proven(
    rows: list[tuple[str, str, float]], long_chain: SqliteRecords
) -> None:
    """Zero characters, half surrogates, endings of lines: what is noted is what is proven."""
    before = audit.verify(long_chain)
    for subject, said, at in rows:
        long_chain.write([audit.entry("import", subject, at=at, detail={"said": said})])
    after = audit.verify(long_chain, noted=before.head)
    assert (after.rows, after.fault) == (before.rows + len(rows), "")
    found = audit.find(long_chain, page=(audit.NEWEST, len(rows)))[::-1]
    assert [row.at for row in found] == [at for *_, at in rows]


@pytest.mark.parametrize("made", [lambda: "ada\n@lab", lambda: "ada\ud800"], ids=["line", "surrogate"])
def test_odd_actors(records: SqliteRecords, made: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor is whatever the variable says."""
    monkeypatch.setattr(os, "environ", {audit.ACTOR_VARIABLE: made()})
    records.write([audit.entry("run", "train-1", at=0.0)])
    assert audit.verify(records).rows == 1


def test_the_start_of_a_run_is_noted_under_the_number_it_gets(records: SqliteRecords) -> None:
    """The run's id, which the database decides, is the subject."""
    run = {
        "pipeline": "train", "kind": "model", "parameters": "{}", "started_at": 1.0, "driver": "me", "record": "{}",
        "steps_total": 1, "project": "p", "profile": "local",
    }  # fmt: skip
    for _ in range(2):
        noted = audit.entry_of_new_run(pipeline="train", driver="me", at=1.0, detail={"profile": "local"})
        records.write([("create_run", run), noted])
    assert [row.subject for row in audit.find(records, action="run")] == ["train-2", "train-1"]
    assert audit.verify(records).rows == 2


def test_details_are_json(records: SqliteRecords) -> None:
    """What is kept can be read by any program."""
    records.write([audit.entry("gc", "store", at=0.0, detail={"freed_bytes": 3, "names": ["a"]})])
    (row,) = records.read("audit_after", {"after": 0, "limit": 1})
    assert json.loads(row["detail"]) == {"freed_bytes": 3, "names": ["a"]}
