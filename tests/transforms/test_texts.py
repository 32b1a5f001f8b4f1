"""Texts get one form, the same in a column and alone."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.transforms import Text, fit_transforms

FITTED = fit_transforms([Text("x")], pl.DataFrame({"x": ["a"]}))


@given(texts=st.lists(st.text(), max_size=8), blanks=st.text(" \t\n\x0b\x0c\r\x1c\x1f\x85\xa0\u2003\u200b", max_size=5))
def test_a_column_and_a_text_alone_get_the_same_form(texts: list[str], blanks: str) -> None:
    """Whatever letters and blanks Unicode has."""
    texts = [*texts, blanks, blanks.join(["a", "B"]), blanks + "Ä" + blanks]
    column = FITTED.apply(pl.LazyFrame({"x": texts})).collect()["x"].to_list()
    assert [FITTED.apply({"x": text})["x"] for text in texts] == column


@pytest.mark.parametrize(
    ("text", "form"),
    [(" New\t York ", "new york"), ("\ufb01n", "fin"), ("e\u0301", "\xe9"), ("\xa0", None), ("", None), (None, None)],
)
def test_one_form(text: str | None, form: str | None) -> None:
    """NFKC, small letters, single blanks; nothing is missing."""
    assert FITTED.apply({"x": text}) == {"x": form}


def test_letters_and_empty_texts_may_stay() -> None:
    """As asked."""
    fitted = fit_transforms([Text("x", lower=False, empty_is_missing=False)], pl.DataFrame({"x": ["a"]}))
    assert fitted.apply(pl.DataFrame({"x": [" A  b", " "]}))["x"].to_list() == ["A b", ""]
    assert fitted.apply({"x": " "}) == {"x": ""}


def test_only_texts_have_a_form() -> None:
    """The column is named."""
    with pytest.raises(UsageError, match="'x' is int64"):
        fit_transforms([Text("x")], pl.DataFrame({"x": [1]}))
