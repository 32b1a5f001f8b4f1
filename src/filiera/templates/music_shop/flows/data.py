"""From the tables of a shop to the datasets "tracks" and "sales"."""

import polars as pl

from filiera import Check, Dataset, Source, pipeline, step

TRACK_CHECKS = [
    Check.not_null("track", "name", "genre", "price"),
    Check.unique("track"),
    Check.in_range("minutes", 0, 120),
    Check.in_range("price", 0.5, 5),
]


def paid_is_known(col):
    """An invoice says what its lines add up to."""
    return (col.invoice_total - col.lines_total).abs() < 0.005


SALE_CHECKS = [
    Check.not_null("line", "invoice", "track", "customer", "country", "sold_at", "amount"),
    Check.unique("line"),
    Check.in_range("pieces", 1),
    Check.in_range("amount", 0.5),
    Check.rule("lines add up to their invoice", paid_is_known),
    Check.foreign_key("track", "tracks@latest"),
]


@step(stage="clean")
def clean_tracks(raw: pl.DataFrame) -> pl.DataFrame:
    """Return tracks with names as we write them, and their length in minutes."""
    return raw.select(
        track="TrackId",
        name="Name",
        genre="Genre",
        album="Album",
        minutes=pl.col("Milliseconds") / 60_000,
        price=pl.col("UnitPrice").cast(pl.Float64),
    )


@step(stage="transform")
def sold(lines: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each line of an invoice, with what the invoice says of customer, country and time."""
    amount = pl.col("Quantity") * pl.col("UnitPrice").cast(pl.Float64)
    # PostgreSQL has times, SQLite has texts that look like them.
    sold_at = pl.col("InvoiceDate").cast(pl.String).str.to_datetime(time_unit="us")
    return lines.join(invoices, on="InvoiceId", how="left", validate="m:1", maintain_order="left").select(
        line="InvoiceLineId",
        invoice="InvoiceId",
        track="TrackId",
        customer="CustomerId",
        country="BillingCountry",
        sold_at=sold_at,
        pieces="Quantity",
        amount=amount,
        lines_total=amount.sum().over("InvoiceId"),
        invoice_total=pl.col("Total").cast(pl.Float64),
    )


@pipeline(kind="data", publishes=Dataset("tracks", checks=TRACK_CHECKS, keys=["track"]))
def tracks(raw: pl.DataFrame = Source("raw_tracks")):
    """Collect the tracks with genre and album."""
    return clean_tracks(raw)


@pipeline(kind="data", publishes=Dataset("sales", checks=SALE_CHECKS, keys=["line"]))
def sales(lines: pl.DataFrame = Source("raw_lines"), invoices: pl.DataFrame = Source("raw_invoices")):
    """Collect what was sold; each track must be in the dataset "tracks", each invoice must add up."""
    return sold(lines, invoices)
