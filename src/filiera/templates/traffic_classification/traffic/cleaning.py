"""What makes a record of a connection unusable."""

import polars as pl

LONGEST_S = 86_400
"""A connection that seems to last longer than a day, in seconds, was not closed properly: its numbers mean nothing."""

USELESS = ("difficulty", "num_outbound_cmds", "category")
"""Says how easy the row is (leaks the answer); is always 0; is the label in other words."""


def is_usable() -> pl.Expr:
    """Return an expression that is true for connections of a possible duration."""
    return pl.col("duration").is_between(0, LONGEST_S)
