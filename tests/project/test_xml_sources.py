"""An XML source that is not sound fails its step, and nothing of it is published or kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import SmallProject

pytest.importorskip("lxml")

FLOWS = """
    import polars as pl
    from filiera import Check, Dataset, Source, pipeline, step

    @step(stage="clean")
    def keep(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw

    @pipeline(kind="data", publishes=Dataset("orders", checks=[Check.not_null("id")]))
    def orders(raw: pl.LazyFrame = Source("shop")):
        return keep(raw)
"""
CATALOG = """
    [project]
    name = "small"

    [catalog.shop]
    type = "xml"
    path = "shop.xml"
    records = "/shop/order"
    fields = {id = "@id"}
    columns = {id = "int64"}

    [profile.local]
    executor = "inline"
"""
ORDERS = "".join(f'<order id="{n}"/>\n' for n in range(10_000))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (f"<shop>\n{ORDERS}", "line 10002, at or behind (/shop/order)[10000]: it ends before its elements do"),
        (f'<shop>\n{ORDERS}<order id="x"/></shop>', "line 10002, (/shop/order)[10001]/@id: 'x' is not int64"),
        (f"<shop>\n{ORDERS}<order>\x01</order></shop>", "line 10002, at or behind (/shop/order)[10001]"),
    ],
    ids=["cut off", "wrong type", "not XML"],
)
def test_what_is_found_late_undoes_all(tmp_path: Path, content: str, what: str) -> None:
    """Most rows were already being stored; when the source is mended, the run goes on as if nothing had been."""
    project = SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": CATALOG})
    (tmp_path / "shop.xml").write_text(content)
    failed = project.run("orders")
    failure = failed.state.steps["collect-shop"].failure
    assert failure is not None
    assert what in failure.message
    with project.opened() as opened:
        assert list(opened.versions.find()) == []
    (tmp_path / "shop.xml").write_text(f"<shop>{ORDERS}</shop>")
    project.run("orders").require_success()
    with project.opened() as opened:
        assert [version.description["rows"] for version in opened.versions.find()] == [10_000]
