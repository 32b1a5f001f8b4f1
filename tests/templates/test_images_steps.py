"""The images template, run as a new user would find it: real images, plain functions."""

from __future__ import annotations

import hashlib
import runpy
import tomllib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from filiera.adapters.sources.images import ImagesSource
from filiera.core.collected import Collected
from filiera.core.files import Files
from filiera.data.checks import run_checks
from filiera.data.images_report import images_html
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "images"


@pytest.fixture(scope="module")
def project() -> Iterator[ModuleType | Any]:
    """Import the template's own package, and forget it afterwards."""
    with importable(TEMPLATE):
        from flows import data

        yield data


@pytest.fixture(scope="module")
def raw() -> Files:
    entry = tomllib.loads((TEMPLATE / "filiera.toml").read_text(encoding="utf-8"))["catalog"]["raw_xrays"]
    ImagesSource().check(entry)
    return ImagesSource().read(entry, TEMPLATE, Collected(entry=entry))


def test_catalog_reads_the_images_that_are_shipped(raw: Files) -> None:
    """All of the archive, with what their paths say."""
    assert (len(raw), raw.rejected.height) == (1524, 0)
    counts = dict(raw.table.group_by("split", "label").len().sort("split", "label").select(
        pl.concat_str("split", "label", separator=" "), "len"
    ).iter_rows())  # fmt: skip
    assert counts == {"train normal": 300, "train pneumonia": 700, "val normal": 135, "val pneumonia": 389}


def test_data_is_the_cited_file() -> None:
    """The bytes are those whose origin, citation and terms stand beside them."""
    content = (TEMPLATE / "data/xrays.zip").read_bytes()
    citation = (TEMPLATE / "data/CITATION.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in citation
    assert "Kermany" in citation


def test_dataset_passes_its_checks(project: Any, raw: Files) -> None:
    """Cleaned and measured, the images hold what the dataset promises; as collected they do not."""
    made = project.measure(project.clean(raw))
    assert run_checks(made.table, project.CHECKS).failed == ()
    assert run_checks(project.measure(raw).table, project.CHECKS).blocks
    assert made.table.filter(split="val").height == 524


def test_exploration_shows_what_leaks(project: Any, raw: Files) -> None:
    """Images in both parts are found, and the page has pictures."""
    page = images_html(project.explore_xrays(raw)).text
    assert "8 images have more than one split" in page
    assert page.count("<img ") == 96
    assert len(page) < 5_000_000


def test_unit_tests_of_the_template_pass(project: Any) -> None:
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 2
    for name in names:
        tests[name]()
