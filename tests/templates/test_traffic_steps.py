"""The traffic-classification template, run as a new user would find it: real data, plain functions."""

import gzip
import hashlib
import runpy
import tomllib

import polars as pl
import pytest

from filiera.adapters.sources.csv_file import CsvSource
from filiera.core.check import domains
from filiera.core.collected import Collected
from filiera.data.checks import run_checks
from filiera.data.report import profile_html
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "traffic_classification"


@pytest.fixture(scope="module")
def project():
    """Import the template's own packages, and forget them afterwards."""
    with importable(TEMPLATE):
        from flows import data

        yield data


@pytest.fixture(scope="module")
def config():
    return tomllib.loads((TEMPLATE / "filiera.toml").read_text())


@pytest.fixture(scope="module")
def raw(config):
    entry = config["catalog"]["raw_flows"]
    CsvSource().check(entry)
    return CsvSource().read(entry, TEMPLATE, Collected(entry=entry)).collect()


def test_catalog_reads_the_data_that_is_shipped(raw):
    """The entry in filiera.toml gives all records of the file."""
    assert raw.shape == (25_192, 44)


def test_data_is_the_cited_file():
    """The bytes are those whose origin, citation and terms stand beside them."""
    content = (TEMPLATE / "data/KDDTrain_20Percent.csv.gz").read_bytes()
    citation = (TEMPLATE / "data/CITATION.md").read_text()
    assert hashlib.sha256(content).hexdigest() in citation
    assert "Tavallaee" in citation
    assert len(gzip.decompress(content).splitlines()) == 25_193


def test_dataset_passes_its_checks(project, raw):
    """Cleaned and transformed, the real data holds what the dataset promises."""
    flows = project.features(project.clean(raw))
    report = run_checks(flows, project.CHECKS)
    assert report.failed == ()
    assert flows["attack"].value_counts(sort=True).rows() == [("normal", 13_449), ("attack", 11_743)]
    assert not {"difficulty", "label", "category", "num_outbound_cmds"} & set(flows.columns)


def test_every_feature_is_promised_something(project):
    """Each numeric feature and each closed set has a domain, so that a service can refuse what lies outside."""
    promised = domains(project.CHECKS)
    from traffic.columns import FEATURES

    assert set(FEATURES) - set(promised) == {"service"}


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (pl.lit(1.5).alias("serror_rate"), "serror_rate in 0..1"),
        (pl.lit("sctp").alias("protocol_type"), "protocol_type in {tcp, udp, icmp}"),
        (pl.lit(-1).cast(pl.Int64).alias("src_bytes"), "src_bytes in 0.."),
        (pl.lit(float("nan")).alias("rerror_rate"), "rerror_rate in 0..1"),
        (pl.lit("maybe").alias("attack"), "attack in {normal, attack}"),
        (pl.lit("0").alias("land"), "land, logged_in, root_shell and 19 more are int64"),
    ],
)
def test_spoilt_data_is_blocked(project, raw, spoil, broken):
    """A dataset with impossible values is not published, and the check that says so is named."""
    report = run_checks(project.features(project.clean(raw)).with_columns(spoil), project.CHECKS)
    assert report.blocks
    assert any(result.name.startswith(broken) for result in report.failed)


def test_exploration_is_a_page(project, raw):
    """The report shows all columns, warns of what leaks, and stays small."""
    page = profile_html(project.explore_flows(raw)).text
    assert page.count("<article>") == raw.width
    assert "Only one value: num_outbound_cmds" in page
    assert len(page.encode()) < 500_000


def test_unit_tests_of_the_template_pass(project):
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 9
    for name in names:
        tests[name]()
