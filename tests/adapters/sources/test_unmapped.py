"""Somebody cuts a file while it is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from pathlib import Path

import polars as pl
from filiera.adapters.sources.{module} import {source}
from filiera.core.collected import Collected
from filiera.errors import SourceError

folder = Path(sys.argv[1])
pl.select(a=pl.int_range(400_000)).{write}(folder / "rows", **{options})
if {before}:
    pl.{scan}(folder / "rows").head(1).collect()
query = {source}().read({{"type": "{kind}", "path": "rows"}}, folder, Collected(entry={{}}))
batches = query.collect_batches(chunk_size=10_000, maintain_order=True, engine="streaming")
next(batches)
os.truncate(folder / "rows", 3000)
try:
    print("rows:", 10_000 + sum(len(batch) for batch in batches))
except pl.exceptions.PolarsError as error:
    print("error:", error)
except OSError as error:
    print("error:", error)
"""
KINDS = {
    "arrow": {"module": "columnar_file", "source": "ArrowSource", "write": "write_ipc", "scan": "scan_ipc"},
    "jsonl": {"module": "jsonl_file", "source": "JsonLinesSource", "write": "write_ndjson", "scan": "scan_ndjson"},
}


@pytest.mark.parametrize("before", [False, True], ids=["first", "after another"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_while_it_is_read_does_not_end_the_process(kind: str, before: bool, tmp_path: Path) -> None:
    """There is an error, or all rows that were there before; also where Polars has read such a file before."""
    options = {"record_batch_size": 10_000} if kind == "arrow" else {}
    program = PROGRAM.format(kind=kind, before=before, options=options, **KINDS[kind])
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert done.stdout.startswith("error:") or done.stdout == "rows: 400000\n", done
