"""Categories of the training rows become columns or numbers; all else is other, or refused."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder

from filiera.errors import UsageError
from filiera.transforms import OneHot, Ordinal, fit_transforms
from filiera.transforms.categories import MAX_CATEGORIES

texts = st.lists(st.sampled_from(["a", "b", "", "other", "è"]), min_size=1, max_size=12)


@given(values=texts, probes=texts)
def test_one_hot_is_what_scikit_learn_makes(values: list[str], probes: list[str]) -> None:
    """The second, independent definition; and with the column for all else exactly one of the group is 1."""
    fitted = fit_transforms([OneHot("x")], pl.DataFrame({"x": values}))
    ours = fitted.apply(pl.DataFrame({"x": probes}))
    theirs = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit([[value] for value in values])
    assert ours.to_numpy()[:, :-1].tolist() == theirs.transform([[probe] for probe in probes]).tolist()
    assert ours.sum_horizontal().to_list() == [1] * len(probes)


def test_a_category_called_other_keeps_its_column() -> None:
    """The column for all else gets another name."""
    fitted = fit_transforms([OneHot("x")], pl.DataFrame({"x": ["other", "a"]}))
    assert fitted.one_hot_groups == {"x": ("x_a", "x_other", "x_other_")}
    assert fitted.apply({"x": None}) == {"x_a": 0, "x_other": 0, "x_other_": 1}


@pytest.mark.parametrize(("values", "names"), [([2, 1], ("x_1", "x_2")), ([True, False], ("x_false", "x_true"))])
def test_numbers_and_truth_are_categories_too(values: list[Any], names: tuple[str, ...]) -> None:
    """Spelled as JSON spells them."""
    assert fit_transforms([OneHot("x", unknown="error")], pl.DataFrame({"x": values})).one_hot_groups == {"x": names}


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["a", "b"])], ids=str)
def test_polars_categories_are_texts(dtype: Any) -> None:
    """However a frame holds them, they are what a service sends."""
    rows = pl.DataFrame({"x": ["a", "b", None]}, schema={"x": dtype})
    fitted = fit_transforms([Ordinal("x")], rows)
    assert fitted.apply(rows)["x"].to_list() == [0, 1, -1]
    assert fitted.apply(rows.cast(pl.String))["x"].to_list() == [0, 1, -1]


def test_no_category_at_all_is_all_other() -> None:
    """A column without values teaches that everything is unknown."""
    fitted = fit_transforms(
        [OneHot("x"), Ordinal("y")], pl.DataFrame({"x": [None], "y": [None]}, schema={"x": pl.String, "y": pl.String})
    )
    for rows in (pl.DataFrame({"x": ["a", None], "y": ["b", None]}),):
        assert fitted.apply(rows).rows() == [(-1, 1), (-1, 1)]
        assert fitted.apply(rows.lazy()).collect().rows() == [(-1, 1), (-1, 1)]


def test_the_order_is_the_users() -> None:
    """Also with values that the training rows lack; values that it lacks are an error."""
    rows = pl.DataFrame({"x": ["L", "S"]})
    fitted = fit_transforms([Ordinal("x", ["S", "M", "L"])], rows)
    assert [fitted.apply({"x": size})["x"] for size in ("S", "M", "L", "XL", None)] == [0, 1, 2, -1, -1]
    with pytest.raises(UsageError, match="the order lacks: 'L'"):
        fit_transforms([Ordinal("x", ["S", "M"])], rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneHot("x", unknown="ignore"), "'ignore'"),  # type: ignore[arg-type]
        (lambda: Ordinal("x", ["a", "a"]), "names a value twice"),
        (lambda: fit_transforms([OneHot("x")], pl.DataFrame({"x": [0.5]})), "texts, integers or booleans"),
        (lambda: fit_transforms([OneHot("x")], pl.DataFrame({"x": range(MAX_CATEGORIES + 1)})), "1,001 categories"),
        (lambda: fit_transforms([OneHot("x", unknown="error")], pl.DataFrame({"x": ["a", None]})), "1 missing values"),
        (lambda: fit_transforms([OneHot("x")], pl.DataFrame({"x": ["a"], "x_a": [1]})), "would add 'x_a'"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    """With the column, and what to do."""
    with pytest.raises(UsageError, match=message):
        make()
