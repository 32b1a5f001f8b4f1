"""Bare SQLite: ``models_with_sqlite.py POINTS START``; prints the seconds of a point, each a transaction.

In the fastest setting that survives the end of the process.
"""

import sqlite3
import sys
import time

if __name__ == "__main__":
    count, start = int(sys.argv[1]), int(sys.argv[2])
    base = sqlite3.connect(f"{start}.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=OFF")
    base.execute("CREATE TABLE metric (name TEXT, step INTEGER, value REAL, at REAL)")
    before = time.perf_counter()
    for number in range(count):
        base.execute("INSERT INTO metric VALUES (?, ?, ?, ?)", ("loss", number, number * 0.001, time.time()))
    print((time.perf_counter() - before) / count)
