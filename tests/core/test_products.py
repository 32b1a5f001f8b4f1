"""Products and how they are named."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.products import Dataset, Model, ProductRef, check_name
from filiera.errors import UsageError

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,99}", fullmatch=True)


@given(name=names, selector=st.one_of(names, st.integers(1, 999_999_999).map(str)))
def test_reference_reads_as_it_is_written(name: str, selector: str) -> None:
    """What a reference prints is what it is parsed from."""
    ref = ProductRef.parse(f"{name}@{selector}")
    assert (ref.name, ref.selector) == (name, selector)
    assert ProductRef.parse(str(ref)) == ref
    assert ref.number == (int(selector) if selector.isdigit() else None)


@given(names)
def test_bare_name_is_the_newest(name: str) -> None:
    """Without a version a reference means the latest."""
    assert str(ProductRef.parse(name)) == f"{name}@latest"


@given(st.text(max_size=12))
def test_reference_is_read_or_refused(text: str) -> None:
    """Any text is either a reference or a usage error."""
    with contextlib.suppress(UsageError):
        assert ProductRef.parse(text).name


@pytest.mark.parametrize(
    "text",
    [
        "", "@1", "flows@", "flows@0", "flows@01", "flows@-1", "flows@1.5", "flows@1@2", "1flows", "../flows", "a/b",
        "a b", "flows@1234567890", "flows\n", "flows@1\n", "é", "a" * 101,
    ],
)  # fmt: skip
def test_malformed_reference_is_refused(text: str) -> None:
    """Names become folders and addresses: nothing that means anything there is taken."""
    with pytest.raises(UsageError, match="cannot name a"):
        ProductRef.parse(text)


def test_products_know_what_they_are() -> None:
    """A product has its kind, its reference, and what decides about a new version."""
    model = Model("m", task="regression", gates=["g"])
    dataset = Dataset("d@3", checks=iter("c"))
    assert (dataset.kind, dataset.ref.number, dataset.checks, repr(dataset)) == ("dataset", 3, ("c",), "Dataset('d@3')")
    assert (model.kind, model.task, model.gates, repr(model)) == ("model", "regression", ("g",), "Model('m@latest')")


def test_refusal_says_of_what() -> None:
    """The message says what the text cannot name and what it may be."""
    with pytest.raises(UsageError) as caught:
        check_name("a b", "source")
    assert str(caught.value) == (
        "'a b' cannot name a source.\nWhy: Names become folders, addresses and options.\n"
        "Do:  Use a letter, then letters, digits, '-' or '_', at most 100."
    )
