"""The service-banners template, run as a new user would find it: real XML, plain functions."""

import gzip
import runpy
import tomllib
from pathlib import Path

import polars as pl
import pytest

from filiera.adapters.sources.xml_file import XmlSource
from filiera.data.checks import run_checks
from filiera.testing.source import read
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "service_banners"
DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def project():
    """Import the template's own packages, and forget them afterwards."""
    with importable(TEMPLATE):
        from flows import banners, scans

        yield banners, scans


@pytest.fixture(scope="module")
def sources():
    """Return both sources of the catalog, as they are read."""
    catalog = tomllib.loads((TEMPLATE / "filiera.toml").read_text())["catalog"]
    for entry in catalog.values():
        XmlSource().check(entry)
    return {name: read(XmlSource(), entry, TEMPLATE) for name, entry in catalog.items()}


def test_import_loses_nothing(sources):
    """There are as many rows as whoever counted the elements found, and the values of the known ones are right."""
    raw, ports = sources["raw_banners"], sources["raw_ports"]
    assert (raw.height, raw["pattern"].n_unique(), ports.height) == (6236, 3630, 118)
    first = raw.filter(pl.col("matches") == "ssh.banner").row(1, named=True)
    assert (first["banner"], first["product"], first["preference"]) == ("RomSShell_4.62", "RomSShell", 0.9)
    assert ports["hostnames"].list.len().max() == 2


@pytest.mark.skipif(not DATA.is_dir(), reason="the files that the index counts are not beside the repository")
def test_counts_are_those_of_the_index(sources):
    """Per kind of banner, the examples are as many as the index of the collection says."""
    index = pl.read_csv(DATA / "service-banners-xml" / "index.csv").filter(pl.col("protocol").is_not_null())
    wanted = dict(index.group_by("protocol").agg(pl.col("examples").sum()).rows())
    found = dict(sources["raw_banners"].drop_nulls("protocol").group_by("protocol").len().rows())
    assert found == {name: count for name, count in wanted.items() if count}


def test_datasets_pass_their_checks(project, sources):
    """Every banner is recognised by its own pattern; seven ports without an address are set aside."""
    banners, scans = project
    made = banners.with_recognition(banners.decoded(sources["raw_banners"]))
    assert run_checks(made, banners.CHECKS).failed == ()
    report = run_checks(scans.features(scans.clean(sources["raw_ports"])), scans.CHECKS)
    assert [(result.severity, result.rows_failed) for result in report.failed] == [("quarantine", 7)]


def test_a_garbled_banner_is_set_aside(project, sources):
    """The check that proves the import fails where a value was damaged."""
    banners, _ = project
    raw = sources["raw_banners"].with_columns(banner=pl.lit("damaged"))
    report = run_checks(banners.with_recognition(banners.decoded(raw)), banners.CHECKS)
    assert any(result.name.startswith("recognised in") for result in report.failed)


def test_data_is_shipped_with_its_licences():
    """The notices that the licences want stand beside the files, all of which can be unpacked."""
    citation = (TEMPLATE / "data/CITATION.md").read_text()
    assert all(word in citation for word in ("Copyright (c) 2014, Rapid7", "Ronald Bister", "Apache-2.0"))
    files = sorted((TEMPLATE / "data").rglob("*.gz"))
    assert len(files) == 56
    assert all(gzip.decompress(file.read_bytes()).lstrip().startswith(b"<?xml") for file in files)


def test_unit_tests_of_the_template_pass(project):
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 3
    for name in names:
        tests[name]()
