"""The music-shop template, run as a new user would find it: a real database, plain functions."""

import hashlib
import runpy
import shutil
import tomllib
from pathlib import Path

import polars as pl
import pytest

from filiera.adapters.sql.source import SqlSource
from filiera.data.checks import run_checks
from filiera.testing.source import read
from tests.postgres import PostgresServer
from tests.projects import SmallProject
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "music_shop"


@pytest.fixture(scope="module")
def data():
    """Import the template's own package, and forget it afterwards."""
    with importable(TEMPLATE):
        from flows import data

        yield data


@pytest.fixture(scope="module")
def sources():
    """Return the sources of the catalog, as they are read."""
    catalog = tomllib.loads((TEMPLATE / "filiera.toml").read_text())["catalog"]
    return {name: read(SqlSource(), entry, TEMPLATE) for name, entry in catalog.items()}


def test_data_is_the_cited_file():
    """The bytes are those whose origin and licence stand beside them."""
    content = (TEMPLATE / "data/chinook.sqlite").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (TEMPLATE / "data/CITATION.md").read_text()


def test_catalog_reads_the_data_that_is_shipped(sources):
    """All rows, and names as they are written."""
    assert {name: table.height for name, table in sources.items()} == {
        "raw_tracks": 3503,
        "raw_lines": 2240,
        "raw_invoices": 412,
    }
    assert sources["raw_tracks"]["Name"].str.contains("é").any()


def test_datasets_pass_their_checks(data, sources):
    """What is promised holds for the real data."""
    tracks = data.clean_tracks(sources["raw_tracks"])
    sales = data.sold(sources["raw_lines"], sources["raw_invoices"])
    within = [check for check in data.SALE_CHECKS if check.kind != "foreign_key"]
    assert run_checks(tracks, data.TRACK_CHECKS).failed == ()
    assert run_checks(sales, within).failed == ()
    assert set(sales["track"]) <= set(tracks["track"])


def test_an_invoice_that_does_not_add_up_is_blocked(data, sources):
    """A wrong total is found by the check that says so."""
    invoices = sources["raw_invoices"].with_columns(Total=pl.col("Total") + 1)
    report = run_checks(data.sold(sources["raw_lines"], invoices), data.SALE_CHECKS[:-1])
    assert [result.name for result in report.failed] == ["lines add up to their invoice"]


def test_unit_tests_of_the_template_pass(data):
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 2
    for name in names:
        tests[name]()


def test_the_same_from_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    """Only the address changes: the tables of the server give the same datasets."""
    uri = postgres.uri(postgres.new_database())
    runpy.run_path(str(TEMPLATE / "data/to_postgresql.py"))["copy"](uri)
    shutil.copytree(TEMPLATE / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    text = (TEMPLATE / "filiera.toml").read_text().replace("sqlite:data/chinook.sqlite", uri)
    project = SmallProject(
        tmp_path, {"filiera.toml": text.replace("NAME-OF-THE-PROJECT", "shop").replace('"processes"', '"inline"')}
    )
    for name, rows in (("tracks", 3503), ("sales", 2240)):
        run = project.run(name)
        assert run.state.status == "succeeded"
        with project.opened() as opened:
            [version] = opened.versions.find(kind="dataset", name=name)
            assert version.description["rows"] == rows
