"""Runs ``filiera`` with records that wait less long: ``python -m tests.faults.impatient SECONDS WORD…``."""

from __future__ import annotations

import sys
from functools import partialmethod

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.cli.main import main

if __name__ == "__main__":
    seconds, *words = sys.argv[1:]
    SqliteRecords.__init__ = partialmethod(  # type: ignore[assignment]
        SqliteRecords.__init__, busy_timeout_s=float(seconds)
    )
    sys.exit(main(words))
