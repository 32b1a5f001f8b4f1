"""What each input added to a model's answers."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.booster import from_booster
from filiera.model.contributions import Contributions, contributions
from filiera.model.contributions_summary import MOST_ROWS, drawn_rows, one_row, summary
from filiera.model.contributions_text import (
    contributions_document,
    row_data,
    row_document,
    row_parts,
    summary_data,
    summary_table,
)  # fmt: skip
from filiera.model.tree_shares import tree_contributions

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)  # fmt: skip
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: E402

NUMBERS = ["a", "b", "c"]


def rows(seed: int = 0, n: int = 120) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    frame = pl.DataFrame({name: source.normal(size=n).round(2) for name in NUMBERS})
    frame = frame.with_columns(kind=pl.Series(source.choice(["x", "y", "z"], n)))
    number = (frame["a"] + frame["b"] * frame["c"]).to_numpy() + 2 * (frame["kind"] == "x").to_numpy()
    return frame.with_columns(
        number=pl.Series(number),
        count=pl.Series(np.abs(number).round()),
        two=pl.Series(np.where(number > 0, "yes", "no")),
        three=pl.Series(np.where(number > 1, "high", np.where(number < -0.5, "low", "middle"))),
    )


def piped(last: Any) -> Any:
    encoder = OneHotEncoder(sparse_output=False)
    return make_pipeline(make_column_transformer((encoder, ["kind"]), remainder=StandardScaler()), last)


MODELS: dict[str, tuple[Any, str, str]] = {
    "a linear one": (lambda: LinearRegression(), "number", "answer"),
    "one with a link": (lambda: PoissonRegressor(), "count", "score"),
    "two classes": (lambda: LogisticRegression(), "two", "log-odds"),
    "three classes": (lambda: LogisticRegression(), "three", "score"),
    "a tree": (lambda: DecisionTreeRegressor(max_depth=5, random_state=0), "number", "answer"),
    "a tree of classes": (lambda: DecisionTreeClassifier(max_depth=3, random_state=0), "two", "probability"),
    "a forest": (lambda: RandomForestClassifier(5, random_state=0), "three", "probability"),
    "other trees": (lambda: ExtraTreesRegressor(5, random_state=0), "number", "answer"),
    "boosted numbers": (lambda: GradientBoostingRegressor(n_estimators=5, random_state=0), "number", "answer"),
    "two boosted classes": (lambda: GradientBoostingClassifier(n_estimators=5, random_state=0), "two", "log-odds"),
    "three boosted classes": (lambda: GradientBoostingClassifier(n_estimators=5, random_state=0), "three", "score"),
}


def computed(model: Any, of: Any) -> Any:
    """Return what a model of scikit-learn computes before it answers, shape ``(n, outputs)``."""
    if isinstance(model, PoissonRegressor):
        return np.log(model.predict(of))[:, None]
    ways = ("decision_function", "predict_proba", "predict")
    found = np.asarray(next(getattr(model, name) for name in ways if hasattr(model, name))(of)).reshape(of.height, -1)
    return found[:, 1:] if found.shape[1] == 2 else found


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("is_piped", [False, True])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000))
def test_they_add_up_to_what_was_computed(name: str, is_piped: bool, seed: int) -> None:
    """For models of scikit-learn, also behind steps that make columns of texts and scale numbers."""
    make, target, unit = MODELS[name]
    table = rows(seed)
    inputs = table[[*NUMBERS, "kind"] if is_piped else NUMBERS]
    model = (piped(make()) if is_piped else make()).fit(inputs, table[target].to_numpy())
    found = contributions(model, rows(seed + 1)[inputs.columns])
    asked = rows(seed + 1)[inputs.columns]
    assert (found.inputs, found.unit) == (tuple(inputs.columns), unit)
    last = model.steps[-1][1] if is_piped else model
    raw = np.log(model.predict(asked))[:, None] if isinstance(last, PoissonRegressor) else computed(model, asked)
    assert np.abs(found.base + found.values.sum(axis=1) - raw).max() < 1e-9
    assert len(found.outputs) == raw.shape[1]


@pytest.mark.parametrize("target", ["number", "two", "three"])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000))
def test_boosted_trees_tell_theirs(target: str, seed: int) -> None:
    """To the last digits of the numbers they compute in: of 32 bits for XGBoost, of 64 for LightGBM."""
    xgboost, lightgbm = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    table, asked = rows(seed), rows(seed + 1)[NUMBERS]
    truth = table[target].to_numpy() if target == "number" else table[target].rank("dense").to_numpy().astype(int) - 1
    kinds = ("XGBRegressor", "LGBMRegressor") if target == "number" else ("XGBClassifier", "LGBMClassifier")
    unit = {"number": "answer", "two": "log-odds", "three": "score"}[target]
    ours = getattr(xgboost, kinds[0])(n_estimators=5, max_depth=3, n_jobs=1).fit(table[NUMBERS], truth)
    found = contributions(ours, asked)
    raw = ours.predict(asked, output_margin=True).reshape(asked.height, -1)
    assert np.allclose(found.base + found.values.sum(axis=1), raw, rtol=1e-6, atol=2e-6) and found.unit == unit
    theirs = getattr(lightgbm, kinds[1])(n_estimators=5, n_jobs=1, verbose=-1).fit(table[NUMBERS], truth)
    found = contributions(theirs, asked)
    raw = theirs.predict(asked, raw_score=True).reshape(asked.height, -1)
    assert np.allclose(found.base + found.values.sum(axis=1), raw, rtol=0, atol=1e-9) and found.unit == unit


def test_bare_boosters_and_those_behind_steps_tell_theirs() -> None:
    """By the names of the inputs; classes by their labels."""
    xgboost, lightgbm = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    table = rows()
    classes = table["three"].rank("dense").to_numpy() - 1
    settings_ = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    bare = xgboost.train(settings_, xgboost.DMatrix(table[NUMBERS], classes), 3)
    found = contributions(from_booster(bare, classes=["high", "low", "middle"]), table)
    assert (found.outputs, found.values.shape) == (("high", "low", "middle"), (120, 3, 3))
    data = lightgbm.Dataset(table[NUMBERS].to_arrow(), table["number"].to_numpy())
    other = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 3)
    assert contributions(from_booster(other), table).unit == "answer"
    whole = piped(xgboost.XGBRegressor(n_estimators=3, n_jobs=1)).fit(table[[*NUMBERS, "kind"]], table["number"])
    assert contributions(whole, table).inputs == (*NUMBERS, "kind")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), depth=st.integers(1, 7), gaps=st.booleans())
def test_trees_have_shapley_values(seed: int, depth: int, gaps: bool) -> None:
    """They are the mean, over all orders in which columns become known, of what a column changes; gaps have a side."""
    source = np.random.default_rng(seed)
    points = source.integers(0, 4, size=(40, 4)).astype(float)
    if gaps:
        points[source.random(points.shape) < 0.2] = np.nan
    weights = source.integers(0, 3, size=40) + (np.arange(40) == 0)
    tree = DecisionTreeRegressor(max_depth=depth, random_state=0)
    tree.fit(points, source.normal(size=40), sample_weight=weights)
    base, found = tree_contributions(tree.tree_, points[:3])
    assert base[0] == pytest.approx(_known(tree.tree_, points[0], frozenset()), abs=1e-9)
    for row, values in zip(points[:3], found[:, :, 0], strict=True):
        assert values == pytest.approx([_shapley(tree.tree_, row, column) for column in range(4)], abs=1e-9)


def _shapley(tree: Any, row: Any, column: int) -> float:
    others = [other for other in range(4) if other != column]
    return sum(
        math.factorial(size) * math.factorial(3 - size) / math.factorial(4)
        * (_known(tree, row, {*known, column}) - _known(tree, row, set(known)))
        for size in range(4)
        for known in itertools.combinations(others, size)
    )  # fmt: skip


def _known(tree: Any, row: Any, known: Any, node: int = 0) -> float:
    """Return what a tree answers in the mean when only some columns of a row are known."""
    left, right = tree.children_left[node], tree.children_right[node]
    if left < 0:
        return float(tree.value[node, 0, 0])
    value = row[tree.feature[node]]
    if tree.feature[node] in known:
        goes_left = tree.missing_go_to_left[node] if np.isnan(value) else np.float32(value) <= tree.threshold[node]
        return _known(tree, row, known, left if goes_left else right)
    weights = tree.weighted_n_node_samples
    parts = [weights[child] / weights[node] * _known(tree, row, known, child) for child in (left, right)]
    return sum(parts)


def test_categories_that_no_row_has_belong_to_their_input() -> None:
    """A column that never changes is told by its name: one row alone gets the parts that it gets among many."""
    table = rows()
    inputs = [*NUMBERS, "kind"]
    for last in (DecisionTreeRegressor(max_depth=6, random_state=0), LinearRegression()):
        model = piped(last).fit(table[inputs], table["number"].to_numpy())
        many = contributions(model, table)
        some = contributions(model, table.filter(pl.col("kind") == "y"), background=table)
        assert np.allclose(some.values, many.values[(table["kind"] == "y").to_numpy()])
    tree = piped(DecisionTreeRegressor(max_depth=6, random_state=0)).fit(table[inputs], table["number"].to_numpy())
    assert np.allclose(contributions(tree, table[:1]).values[0], contributions(tree, table).values[0])


def test_linear_models_compare_with_the_mean() -> None:
    """Each input adds its slope times how far it is from the mean of the background."""
    table = rows()
    model = LinearRegression().fit(table[NUMBERS], table["number"])
    found = contributions(model, table[:5], background=table)
    away = table[:5, NUMBERS].to_numpy() - table[NUMBERS].to_numpy().mean(axis=0)
    assert np.allclose(found.values[:, :, 0], away * model.coef_)
    assert found.base[0] == pytest.approx(model.predict(table[NUMBERS]).mean())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (HistGradientBoostingRegressor(max_iter=2), "is not known of a sklearn.ensemble._hist"),
        (make_pipeline(PCA(2), LinearRegression()), "made of several"),
        (GradientBoostingRegressor(n_estimators=2, init=LinearRegression()), "begin with a model of their own"),
    ],
)
def test_what_is_not_known_is_refused(model: Any, words: str) -> None:
    """With what can be asked instead."""
    table = rows()
    with pytest.raises(UsageError, match=words):
        contributions(model.fit(table[NUMBERS], table["number"].to_numpy()), table)


def test_no_rows_have_no_contributions() -> None:
    """That is told."""
    table = rows()
    with pytest.raises(UsageError, match="no rows"):
        contributions(LinearRegression().fit(table[NUMBERS], table["number"]), table.clear())


def test_a_summary_says_how_much_and_which_way() -> None:
    """The mean size, the most first, and the direction; of what is hidden nothing but the size."""
    table = rows(0, 300).with_columns(number=3 * pl.col("a") - pl.col("b"))
    model = LinearRegression().fit(table[NUMBERS], table["number"])
    found = summary(model, table[NUMBERS], hidden=("b",))
    assert [one.name for one in found.inputs] == ["a", "b", "c"]
    assert found.inputs[0].directions == (pytest.approx(1.0),) and found.inputs[1].directions == (None,)
    assert all(place is None for _, place in found.inputs[1].points)
    header, lines = summary_table(found)
    assert header == ("input", "adds", "higher values") and lines[0][::2] == ("a", "raise it") and lines[1][2] == ""
    document = contributions_document(found)
    assert document.sections[0].drawings[0].text.count("<circle") == 3 * 300 + 2
    assert "points" not in summary_data(found)["inputs"][0]


def test_a_summary_of_several_classes_has_a_column_for_each() -> None:
    """And bars in place of points."""
    table = rows()
    model = RandomForestClassifier(3, random_state=0).fit(table[NUMBERS], table["three"].to_numpy())
    found = summary(model, table[NUMBERS])
    assert summary_table(found)[0] == ("input", "high", "low", "middle")
    text = contributions_document(found).markdown
    assert "probability of each class" in text and "high 0." in text


def test_of_many_rows_some_are_drawn() -> None:
    """Always the same."""
    table = rows(0, 700)
    model = LinearRegression().fit(table[NUMBERS], table["number"])
    assert drawn_rows(model, table).height == MOST_ROWS and drawn_rows(model, table).equals(drawn_rows(model, table))
    assert drawn_rows(model, table[:20]).equals(table[:20, NUMBERS])


def test_a_row_is_found_by_some_of_its_values_or_given_whole() -> None:
    """As JSON says them; what it does not say, or says of several rows, is told."""
    table = rows(0, 10).with_columns(id=pl.int_range(10), day=pl.date_range(dt.date(2026, 1, 1), dt.date(2026, 1, 10)))
    model = LinearRegression().fit(table[NUMBERS], table["number"])
    assert one_row(model, table, {"id": 3}).equals(table[3:4, NUMBERS])
    assert one_row(model, table, {"day": "2026-01-05"}).equals(table[4:5, NUMBERS])
    assert one_row(model, table, {"a": 1, "b": 2, "c": 3, "id": "no matter"}).row(0) == (1.0, 2.0, 3.0)
    same = pl.concat([table[:1], table[:1]])
    assert one_row(model, same, {"id": 0}).height == 1
    for given_, words in (
        ({"id": 77}, "0 of the 10 rows"),
        ({"kind": table["kind"].mode()[0]}, "one is asked about"),
        ({"idd": 3}, "Did you mean 'id'"),
        ({"id": "three"}, "not of its column's type"),
        ({"day": "yesterday"}, "not of its column's type"),
    ):
        with pytest.raises(UsageError) as refused:
            one_row(model, table, given_)
        assert words in str(refused.value)


def test_one_answer_is_told_by_its_parts() -> None:
    """Of the class that was answered; what is largest comes first."""
    table = rows()
    model = RandomForestClassifier(5, random_state=0).fit(table[NUMBERS], table["three"].to_numpy())
    found: Contributions = contributions(model, table[:1])
    answer = str(model.predict(table[:1, NUMBERS])[0])
    base, result, parts, what = row_parts(found, answer)
    assert what == f"probability of {answer}" and result == pytest.approx(base + sum(added for _, added in parts))
    assert result == pytest.approx(model.predict_proba(table[:1, NUMBERS]).max())
    assert [abs(added) for _, added in parts] == sorted((abs(added) for _, added in parts), reverse=True)
    values = table[:1, NUMBERS].row(0, named=True)
    assert f"It answers {answer}." in row_document(found, values, answer, title="m@1").markdown
    assert [one["output"] for one in row_data(found, values, answer)["outputs"]] == ["high", "low", "middle"]
