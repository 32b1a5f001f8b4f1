"""Takes the frames of the prediction log apart: requests and answers as they came, read as one record for each row."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from filiera.adapters._segment_file import Frame


def records_of(frame: Frame, *, since: float, until: float | None) -> Iterator[dict[str, Any]]:
    """Yield the records of a frame of that time: those that it lists, or one for each row of its requests."""
    line = msgspec.json.decode(frame.content)
    if isinstance(line, list):
        yield from (record for record in line if since <= record["at"] and (until is None or record["at"] < until))
        return
    if line["at"] < since or (until is not None and line["at"] >= until):
        return
    requests, answers, raw = line.pop("requests"), line.pop("answers"), _Raw(frame.raw)
    asked = [_rows(request, raw) for request in requests]
    told = [_rows(answered, raw) for answered in answers]
    for rows, found in zip(asked, told, strict=True):
        for row, answer in zip(rows, found, strict=True):
            yield {"id": answer.pop("id"), **line, "inputs": row, "outputs": answer}


class _Raw:
    """The bytes of blocks, taken in the order in which the JSON mentions them."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    def take(self, code: str, count: int) -> list[Any]:
        """Return the next *count* numbers; NaN is a missing value."""
        numbers: array[Any] = array(code)
        end = count * numbers.itemsize
        numbers.frombytes(self._rest[:end])
        self._rest = self._rest[end:]
        if sys.byteorder == "big":
            numbers.byteswap()
        return [None if number != number else number for number in numbers]


def _rows(found: Any, raw: _Raw) -> Sequence[dict[str, Any]]:
    """Return the rows of a request or of its answers, which may be kept as columns."""
    if isinstance(found, list):
        return found
    if "instances" in found:
        rows: list[dict[str, Any]] = found["instances"]
        return rows
    height = found["height"]
    columns = dict(found["columns"])
    for block in found.get("blocks", ()):
        made = _unpacked(block, height, raw)
        if "of" in block:
            columns[block["of"]] = _values(made)
        else:
            columns |= made
    names = found["names"]
    return [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True)]


def _values(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the values that are kept as one column for each of their parts."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _unpacked(block: Mapping[str, Any], height: int, raw: _Raw) -> dict[str, list[Any]]:
    """Return the columns of numbers that lie one behind another."""
    names = block["names"]
    found = raw.take(block["code"], height * len(names))
    return {name: found[place * height : (place + 1) * height] for place, name in enumerate(names)}
