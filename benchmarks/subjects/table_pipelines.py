"""The pipeline of large tables, apart from the others, which need no table library."""

import tables

from filiera import pipeline, step

make_table = step(tables.make_table)
scale = step(tables.scale)
divide = step(tables.divide)


@pipeline(kind="data")
def table(rows: int = 2, start: int = -1):
    """Make a table, and two more from it, each kept."""
    return divide(scale(make_table(rows, start)))
