"""The promises of a MetadataStore, as tests to inherit. Needs pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from filiera.errors import StoreError
from filiera.ports import MetadataStore, Statement

OpenStore = Callable[[], MetadataStore]


def event(seq: int, *, run_id: str = "train-1", body: str = "{}") -> Statement:
    """Return a statement that adds event number *seq* of a run; a second one with that number is an error."""
    return "add_event", {"run_id": run_id, "seq": seq, "at": 0.5, "kind": "tested", "body": body}


def run(pipeline: str) -> Statement:
    """Return a statement that starts a run of *pipeline* and gives back its number and id."""
    texts = dict.fromkeys(("driver", "record", "parameters"), "{}")
    row = {
        "pipeline": pipeline,
        "kind": "model",
        "started_at": 1.0,
        "steps_total": 3,
        "project": "p",
        "profile": "local",
    }
    return "create_run", {**row, **texts}


def version(run_id: str) -> Statement:
    """Return a statement that adds a version, and gives its number back, unless the newest one has the same content."""
    row = {"kind": "model", "name": "m", "artifact": "a", "content": "a", "body": "{}", "created_at": 1.0}
    return "add_product_version", {**row, "run_id": run_id}


def seqs(store: MetadataStore, run_id: str = "train-1") -> list[int]:
    """Return the numbers of the run's events, in the order that the query gives them."""
    return [row["seq"] for row in store.read("events_of_run", {"run_id": run_id, "since": 0})]


class MetadataStoreContract:
    """Inherit, provide the fixture ``open_store``, and your store is held to the same promises as ours.

    Each call of ``open_store()`` opens the same records, empty at the start of a test, for a further user of them.
    """

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[MetadataStore]:
        store = open_store()
        yield store
        store.close()

    def test_what_was_written_is_read(self, store: MetadataStore) -> None:
        """Rows come back by column name, in the order of the query, not of writing."""
        store.write([event(2), event(1, body="é"), event(3)])
        rows = store.read("events_of_run", {"run_id": "train-1", "since": 0})
        assert [dict(row) for row in rows] == [
            {"seq": seq, "at": 0.5, "kind": "tested", "body": body} for seq, body in [(1, "é"), (2, "{}"), (3, "{}")]
        ]

    def test_empty_records_have_no_rows(self, store: MetadataStore) -> None:
        """Reading records that nothing was written to gives no rows."""
        assert store.read("find_aliases") == []
        assert seqs(store) == []

    def test_nothing_to_write_is_fine(self, store: MetadataStore) -> None:
        """Writing no statements returns no results, durable or not."""
        assert store.write([]) == []
        assert store.write([], durable=True) == []

    def test_each_statement_has_its_own_rows(self, store: MetadataStore) -> None:
        """Results stand in the order of the statements; what returns nothing has an empty list."""
        results = store.write(
            [
                event(1),
                event(2),
                run("train"),
                run("flows"),
                run("train"),
                version("train-1"),
                version("train-2"),
                event(3),
            ]
        )
        ids = [[row["run_id"] for row in rows] if rows and "run_id" in rows[0] else len(rows) for rows in results]
        assert ids == [0, 0, ["train-1"], ["flows-1"], ["train-2"], 1, 0, 0]

    @pytest.mark.parametrize(
        "broken",
        [
            event(1),
            ("no_such_query", {}),
            ("add_event", {"run_id": "train-1"}),
            event(4, body=object()),  # type: ignore[arg-type]
            event(2**70),
            event(4, body="\ud800"),
        ],
        ids=["conflict", "unknown query", "missing parameter", "not a value", "number too large", "no Unicode"],
    )
    @pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])
    def test_a_write_is_all_or_nothing(self, store: MetadataStore, broken: Statement, durable: bool) -> None:
        """A statement that fails, wherever it stands, leaves nothing of its transaction, and the store stays usable."""
        store.write([event(1)])
        for statements in ([event(2), broken], [broken, event(2)], [event(2), run("train"), broken, event(3)]):
            with pytest.raises(StoreError) as caught:
                store.write(statements, durable=durable)
            assert caught.value.why
        assert seqs(store) == [1]
        assert store.read("find_runs", _ANY_RUN) == []
        store.write([event(2)])
        assert seqs(store) == [1, 2]

    def test_an_unknown_query_is_refused_with_those_that_exist(self, store: MetadataStore) -> None:
        """The error of a name that no query has lists the names."""
        with pytest.raises(StoreError, match="no_such_query") as caught:
            store.read("no_such_query")
        assert "add_event" in str(caught.value)

    def test_a_missing_parameter_is_refused(self, store: MetadataStore) -> None:
        """Reading without a parameter that the query names is a StoreError, not an empty answer."""
        with pytest.raises(StoreError, match="events_of_run"):
            store.read("events_of_run", {"run_id": "train-1"})

    @pytest.mark.parametrize("text", ["", "plain", "ünïcödé 日本語 🙂", "quote ' and \" and ; --", "x" * 1_000_000])
    def test_text_comes_back_unchanged(self, store: MetadataStore, text: str) -> None:
        """Any text is a value, never SQL."""
        store.write([event(1, body=text)])
        assert store.read("events_of_run", {"run_id": "train-1", "since": 0})[0]["body"] == text

    @pytest.mark.parametrize(
        "inline", [None, b"", bytes(range(256)), b"'\0" * 4096], ids=["none", "empty", "all", "8 KiB"]
    )
    def test_bytes_and_none_come_back_unchanged(self, store: MetadataStore, inline: bytes | None) -> None:
        """Bytes stay bytes, and nothing stays nothing, not empty."""
        row: Mapping[str, Any] = {"digest": "0" * 64, "codec": "json/1", "size_bytes": 2**62, "inline": inline}
        store.write([("put_artifact", row)])
        found = store.read("get_artifact", {"digest": "0" * 64, "codec": "json/1"})[0]
        kept = found["inline"]
        assert (None if kept is None else bytes(kept)) == inline
        assert found["size_bytes"] == 2**62

    def test_times_keep_their_microseconds(self, store: MetadataStore) -> None:
        """A time is a double: it comes back exactly."""
        row = dict(event(1)[1]) | {"at": 1_795_312_345.678901}
        store.write([("add_event", row)])
        assert store.read("events_of_run", {"run_id": "train-1", "since": 0})[0]["at"] == 1_795_312_345.678901

    def test_another_user_sees_a_finished_write_at_once(self, store: MetadataStore, open_store: OpenStore) -> None:
        """Reading shows the last finished write, whoever wrote it."""
        other = open_store()
        for seq in range(1, 4):
            store.write([event(seq)], durable=seq == 2)
            assert seqs(other) == list(range(1, seq + 1))
        other.close()

    def test_records_outlive_their_store(self, open_store: OpenStore) -> None:
        """What one store wrote, the next one finds; closing twice is harmless."""
        for seq in (1, 2):
            store = open_store()
            store.write([event(seq)])
            store.close()
            store.close()
        last = open_store()
        assert seqs(last) == [1, 2]
        last.close()

    def test_writers_of_one_store_take_turns(self, store: MetadataStore) -> None:
        """Threads that share a store get numbers without a gap or a repetition."""
        _check_turns([store] * 4)

    def test_writers_of_several_stores_take_turns(self, open_store: OpenStore) -> None:
        """Users of the same records get numbers without a gap or a repetition."""
        stores = [open_store() for _ in range(4)]
        _check_turns(stores)
        for store in stores:
            store.close()

    def test_reading_does_not_wait_for_a_writer(self, store: MetadataStore, open_store: OpenStore) -> None:
        """While one user writes again and again, another reads whole transactions only."""
        other = open_store()
        with ThreadPoolExecutor(max_workers=1) as threads:
            writing = threads.submit(lambda: [store.write([event(2 * i), event(2 * i + 1)]) for i in range(50)])
            while not writing.done():
                assert len(seqs(other)) % 2 == 0
            writing.result()
        assert len(seqs(other)) == 100
        other.close()


_ANY_RUN = {"pipeline": "", "state": "", "before_at": 1e12, "before_id": "", "limit": 10}


def _check_turns(stores: list[MetadataStore]) -> None:
    def start(store: MetadataStore) -> list[int]:
        return [store.write([run("train")])[0][0]["number"] for _ in range(10)]

    with ThreadPoolExecutor(max_workers=len(stores)) as threads:
        numbers = [number for taken in threads.map(start, stores) for number in taken]
    assert sorted(numbers) == list(range(1, 10 * len(stores) + 1))
