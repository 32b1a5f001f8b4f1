"""Fifty-one rules over a large Parquet file: ours beside one hand-written query of the same figures, and beside peers.

``python benchmarks/checks.py --rows 3000000`` makes the file in a temporary folder, runs each subject in a process of
its own, a few rounds in turn, and prints the best wall time, processor time, peak of memory, and the ratio to the
hand-written query. Subjects whose library is not installed are left out; ``--peers`` names a Python that has them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOATS = [f"f{n}" for n in range(14)]
INTEGERS = [f"i{n}" for n in range(10)]
KINDS = ["tcp", "udp", "icmp", "gre"]
PEERS = ("pandera", "pointblank", "great_expectations")
SUBJECTS = ("hand", "filiera", "dataframely", *PEERS)


PIECE_ROWS = 1_000_000


def make(folder: Path, rows: int) -> None:
    """Write *rows* × 30 of Parquet, in files of a million: a key, 14 fractions, 10 whole numbers, 4 texts, a time."""
    for start in range(0, rows, PIECE_ROWS):
        _make(folder / f"{start:012d}.parquet", start, min(start + PIECE_ROWS, rows), rows)


def _make(file: Path, start: int, end: int, rows: int) -> None:
    import polars as pl

    n = pl.int_range(start, end)

    def spread(seed: int) -> pl.Expr:
        return ((n + seed * 1_000_003).hash(seed) % 1_000_000).cast(pl.Float64) / 1_000_000

    kinds = pl.Series(KINDS)
    frame = pl.select(
        (n * 7_919 % rows if rows % 7_919 else n).alias("id"),
        *(spread(i).alias(name) for i, name in enumerate(FLOATS)),
        *((spread(100 + i) * 1000).cast(pl.Int64).alias(name) for i, name in enumerate(INTEGERS)),
        *(pl.lit(kinds).gather((spread(200 + i) * 4).cast(pl.UInt32)).alias(f"k{i}") for i in range(3)),
        ("10.0." + (spread(300) * 255).cast(pl.Int64).cast(pl.String)).alias("address"),
        pl.from_epoch(n, time_unit="s").alias("at"),
    )
    frame.write_parquet(file, row_group_size=1 << 17)


def hand(file: str) -> int:
    """Count the same rows with one select, as somebody would who writes it for this table."""
    import polars as pl

    c = pl.col
    expressions = [
        *(c(name).is_null().sum().alias(f"null {name}") for name in ["id", *FLOATS, *INTEGERS]),
        *((~c(name).is_finite()).sum().alias(f"finite {name}") for name in FLOATS[:4]),
        *((c(name).is_nan() | (c(name) < 0) | (c(name) > 1)).sum().alias(f"range {name}") for name in FLOATS[:8]),
        *(((c(name) < 0) | (c(name) > 1000)).sum().alias(f"range {name}") for name in INTEGERS[:8]),
        *((~c(f"k{i}").is_in(KINDS)).sum().alias(f"set {i}") for i in range(3)),
        (~c("address").str.contains(PATTERN)).sum().alias("pattern"),
        (c("id").drop_nulls().len() - c("id").drop_nulls().n_unique()).alias("unique"),
        (~(c("i0") + c("i1") >= c("i0"))).sum().alias("rule"),
        pl.len().alias("rows"),
    ]
    row = pl.scan_parquet(file).select(expressions).collect(engine="streaming").row(0, named=True)
    return sum(value for name, value in row.items() if name != "rows")


PATTERN = r"^10\.0\.\d+$"


def adds_up(col):
    return col.i0 + col.i1 >= col.i0


def filiera(file: str) -> int:
    """Run the checks."""
    import polars as pl

    from filiera import Check
    from filiera.data.checks import run_checks

    checks = [
        *(Check.not_null(name) for name in ["id", *FLOATS, *INTEGERS]),
        *(Check.finite(name) for name in FLOATS[:4]),
        *(Check.in_range(name, 0, 1) for name in FLOATS[:8]),
        *(Check.in_range(name, 0, 1000) for name in INTEGERS[:8]),
        *(Check.in_set(f"k{i}", KINDS) for i in range(3)),
        Check.matches("address", PATTERN),
        Check.unique("id"),
        Check.rule("adds up", adds_up),
    ]
    report = run_checks(pl.scan_parquet(file), checks)
    return sum(result.rows_failed for result in report.results)


def dataframely(file: str) -> int:
    """Filter by a schema with the same rules; streaming."""
    import dataframely as dy
    import polars as pl

    columns: dict[str, object] = {"id": dy.Int64(nullable=False, primary_key=True)}
    for n, name in enumerate(FLOATS):
        limits = {"min": 0.0, "max": 1.0} if n < 8 else {}
        columns[name] = dy.Float64(nullable=False, allow_inf=n >= 4, allow_nan=n >= 8, **limits)
    for n, name in enumerate(INTEGERS):
        columns[name] = dy.Int64(nullable=False, **({"min": 0, "max": 1000} if n < 8 else {}))
    columns |= {f"k{i}": dy.String(nullable=True, check=lambda c: c.is_in(KINDS)) for i in range(3)}
    columns["address"] = dy.String(nullable=True, regex=PATTERN)
    columns["at"] = dy.Any()
    columns["adds_up"] = dy.rule()(lambda cls: pl.col("i0") + pl.col("i1") >= pl.col("i0"))
    schema = type("Table", (dy.Schema,), columns)
    _, failure = schema.filter(pl.scan_parquet(file), eager=False).collect_all(engine="streaming")
    return len(failure)


def pandera(file: str) -> int:
    """Validate eagerly: a lazy frame's data are not looked at."""
    import pandera.polars as pa
    import polars as pl

    columns = {"id": pa.Column(int, unique=True)}
    columns |= {n: pa.Column(float, pa.Check.in_range(0, 1) if i < 8 else None) for i, n in enumerate(FLOATS)}
    columns |= {n: pa.Column(int, pa.Check.in_range(0, 1000) if i < 8 else None) for i, n in enumerate(INTEGERS)}
    columns |= {f"k{i}": pa.Column(str, pa.Check.isin(KINDS)) for i in range(3)}
    columns["address"] = pa.Column(str, pa.Check.str_matches(PATTERN))
    pa.DataFrameSchema(columns).validate(pl.read_parquet(file), lazy=True)
    return 0


def pointblank(file: str) -> int:
    """Interrogate with the same steps."""
    import pointblank as pb
    import polars as pl

    plan = pb.Validate(pl.read_parquet(file)).col_vals_not_null(columns=["id", *FLOATS, *INTEGERS])
    for name in FLOATS[:8]:
        plan = plan.col_vals_between(columns=name, left=0, right=1)
    for name in INTEGERS[:8]:
        plan = plan.col_vals_between(columns=name, left=0, right=1000)
    for i in range(3):
        plan = plan.col_vals_in_set(columns=f"k{i}", set=KINDS)
    plan = plan.col_vals_regex(columns="address", pattern=PATTERN).rows_distinct(columns_subset="id")
    return sum(plan.interrogate().n_failed().values())


def great_expectations(file: str) -> int:
    """Validate a pandas frame by a suite of the same expectations."""
    import great_expectations as gx
    import pandas as pd

    expect = gx.expectations
    rules = [expect.ExpectColumnValuesToNotBeNull(column=name) for name in ["id", *FLOATS, *INTEGERS]]
    rules += [expect.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=1) for name in FLOATS[:8]]
    rules += [expect.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=1000) for name in INTEGERS[:8]]
    rules += [expect.ExpectColumnValuesToBeInSet(column=f"k{i}", value_set=KINDS) for i in range(3)]
    rules += [expect.ExpectColumnValuesToMatchRegex(column="address", regex=PATTERN)]
    rules += [expect.ExpectColumnValuesToBeUnique(column="id")]
    asset = gx.get_context(mode="ephemeral").data_sources.add_pandas("frames").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": pd.read_parquet(file)})
    found = batch.validate(gx.ExpectationSuite(name="rules", expectations=rules))
    return sum(result.result["unexpected_count"] for result in found.results)


def one(subject: str, file: str) -> None:
    """Run a subject in this process and print what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    broken = globals()[subject](file)
    took = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_s": took[0], "cpu_s": took[1], "peak_mib": peak, "broken": broken}))


def main() -> None:
    """Compare the subjects."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subjects", nargs="*", default=SUBJECTS)
    parser.add_argument("--peers", default=sys.executable, help="the Python of an environment that has the peers")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--make", metavar="FOLDER", help="only write the files")
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return
    if options.make:
        make(Path(options.make), options.rows)
        return
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: the most memory that this one took would count for those that it starts.
        subprocess.run([sys.executable, __file__, "--make", folder, "--rows", str(options.rows)], check=True)
        megabytes = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        print(f"{options.rows:,} × 30, {megabytes:.0f} MB of Parquet")
        for _ in range(options.rounds):
            for subject in options.subjects:
                python = options.peers if subject in PEERS else sys.executable
                command = [python, __file__, "--one", subject, folder]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{subject}: {done.stderr.strip().splitlines()[-1][:150]}")
                else:
                    found.setdefault(subject, []).append(json.loads(done.stdout))
    base = min(run["wall_s"] for run in found["hand"]), min(run["cpu_s"] for run in found["hand"])
    print("| subject | wall s | ratio | processor s | ratio | peak MiB | rows found |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for subject, runs in found.items():
        wall, cpu = min(run["wall_s"] for run in runs), min(run["cpu_s"] for run in runs)
        peak = max(run["peak_mib"] for run in runs)
        ratios = f"{wall:.2f} | {wall / base[0]:.2f} | {cpu:.2f} | {cpu / base[1]:.2f}"
        print(f"| {subject} | {ratios} | {peak:.0f} | {runs[0]['broken']:,} |")


if __name__ == "__main__":
    main()
