"""Records of a large XML file as typed columns, beside loops over ``lxml.etree.iterparse`` written by hand.

``python benchmarks/xml_records.py --records 1000000`` writes a file of about a kilobyte per record into a temporary
folder, runs each subject in a process of its own, a few rounds in turn, and prints the best wall time, processor time,
peak of memory, and how fast it is beside both loops. ``--half`` adds a file of half the records, to compare the peaks.

- *bare*: a loop that only forgets each record; *by hand*: one that also puts eight values of each into lists.
- *filiera*: the eight columns in batches, with declared types; *parquet*: written to Parquet as a step's result is;
  *found types*: the same with types that are found in all records first.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUBJECTS = ("bare", "by hand", "filiera", "parquet", "found types")
FIELDS = {
    "id": "@id",
    "status": "@status",
    "name": "customer/name",
    "city": "customer/city",
    "placed": "placed",
    "total": "total",
    "note": "note",
    "skus": {"path": "item/@sku", "many": "list"},
}
TYPES = dict.fromkeys(FIELDS, "string") | {"id": "int64", "placed": "date", "total": "float64"}


def make(file: Path, records: int) -> None:
    """Write a file of *records* orders, with nothing to four items each and a note of 90 words."""
    chance = random.Random(0)
    words = [f"word{n}" for n in range(500)]
    with file.open("w", encoding="utf-8") as target:
        target.write('<?xml version="1.0" encoding="UTF-8"?>\n<orders>\n')
        for n in range(records):
            items = "".join(
                f'    <item sku="S{chance.randrange(10_000)}"><price>{chance.random() * 100:.2f}</price></item>\n'
                for _ in range(chance.randrange(5))
            )
            target.write(
                f'  <order id="{n}" status="{chance.choice(("new", "paid", "sent"))}">\n'
                f"    <customer><name>{' '.join(chance.choices(words, k=3))}</name><city>{chance.choice(words)}</city>"
                f"</customer>\n    <placed>2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}</placed>\n"
                f"    <total>{chance.random() * 1000:.2f}</total>\n{items}"
                f"    <note>{' '.join(chance.choices(words, k=90))}</note>\n  </order>\n"
            )
        target.write("</orders>\n")


def bare(file: str, *, takes_values: bool = False) -> int:
    """Go through all records; with *takes_values* put what they hold into lists, emptied from time to time."""
    from lxml import etree

    count, columns = 0, [[] for _ in FIELDS]
    for _, order in etree.iterparse(file, events=("end",), tag="order"):
        count += 1
        if takes_values:
            values = (
                order.get("id"),
                order.get("status"),
                order.findtext("customer/name"),
                order.findtext("customer/city"),
                order.findtext("placed"),
                order.findtext("total"),
                order.findtext("note"),
                [item.get("sku") for item in order.findall("item")],
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)
            if count % 8192 == 0:
                columns = [[] for _ in FIELDS]
        order.clear()
        while order.getprevious() is not None:
            del order.getparent()[0]
    return count


def query(file: str, types: dict[str, str]):
    from filiera.adapters.sources.xml_file import XmlSource
    from filiera.core.collected import Collected

    entry = {"type": "xml", "path": file, "records": "/orders/order", "fields": FIELDS, "columns": types}
    entry = {name: value for name, value in entry.items() if value}
    return XmlSource().read(entry, Path("/"), Collected(entry=entry))


def filiera(file: str) -> int:
    """Read all columns in batches."""
    return sum(batch.height for batch in query(file, TYPES).collect_batches(engine="streaming"))


def parquet(file: str, types: dict[str, str]) -> int:
    """Write them as Parquet, as the result of a step is."""
    import polars as pl

    target = f"{file}.parquet"
    query(file, types).sink_parquet(target, compression_level=3, row_group_size=1 << 17, engine="streaming")
    return pl.scan_parquet(target).select(pl.len()).collect().item()


def run(subject: str, file: str) -> None:
    """Run one subject in this process and print what it took."""
    todo = {
        "bare": lambda: bare(file),
        "by hand": lambda: bare(file, takes_values=True),
        "filiera": lambda: filiera(file),
        "parquet": lambda: parquet(file, TYPES),
        "found types": lambda: parquet(file, {}),
    }[subject]
    if subject not in ("bare", "by hand"):
        import polars  # noqa: F401 - what is measured is reading, not starting
    wall, processor = time.perf_counter(), time.process_time()
    count = todo()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(count, wall, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(file: Path, rounds: int, subjects: list[str]) -> dict[str, tuple[float, float, float]]:
    """Return the least wall time and processor time in s, and the greatest memory in MiB, by subject."""
    best: dict[str, tuple[float, float, float]] = {}
    for _ in range(rounds):
        for subject in subjects:
            command = [sys.executable, __file__, "--subject", subject, "--file", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            _, wall, processor, memory = map(float, done.stdout.split())
            old = best.get(subject, (wall, processor, memory))
            best[subject] = (min(old[0], wall), min(old[1], processor), max(old[2], memory))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", help="also a file of half the records")
    parser.add_argument("--only", nargs="*", default=list(SUBJECTS), choices=SUBJECTS)
    parser.add_argument("--subject", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        run(options.subject, options.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        for records in (options.records // 2, options.records) if options.half else (options.records,):
            file = Path(folder) / f"{records}.xml"
            make(file, records)
            print(f"\n{records:,} records, {file.stat().st_size / 1e6:,.0f} MB, best of {options.rounds}")
            print(f"{'':12} {'wall s':>8} {'cpu s':>8} {'MiB':>6}  speed beside bare, by hand (wall; cpu)")
            found = measure(file, options.rounds, options.only)
            for subject, (wall, processor, memory) in found.items():
                beside = [
                    f"{found[loop][0] / wall:.2f} ×; {found[loop][1] / processor:.2f} ×"
                    for loop in SUBJECTS[:2]
                    if loop in found
                ]
                print(f"{subject:12} {wall:8.2f} {processor:8.2f} {memory:6.0f}  {',  '.join(beside)}")


if __name__ == "__main__":
    main()
