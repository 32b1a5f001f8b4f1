"""Steps are functions: call them with small tables."""

from datetime import datetime

import polars as pl
from flows.data import clean_tracks, sold


def test_a_sale_knows_its_invoice() -> None:
    """Lines keep their order, get what their invoice says, and are summed up per invoice."""
    lines = pl.DataFrame(
        {"InvoiceLineId": [1, 2], "InvoiceId": [7, 7], "TrackId": [5, 6], "UnitPrice": [0.99, 1.99], "Quantity": [1, 2]}
    )
    invoices = pl.DataFrame(
        {
            "InvoiceId": [7],
            "CustomerId": [3],
            "InvoiceDate": ["2026-01-02 00:00:00"],
            "BillingCountry": ["Norway"],
            "Total": [4.97],
        }
    )
    found = sold(lines, invoices)
    assert found["line"].to_list() == [1, 2]
    assert found["sold_at"].to_list() == [datetime(2026, 1, 2)] * 2
    assert found["lines_total"].round(2).to_list() == [4.97, 4.97]


def test_minutes() -> None:
    """A track's length is in minutes."""
    raw = pl.DataFrame(
        {
            "TrackId": [1],
            "Name": ["a"],
            "Genre": ["Rock"],
            "Album": ["b"],
            "Milliseconds": [90_000],
            "UnitPrice": [0.99],
        }
    )
    assert clean_tracks(raw)["minutes"].item() == 1.5
