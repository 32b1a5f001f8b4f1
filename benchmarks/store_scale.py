"""Measure the records of a store with a million runs: ``python benchmarks/store_scale.py``.

Makes a store of 1,000,000 runs and 5,000,000 step runs with their events (``--runs`` for another size; 6 GB at the full
one), measures every query that commands and the engine use, and removes it. Each query is asked many times, each time
for another run or pipeline; figures are the median and the 95th of 100.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.products import ProductRef
from filiera.ports import Statement
from filiera.project.listing import NEWEST, Place, Wanted, find_runs
from filiera.project.project import Project

PIPELINES = 10_000
STEPS = 5
STEP_NAMES = ("load", "clean", "features", "fit", "evaluate")
HITS = 0.8
"""Share of step runs that were hits: they have one event and no result of their own."""
STATES = {"succeeded": 0.9, "failed": 0.06, "rejected": 0.02, "cancelled": 0.01, "interrupted": 0.01}
PRODUCTS = 500
VERSIONS = 20_000
SEED = 20_240_517
LIMIT_MS = 10.0
GROWTH = 1.3
ROUNDS = 100
BATCH = 20_000
"""Runs that are generated and inserted at a time."""
_DRIVER = json.dumps({"boot": "0" * 36, "host": "somewhere", "pid": 1, "start": "1"})
_RECORD = json.dumps(
    {
        "argv": ["/home/somebody/project/.venv/bin/filiera", "run", "train", "--max-depth", "12"],
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "fresh": [],
        "inputs": {"flows": "flows@17"},
        "is_dirty": False,
        "platform": "Linux 6.8.0 x86_64",
        "python": "3.11.7",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What one query costs."""

    name: str
    median_ms: float
    p95_ms: float
    limit_ms: float = LIMIT_MS  #: of the median

    @property
    def passes(self) -> bool:
        """Tell whether it is quick enough."""
        return self.median_ms <= self.limit_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """What writing one row costs in a large store and in one that was empty."""

    name: str
    large_us: float
    empty_us: float
    limit: float | None  #: of the ratio; None: nothing is promised

    @property
    def ratio(self) -> float:
        """Return how many times as slow the large store is."""
        return self.large_us / self.empty_us

    @property
    def passes(self) -> bool:
        """Tell whether the promise is kept."""
        return self.limit is None or self.ratio <= self.limit


class Sample:
    """Rows of a store as years of work would leave it, the same for the same size."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.pipelines = min(PIPELINES, max(1, runs // 10))
        self._random = random.Random(SEED)
        self._numbers = [0] * self.pipelines
        self._states = list(STATES)
        self._state_weights = list(accumulate(STATES.values()))
        self._keys = [[""] * STEPS for _ in range(self.pipelines)]

    def pipeline(self, random: random.Random) -> int:
        """Return a pipeline: the first run often, the last seldom, as in life."""
        return int(self.pipelines ** random.random()) - 1 if self.pipelines > 1 else 0

    def batches(self) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
        """Yield rows by table, the oldest first."""
        for first in range(0, self.runs, BATCH):
            rows: dict[str, list[tuple[Any, ...]]] = {
                table: [] for table in ("run", "step_run", "event", "artifact", "cache_entry")
            }
            for number in range(first, min(first + BATCH, self.runs)):
                self._add_run(rows, 1.6e9 + number * 60.0)
            yield rows

    def _add_run(self, rows: dict[str, list[tuple[Any, ...]]], at: float) -> None:
        rng = self._random
        index = self.pipeline(rng)
        self._numbers[index] += 1
        pipeline = name(index)
        run_id = f"{pipeline}-{self._numbers[index]}"
        (state,) = rng.choices(self._states, cum_weights=self._state_weights)
        message = "" if state == "succeeded" else f"step fit {state}: ValueError: a message of usual length"
        numbered = (run_id, pipeline, self._numbers[index], "model", state, '{"max_depth":12}', at, at + 30.0)
        counts = (STEPS, STEPS, STEPS - 1, "measured", "local", '{"published":[]}')
        rows["run"].append((*numbered, _DRIVER, at + 30.0, _RECORD, message, *counts))
        steps = ",".join(f'["{step}","transform"]' for step in STEP_NAMES)
        body = f'{{"pipeline":"{pipeline}","kind":"model","steps":[{steps}],"parameters":{{"max_depth":"12"}}}}'
        events = [("RunStarted", body)]
        keys = self._keys[index]
        for position, step in enumerate(STEP_NAMES):
            is_hit = keys[position] != "" and rng.random() < HITS
            if not is_hit:
                keys[position] = rng.randbytes(32).hex()
            events += self._add_step(rows, (run_id, step, position, keys[position], is_hit), at)
        events.append(("RunFinished", '{"outcome":"succeeded","message":""}'))
        rows["event"] += [(run_id, seq, at, kind, text) for seq, (kind, text) in enumerate(events, 1)]

    def _add_step(
        self, rows: dict[str, list[tuple[Any, ...]]], place: tuple[str, str, int, str, bool], at: float
    ) -> list[tuple[str, str]]:
        run_id, step, position, key, is_hit = place
        output = f"{key[32:]}{key[:32]}"  # as many bytes as another digest, for nothing
        inputs = (
            f'{{"inputs":[["load","json/1:{key[::-1]}"]],"codecs":[]}}' if position else '{"inputs":[],"codecs":[]}'
        )
        refs = f"{output} json/1 2"
        reason = "same code, parameters and inputs as in train-12345" if is_hit else "parameter n changed from 1 to 2"
        started, took, log = (None, 0.0, "") if is_hit else (at, 0.01, '["worker-0.log",1024,2048]')
        state = "hit" if is_hit else "succeeded"
        numbered = (run_id, step, position, "transform", state, 0 if is_hit else 1, key, key[::-1], '{"n":42}')
        rows["step_run"].append((*numbered, inputs, refs, started, took, "", reason, log))
        if is_hit:
            return [("StepHit", f'{{"step":"{step}","outputs":"{refs}","made_in":"train-12345"}}')]
        rows["artifact"].append((output, "json/1", 2, b"42"))
        rows["cache_entry"].append((key, f"{refs} NDI=", "", run_id, step, at))
        span = '["worker-0.log",1024,2048]'
        return [
            ("StepStarted", f'{{"step":"{step}","attempt":1,"pid":12345,"log":{span}}}'),
            ("StepSucceeded", f'{{"step":"{step}","outputs":"{refs}","duration_s":0.0123456789,"log":{span}}}'),
        ]


def name(index: int) -> str:
    """Return the name of a pipeline."""
    return f"{('train', 'flows', 'score', 'report', 'clean')[index % 5]}_{index:05d}"


_COLUMNS = {
    "run": "run_id pipeline number kind state parameters started_at finished_at driver heartbeat_at record failure "
    "steps_total steps_done steps_hit project profile outcome",
    "step_run": "run_id step position stage state attempt key closure_digest arguments inputs outputs started_at "
    "duration_s failure reason log",
    "event": "run_id seq at kind body",
    "artifact": "digest codec size_bytes inline",
    "cache_entry": "key outputs blocked run_id step stored_at",
    "product_version": "kind name number artifact content run_id created_at body",
    "alias": "kind name alias number moved_at",
}


def fill(file: Path, runs: int) -> None:
    """Make the records in *file*: as many runs as asked for, with their steps, events, results, versions, aliases."""
    store = SqliteRecords(file)
    store.read("latest_run")
    store.close()
    connection = sqlite3.connect(file)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1500000", "locking_mode=EXCLUSIVE"):
        connection.execute(f"PRAGMA {pragma}")
    sample = Sample(runs)
    for rows in itertools.chain(sample.batches(), [_products(runs)]):
        for table, values in rows.items():
            _insert(connection, table, values)
        connection.commit()
    connection.execute("INSERT INTO pipeline (name) SELECT DISTINCT pipeline FROM run")
    connection.commit()
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, values: list[tuple[Any, ...]]) -> None:
    columns = _COLUMNS[table].split()
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    connection.executemany(sql, values)


def _products(runs: int) -> dict[str, list[tuple[Any, ...]]]:
    products = max(2, min(PRODUCTS, runs // 2000))
    description = {"rows": 1000, "columns": {"a": "Int64"}, "metrics": {}}
    body = json.dumps({"description": description, "inputs": {}, "attachments": {}})
    versions, aliases = [], []
    for number in range(1, VERSIONS // PRODUCTS + 1):
        for index in range(products):
            kind, ref = ("dataset", "model")[index % 2], f"{index:032x}{number:032x} json/1 2"
            at = 1.6e9 + number * 1000.0 + index
            versions.append(
                (kind, product(index), number, ref, f"{index:032x}{number:032x}", f"{name(index)}-{number}", at, body)
            )
    artifacts = [(version[3].partition(" ")[0], "json/1", 2, b"42") for version in versions]
    for index in range(1, products, 2):
        aliases.append(("model", product(index), "champion", 1, 1.6e9))
    return {"product_version": versions, "alias": aliases, "artifact": artifacts}


def product(index: int) -> str:
    """Return the name of a product; odd ones are models."""
    return f"product_{index:03d}"


class Measured:
    """Asks a store what commands ask, each time for something else."""

    def __init__(self, root: Path, sample: Sample) -> None:
        self.project = Project.open(root)
        self.records = self.project.records
        self._random = random.Random(SEED + 1)
        self._sample = sample
        self._products = max(2, min(PRODUCTS, sample.runs // 2000))

    def queries(self) -> Mapping[str, Callable[[], object]]:
        """Return what is asked, by what it is called; each call asks it once."""
        read, versions = self.records.read, self.project.versions
        return {
            "latest 50 runs": lambda: self._runs(),
            "latest 50 of a pipeline": lambda: self._runs(pipeline=self._pipeline()),
            "latest 50 in a state": lambda: self._runs(state=self._state()),
            "latest 50 of a pipeline in a state": lambda: self._runs(pipeline=self._pipeline(), state=self._state()),
            "50 runs far back": lambda: self._runs(before=self._place()),
            "search by name": lambda: self._runs(search=self._part()),
            "search by name and state": lambda: self._runs(search=self._part(), state=self._state()),
            "search by name, far back": lambda: self._runs(search=self._part(), before=self._place()),
            "search by the end of an id": lambda: self._runs(search=self._run_id()[2:]),
            "search for what is not there": lambda: self._runs(search="nowhere"),
            "one run's page": self._page,
            "newest run of a pipeline": lambda: read("latest_run_of_pipeline", {"pipeline": self._pipeline()}),
            "newest run": lambda: read("latest_run"),
            "running runs": lambda: read("running_runs"),
            "what a pipeline looked up before": lambda: read("steps_before", self._before(limit=5000)),
            "a step's run before": lambda: read("previous_step_run", self._before(step="fit")),
            "a cached result": lambda: read("try_cache_entry", {"key": self._random.randbytes(32).hex()}),
            "newest 100 versions": lambda: versions.find(),
            "newest 100 versions of a product": lambda: versions.find(kind="model", name=self._model()),
            "a version by its alias": lambda: versions.get("model", ProductRef(self._model(), "champion")),
        }

    def _runs(self, *, pipeline: str = "", state: str = "", search: str = "", before: Place = NEWEST) -> object:
        return find_runs(self.project, Wanted(pipeline=pipeline, state=state, search=search), before=before, limit=50)

    def _page(self) -> None:
        run = {"run_id": self._run_id()}
        self.records.read("get_run", run)
        self.records.read("steps_of_run", run)
        last = self.records.read("last_event_of_run", run)[0]["seq"]
        self.records.read("events_of_run", {**run, "since": last - 50})

    def _pipeline(self) -> str:
        return name(self._sample.pipeline(self._random))

    def _run_id(self) -> str:
        return f"{self._pipeline()}-{self._random.randint(1, 10)}"

    def _state(self) -> str:
        return self._random.choice(list(STATES))

    def _part(self) -> str:
        """Return a part of the names of a pipeline, of ten, of a hundred or of a fifth of all."""
        return self._random.choice([self._pipeline()[-5:], self._pipeline()[-5:-1], self._pipeline()[-5:-2], "train"])

    def _place(self) -> Place:
        return 1.6e9 + self._random.random() * self._sample.runs * 60.0, ""

    def _before(self, **more: object) -> dict[str, object]:
        return {"pipeline": self._pipeline(), "before": 1 << 62, "back": 0, "position": 0, **more}

    def _model(self) -> str:
        return product(self._random.randrange(1, self._products, 2))


def ask(root: Path, sample: Sample) -> Iterator[Figure]:
    """Yield what each query costs in the store of the project in *root*."""
    measured = Measured(root, sample)
    for what, query in measured.queries().items():
        query()
        times = sorted(timed(query) for _ in range(ROUNDS))
        yield Figure(name=what, median_ms=statistics.median(times) * 1e3, p95_ms=times[int(ROUNDS * 0.95)] * 1e3)
    measured.project.close()


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds *action* takes."""
    before = time.perf_counter()
    action()
    return time.perf_counter() - before


def write(large: Path, empty: Path) -> Iterator[Growth]:
    """Yield what each kind of row costs to write to the large store and to one that was empty, in turns."""
    rng = random.Random(SEED + 2)
    stores = {"large": SqliteRecords(large), "empty": SqliteRecords(empty)}
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS):
        for which, store in stores.items():
            run = _new_run(f"new_{rng.randrange(PIPELINES)}", 2e9 + number)
            run_id = ""
            for kind in ("run", "step_run", "event", "artifact", "cache_entry", "run that ends"):
                rows = [("create_run", run), ("note_pipeline", run)] if kind == "run" else _rows(kind, run_id, rng)
                before = time.perf_counter()
                written = store.write(rows)
                times.setdefault((kind, which), []).append((time.perf_counter() - before) / len(rows))
                run_id = run_id or written[0][0]["run_id"]
    for kind in dict.fromkeys(kind for kind, _ in times):
        medians = {which: statistics.median(times[kind, which]) * 1e6 for which in stores}
        limit = GROWTH if kind == "step_run" else None
        yield Growth(name=kind, large_us=medians["large"], empty_us=medians["empty"], limit=limit)
    for store in stores.values():
        store.close()


def _new_run(pipeline: str, at: float) -> dict[str, Any]:
    row = {"pipeline": pipeline, "kind": "data", "parameters": "{}", "driver": _DRIVER, "record": _RECORD}
    return {**row, "started_at": at, "steps_total": 100, "project": "measured", "profile": "local"}


def _rows(kind: str, run_id: str, rng: random.Random) -> list[Statement]:
    if kind == "run that ends":
        state = {"state": "succeeded", "finished_at": 2e9, "failure": "", "heartbeat_at": 2e9, "outcome": "{}"}
        return [("update_run", {"run_id": run_id, **state, "steps_total": 100, "steps_done": 100, "steps_hit": 0})]
    return [_row(kind, run_id, number, rng.randbytes(32).hex()) for number in range(100)]


def _row(kind: str, run_id: str, number: int, key: str) -> Statement:
    refs = f"{key} json/1 2"
    if kind == "step_run":
        texts = {
            "stage": "transform",
            "state": "succeeded",
            "failure": "",
            "metrics": "",
            "reason": "first run",
            "arguments": '{"n":1}',
        }
        texts |= {"key": key, "closure_digest": key, "inputs": '{"inputs":[],"codecs":[]}', "outputs": refs}
        place = {"run_id": run_id, "step": f"add_{number}", "position": number, "attempt": 1}
        return "put_step_run", {**place, **texts, "started_at": 2e9, "duration_s": 0.1, "log": '["worker-0.log",1,2]'}
    if kind == "event":
        body = f'{{"step":"add_{number}","outputs":"{refs}","duration_s":0.0123456789,"log":["worker-0.log",1,2]}}'
        return "add_event", {"run_id": run_id, "seq": number, "at": 2e9, "kind": "StepSucceeded", "body": body}
    if kind == "artifact":
        return "put_artifact", {"digest": key, "codec": "json/1", "size_bytes": 2, "inline": b"42"}
    entry = {"key": key, "outputs": f"{refs} NDI=", "blocked": "", "run_id": run_id, "step": "add"}
    return "put_cache_entry", {**entry, "stored_at": 2e9}


def measure(runs: int, folder: Path) -> dict[str, Any]:
    """Return the figures of a store with so many runs, made in *folder* and removed from it, as JSON data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "filiera.toml").write_text('[project]\nname = "measured"\n', encoding="utf-8")
    file = folder / ".filiera" / "records.sqlite"
    before = time.perf_counter()
    fill(file, runs)
    made = {"runs": runs, "step_runs": runs * STEPS, "size_bytes": file.stat().st_size}
    made["made_in_s"] = round(time.perf_counter() - before, 1)
    reads = [{**asdict(figure), "passes": figure.passes} for figure in ask(folder, Sample(runs))]
    writes = [
        {**asdict(growth), "ratio": growth.ratio, "passes": growth.passes}
        for growth in write(file, folder / "empty.sqlite")
    ]
    return {"store": made, "reads": reads, "writes": writes}


def main() -> int:
    """Measure and print; return 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="how many runs the store has (default: 1000000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filiera-scale-") as folder:
        found = measure(options.runs, Path(folder))
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        _print(found)
    return 0 if all(figure["passes"] for figure in [*found["reads"], *found["writes"]]) else 1


def _print(found: dict[str, Any]) -> None:
    store = found["store"]
    print(f"{store['runs']:,} runs, {store['step_runs']:,} step runs, {store['size_bytes'] / 1e9:.1f} GB\n")
    print(f"{'read':40} {'median':>9} {'95 %':>9}")
    for figure in found["reads"]:
        verdict = "" if figure["passes"] else f"  above {LIMIT_MS:g} ms"
        print(f"{figure['name']:40} {figure['median_ms']:6.2f} ms {figure['p95_ms']:6.2f} ms{verdict}")
    print(f"\n{'write one':40} {'large':>9} {'empty':>9} {'ratio':>6}")
    for growth in found["writes"]:
        verdict = "" if growth["passes"] else f"  above {GROWTH:g}"
        times = f"{growth['large_us']:6.1f} µs {growth['empty_us']:6.1f} µs"
        print(f"{growth['name']:40} {times} {growth['ratio']:6.2f}{verdict}")


if __name__ == "__main__":
    sys.exit(main())
