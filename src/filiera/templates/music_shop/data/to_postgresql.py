"""Copy the shop's tables into a PostgreSQL database: ``python data/to_postgresql.py ADDRESS``."""

import sqlite3
import sys
from pathlib import Path

import polars as pl

from filiera.adapters.sql.sink import write_table

TABLES = ("Track", "Genre", "Album", "Invoice", "InvoiceLine")


def copy(uri: str) -> None:
    """Make the tables in the database at *uri*, or replace them."""
    shop = sqlite3.connect(Path(__file__).with_name("chinook.sqlite"))
    for name in TABLES:
        rows = pl.read_database(f'SELECT * FROM "{name}"', shop, infer_schema_length=None)  # noqa: S608
        write_table({"type": "sql", "uri": uri, "table": name}, Path(), rows.lazy(), mode="replace")
    shop.close()


if __name__ == "__main__":
    copy(sys.argv[1])
