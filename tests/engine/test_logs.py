from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.task import LogSpan
from filiera.engine.logs import read_log


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 3, b"abc"), (3, 6, b"def"), (2, 2, b""), (4, -1, b"ef"), (4, 99, b"ef"), (9, -1, b""), (5, 2, b"")],
)
def test_span_is_read(tmp_path: Path, start: int, end: int, expected: bytes) -> None:
    """A span's bytes come back; an open end means up to now, and offsets beyond the file are no error."""
    (tmp_path / "worker-0.log").write_bytes(b"abcdef")
    assert read_log(tmp_path, LogSpan(file="worker-0.log", start=start, end=end)) == expected


def test_missing_file_is_empty(tmp_path: Path) -> None:
    """A log that was cleaned up is empty, not an error."""
    assert read_log(tmp_path / "gone", LogSpan(file="worker-0.log", start=0)) == b""
