"""Measure profiles of large tables beside peers: ``python benchmarks/profiles.py --rows 1000000 --rounds 3``.

Makes a Parquet file of so many rows and 30 columns, of numbers, categories, texts and times, and removes it. Subjects
take turns, each in a process of its own. ``--peer skrub=/path/to/python`` and ``--peer ydata=…`` take part with an
interpreter that has them. The clock says what one waits for; processor seconds tell more where a machine is busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from memory import watch

SUBJECT = Path(__file__).parent / "subjects" / "profiling.py"
PART_ROWS = 1_000_000
SEED = 7


def make(file: Path, rows: int) -> None:
    """Write the table, a million rows at a time."""
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, PART_ROWS):
        table = part(start, min(PART_ROWS, rows - start)).to_arrow()
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=1 << 17)
    if writer is not None:
        writer.close()


def part(start: int, rows: int):  # type: ignore[no-untyped-def]
    """Return rows of the table: 20 columns of numbers, 8 of texts and flags, 2 of times."""
    import numpy as np
    import polars as pl

    chance = np.random.default_rng(SEED + start)

    def texts(different: int, before: str, after: str) -> pl.Series:
        return before + pl.Series(chance.integers(0, different, rows)).cast(pl.String) + after

    numbers = {f"normal_{i}": chance.normal(i, 1 + i, rows) for i in range(8)}
    numbers |= {f"lognormal_{i}": np.exp(chance.normal(0, 1 + i / 2, rows)) for i in range(4)}
    numbers |= {f"integer_{i}": chance.integers(-(10 ** (i + 2)), 10 ** (i + 3), rows) for i in range(4)}
    numbers |= {f"few_{i}": chance.integers(0, 5 + 20 * i, rows) for i in range(3)}
    frame = pl.DataFrame(numbers | {"id": np.arange(start, start + rows)})
    return frame.with_columns(
        pl.when(pl.Series(chance.random(rows) < 0.1)).then(None).otherwise(pl.col("normal_0")).alias("normal_0"),
        *(texts(4 * 10**i, "value ", "").alias(f"category_{i}") for i in range(4)),
        texts(10**7, "user", "@example.org").alias("email"),
        texts(10**5, "some words ", " and more of them").alias("text"),
        pl.Series("flag", chance.random(rows) < 0.3),
        pl.Series("rare", chance.random(rows) < 0.01),
        pl.Series("at", np.arange(start, start + rows) * 1000).cast(pl.Datetime("ms")),
        pl.Series("day", chance.integers(18_000, 20_000, rows).astype("int32")).cast(pl.Date),
    )


def measure(python: str, subject: str, file: Path) -> dict[str, float]:
    """Return the seconds and the peak of memory of one process."""
    command = [python, str(SUBJECT), subject, str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peaks = watch(process)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{subject} ended with {process.returncode}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return {**found, "own_mib": max(peaks.own.values()) / 2**20, "resident_mib": max(peaks.resident.values()) / 2**20}


def rounds(subjects: dict[str, str], file: Path, count: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield measurements, the subjects in one order and then the other."""
    names = list(subjects)
    for number in range(count):
        for name in names if number % 2 == 0 else reversed(names):
            yield name, measure(subjects[name], name, file)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", default="filiera,hand_written", help="of ours and Polars'")
    options = parser.parse_args()
    subjects = dict.fromkeys(options.only.split(","), sys.executable) | dict(p.split("=", 1) for p in options.peer)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.parquet"
        make(file, options.rows)
        print(f"{options.rows:,} rows × 30 columns, {file.stat().st_size / 2**20:,.0f} MiB of Parquet")
        for name, one in rounds(subjects, file, options.rounds):
            found[name].append(one)
    print(
        "| subject | clock | processors | own memory | with mapped files | processors beside Filiera |\n"
        "|---|--:|--:|--:|--:|--:|"
    )
    base = statistics.median(one["processor_s"] for one in found[next(iter(found))])
    for name, made in found.items():
        clock, used, own, resident = (
            statistics.median(one[key] for one in made) for key in ("clock_s", "processor_s", "own_mib", "resident_mib")
        )
        print(f"| {name} | {clock:.2f} s | {used:.2f} s | {own:,.0f} MiB | {resident:,.0f} MiB | {used / base:.2f} |")


if __name__ == "__main__":
    main()
