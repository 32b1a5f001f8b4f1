"""The promises of the PredictionLog port: inherit, provide ``log``, and your adapter is held to them."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest

from filiera.ports import PredictionLog


def prediction(number: int, *, at: float | None = None) -> dict[str, Any]:
    """Return a record as services log it; *at* is *number* seconds unless given."""
    return {
        "id": f"{number:026d}",
        "at": float(number) if at is None else at,
        "model": "m",
        "version": 1,
        "signature": "0" * 64,
        "inputs": {"size": number, "name": "naïve \n\u2028", "missing": None},
        "outputs": {"label": "a", "probabilities": {"a": 0.25, "b": 0.75}},
    }


class PredictionLogContract:
    """What every prediction log promises. Provide a fixture ``log`` with an empty one."""

    def test_records_come_back_unchanged_and_in_order(self, log: PredictionLog) -> None:
        """What was appended and flushed is read as it was, in the order of appending."""
        records = [prediction(number) for number in range(100)]
        log.append(records[:1])
        log.append(records[1:60])
        log.append(records[60:])
        log.flush()
        assert list(log.read()) == records

    def test_an_empty_log_has_no_records(self, log: PredictionLog) -> None:
        """A log that was never written reads as empty, and nothing was dropped."""
        log.flush()
        assert list(log.read()) == []
        assert log.dropped() == 0

    def test_appending_nothing_is_fine(self, log: PredictionLog) -> None:
        """No records is not an error."""
        log.append([])
        log.flush()
        assert list(log.read()) == []

    @pytest.mark.parametrize(
        ("since", "until", "expected"),
        [(0.0, None, [1, 2, 3, 4]), (2.0, None, [2, 3, 4]), (0.0, 3.0, [1, 2]), (2.0, 3.0, [2]), (9.0, None, [])],
    )
    def test_a_window_takes_its_start_and_leaves_its_end(
        self, log: PredictionLog, since: float, until: float | None, expected: list[int]
    ) -> None:
        """Windows that follow each other read each record once."""
        log.append([prediction(number) for number in (1, 2, 3, 4)])
        log.flush()
        assert [record["at"] for record in log.read(since=since, until=until)] == expected

    def test_flushing_twice_and_appending_after_is_fine(self, log: PredictionLog) -> None:
        """Flush is a point in time, not an end."""
        log.append([prediction(1)])
        log.flush()
        log.flush()
        log.append([prediction(2)])
        log.flush()
        assert [record["at"] for record in log.read()] == [1, 2]

    def test_what_was_appended_before_closing_is_kept(self, log: PredictionLog) -> None:
        """Close flushes, twice is harmless, and a closed log can still be read."""
        log.append([prediction(1)])
        log.close()
        log.close()
        assert [record["at"] for record in log.read()] == [1]
        assert log.dropped() == 0

    def test_requests_are_read_as_their_records(self, log: PredictionLog) -> None:
        """What was kept as it went over the wire reads as if each row had been appended by itself."""
        records = [prediction(number, at=5.0) for number in range(3)]
        about = {key: records[0][key] for key in ("at", "model", "version", "signature")}
        requests, answers = [], []
        for part in (records[:2], records[2:]):
            rows = ",\r\n ".join(json.dumps(record["inputs"], indent=1) for record in part)
            requests.append(f'{{\n"instances": [{rows}]}}\n'.encode())
            answers.append(json.dumps([{"id": record["id"], **record["outputs"]} for record in part]).encode())
        log.append([prediction(9)])
        log.append_requests(about, requests, answers, count=3)
        assert list(log.read()) == [prediction(9), *records]
        assert [record["at"] for record in log.read(since=5.0, until=6.0)] == [5.0] * 3

    def test_columns_are_read_as_their_records(self, log: PredictionLog) -> None:
        """Requests that came as columns read as rows: numbers by their bytes, NaN as null, structs as objects."""
        numbers = struct.pack("<4d", 0.5, math.nan, 1.0, 2.0)
        request = {
            "height": 2,
            "names": ["b", "text", "a"],
            "columns": {"text": ["x", None]},
            "blocks": [{"code": "d", "names": ["a", "b"]}],
        }
        answers = {
            "height": 2,
            "names": ["id", "label", "probabilities"],
            "columns": {"id": ["1", "2"], "label": ["n", "y"]},
            "blocks": [{"code": "f", "names": ["n", "y"], "of": "probabilities"}],
        }
        raw: list[bytes | memoryview] = [numbers, memoryview(struct.pack("<4f", 1.0, 0.25, 0.0, 0.75))]
        contents = [json.dumps(each).encode() for each in (request, answers)]
        log.append_requests({"at": 5.0}, contents[:1], contents[1:], count=2, raw=raw)
        assert list(log.read()) == [
            {
                "id": "1",
                "at": 5.0,
                "inputs": {"b": 1.0, "text": "x", "a": 0.5},
                "outputs": {"label": "n", "probabilities": {"n": 1.0, "y": 0.0}},
            },
            {
                "id": "2",
                "at": 5.0,
                "inputs": {"b": 2.0, "text": None, "a": None},
                "outputs": {"label": "y", "probabilities": {"n": 0.25, "y": 0.75}},
            },
        ]

    def test_what_is_kept_is_there_without_flushing(self, log: PredictionLog) -> None:
        """Keep comes back when it is on disk, in order with what was appended before and after; nothing is fine too."""
        log.append([prediction(1)])
        log.keep([prediction(2), prediction(3)])
        log.keep([])
        assert [record["at"] for record in log.read()] == [1, 2, 3]
