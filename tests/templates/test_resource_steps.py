"""The resource-clustering template, run as a new user would find it: real data, plain functions."""

import hashlib
import runpy
import tomllib

import pytest

from filiera.adapters.sources.csv_file import CsvSource
from filiera.core.collected import Collected
from filiera.data.checks import run_checks
from filiera.model.gates import decide
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "resource_clustering"


@pytest.fixture(scope="module")
def project():
    """Import the template's own packages, and forget them afterwards."""
    with importable(TEMPLATE):
        from flows import data

        yield data


@pytest.fixture(scope="module")
def raw():
    entry = tomllib.loads((TEMPLATE / "filiera.toml").read_text())["catalog"]["raw_use"]
    CsvSource().check(entry)
    return CsvSource().read(entry, TEMPLATE, Collected(entry=entry)).collect()


def test_data_is_the_cited_files(raw, project):
    """The bytes are those whose origin, citation and terms stand beside them, with the published mean and spread."""
    from machines.use import SAMPLES

    citation = (TEMPLATE / "data/CITATION.md").read_text()
    for file in sorted((TEMPLATE / "data").glob("*.gz")):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in citation
    first = raw.filter(raw["vm"].str.starts_with("20110303")).select(SAMPLES).to_numpy()
    assert (len(raw), len(first)) == (3011, 1052)
    assert f"{first.mean():.2f} and {first.std():.2f}" in citation


def test_dataset_passes_its_checks(project, raw):
    """Cleaned and described, the real data holds what the dataset promises."""
    machines = project.features(project.clean(raw))
    assert run_checks(machines, project.CHECKS).failed == ()
    assert machines.height == 3011


def test_groups_are_better_than_those_by_mean_use(project, raw):
    """On a day that neither was made from, as the page of the template says; and its gates say so."""
    from flows.model import GATES, evaluate, fit, split_days

    train_rows, test_rows = split_days(project.features(project.clean(raw)))
    model = fit(train_rows, clusters=6, seed=0)
    found = evaluate(model, test_rows, train_rows, seed=0)
    assert all(result.passed for result in decide(GATES, found, None))
    page = (TEMPLATE / "README.md").read_text()
    for name in ("silhouette", "silhouette_gain", "stability", "spread_gain"):
        one = found.metrics[name]
        assert one.low > one.baseline
    gain = found.metrics["silhouette_gain"]
    assert f"| {found.metrics['silhouette'].value - gain.value:.3f} | {found.metrics['silhouette'].value:.3f} |" in page
    assert f"| {gain.low:.3f} to {gain.high:.3f} |" in page
    assert found.rows["silhouette"].mean() == pytest.approx(found.metrics["silhouette"].value)


def test_unit_tests_of_the_template_pass(project):
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 5
    for name in names:
        tests[name]()
