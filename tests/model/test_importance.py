"""How much worse a model gets without what an input tells."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model import importance as module
from filiera.model.evaluation import AnomalyDetection, Design, Forecasting, Ranking, evaluate
from filiera.model.importance import Importance, Permuting, permutation_importance, permuted
from filiera.model.importance_text import importance_document
from filiera.model.question import question, question_again

np = pytest.importorskip("numpy")
pytest.importorskip("pandas")
pytest.importorskip("sklearn")
from sklearn.inspection import permutation_importance as reference  # noqa: E402
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: E402

INPUTS = ["a", "b", "c"]
SCORERS = {
    "accuracy": "accuracy", "f1_macro": "f1_macro", "balanced_accuracy": "balanced_accuracy", "roc_auc": "roc_auc",
    "log_loss": "neg_log_loss",
    "mae": "neg_mean_absolute_error", "rmse": "neg_root_mean_squared_error", "r2": "r2",
}  # fmt: skip


def rows(seed: int = 0, n: int = 200, *, labels: bool = True) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    frame = pl.DataFrame({name: source.normal(size=n) for name in INPUTS})
    number = frame["a"].to_numpy() + 0.5 * frame["b"].to_numpy() + source.normal(size=n)
    return frame.with_columns(y=pl.Series(np.where(number > 0, "yes", "no") if labels else number))


def tree(of: pl.DataFrame, *, labels: bool = True) -> Any:
    kind = DecisionTreeClassifier if labels else DecisionTreeRegressor
    return kind(max_depth=4, random_state=0).fit(of[INPUTS], of["y"].to_numpy())


class Linear:
    """Answers a plus a fifth of b."""

    feature_names_in_ = INPUTS

    def predict(self, of: pl.DataFrame) -> Any:
        return of["a"].to_numpy() + 0.2 * of["b"].to_numpy()


@settings(max_examples=15, deadline=None)
@given(metric=st.sampled_from(sorted(SCORERS)), seed=st.integers(0, 1000), repeats=st.integers(1, 4))
def test_values_are_those_of_scikit_learn(metric: str, seed: int, repeats: int) -> None:
    """With the same permutations, each repeat of each input, for metrics of labels, probabilities and numbers."""
    labels = metric not in ("mae", "rmse", "r2")
    table = rows(seed, 80, labels=labels)
    model = tree(rows(seed + 1, 80, labels=labels), labels=labels)
    theirs = reference(
        model,
        table[INPUTS].to_pandas(),
        table["y"].to_numpy(),
        scoring=SCORERS[metric],
        n_repeats=repeats,
        random_state=seed,
    )
    # scikit-learn begins anew for each column, and shuffles what it has shuffled before.
    shuffler = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    order, now, orders = np.arange(table.height), np.arange(table.height), []
    for _ in range(repeats):
        shuffler.shuffle(order)
        now = now[order]
        orders.append(now)
    how = Permuting(metric=metric, repeats=repeats)
    base, ours = permuted(model, question(model, table, target="y"), how, np.stack(orders), tell=lambda line: None)
    assert base == evaluate(model, table, target="y").metrics[metric]
    for one in ours:
        place = INPUTS.index(one.columns[0])
        assert one.repeats == pytest.approx(theirs.importances[place].tolist(), abs=1e-9)
        assert one.value == pytest.approx(theirs.importances_mean[place], abs=1e-9)
        assert one.low <= one.value <= one.high


def test_it_is_the_same_each_time_and_its_order_is_by_importance() -> None:
    """The seed decides; another one gives other values."""
    model = tree(rows())
    first, again = (permutation_importance(model, rows(1), target="y") for _ in range(2))
    other = permutation_importance(model, rows(1), target="y", how=Permuting(seed=1))
    assert first == again and first.inputs != other.inputs and first.rows == other.rows
    assert [one.value for one in first.inputs] == sorted((one.value for one in first.inputs), reverse=True)
    assert first.inputs[0].name == "a" and first.baseline.name == first.how.metric == "f1_macro"


def test_intervals_hold_the_importance_on_endlessly_many_rows() -> None:
    """About 95 of 100 do, of an input that matters much and of one that matters little; one without use has 0 to 0."""
    _covers("mae", draws=60, least=0.85)


@pytest.mark.campaign
@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_intervals_hold_it_as_often_as_they_say(metric: str) -> None:
    """From 94 to 99 of 100 do: the share of chance that lies in the permutations is counted twice."""
    _covers(metric, draws=1500, least=0.94)


def _covers(metric: str, *, draws: int, least: float) -> None:
    how = Permuting(metric=metric)
    many = [permutation_importance(Linear(), rows(s, 10_000, labels=False), target="y", how=how) for s in range(10)]
    hits = dict.fromkeys("ab", 0)
    for seed in range(draws):
        few = rows(1000 + seed, 150, labels=False)
        found = permutation_importance(Linear(), few, target="y", how=Permuting(metric=metric, seed=seed))
        assert (found.of("c").low, found.of("c").high) == (0, 0)
        for name in hits:
            true = np.mean([each.of(name).value for each in many])
            hits[name] += found.of(name).low <= true <= found.of(name).high
    assert all(least <= hit / draws <= 1 for hit in hits.values()), hits


def test_inputs_that_say_the_same_share_their_importance() -> None:
    """A note names them; permuted together they matter as the one did alone, and the note is gone."""
    table = rows(0, 400).with_columns(twin=pl.col("a"))

    class Both(Linear):
        feature_names_in_ = (*INPUTS, "twin")
        classes_ = np.array(["no", "yes"])

        def predict(self, of: pl.DataFrame) -> Any:
            return np.where((of["a"] + of["twin"]).to_numpy() > 0, "yes", "no")

    apart = permutation_importance(Both(), table, target="y")
    assert "a,twin" in apart.notes[0]
    together = permutation_importance(Both(), table, target="y", how=Permuting(groups=(("a", "twin"),)))
    assert together.notes == ()
    assert together.of("a", "twin").value > 1.5 * max(apart.of("a").value, apart.of("twin").value)
    assert [one.name for one in together.inputs] == ["a, twin", "b", "c"]


def test_clusters_make_intervals_wide() -> None:
    """Ten copies of each row are known as the rows were once."""
    table = rows(0, 60).with_columns(host=pl.int_range(pl.len()))
    copies = pl.concat([table] * 10)
    model = tree(rows(1))
    alone = permutation_importance(model, copies, target="y").of("a")
    hanging = permutation_importance(model, copies, target="y", how=Permuting(clusters="host")).of("a")
    assert hanging.value == alone.value
    assert hanging.high - hanging.low > 2 * (alone.high - alone.low)


def test_what_has_no_truth_is_asked_what_its_answers_rest_on() -> None:
    """Of clusters and anomalies the answers to the rows as they are stand for it: at first all agree."""
    from sklearn.cluster import KMeans
    from sklearn.ensemble import IsolationForest

    table = rows(0, 300)[INPUTS].with_columns(a=pl.col("a") * 9)
    clusters = permutation_importance(
        KMeans(2, n_init=1, random_state=0).fit(table), table, task="clustering", how=Permuting(repeats=2)
    )
    assert clusters.baseline.value == 1 and clusters.baseline.name == "adjusted_rand"
    assert clusters.inputs[0].name == "a" and "No truth is known" in clusters.notes[0]
    forest = IsolationForest(n_estimators=20, random_state=0).fit(table)
    found = permutation_importance(forest, table, task=AnomalyDetection(), how=Permuting(repeats=2))
    assert found.baseline.value == 1 and all(one.value > 0 for one in found.inputs)
    known = table.with_columns(bad=pl.col("a").abs() > 20)
    assert permutation_importance(forest, known, target="bad", task=AnomalyDetection()).baseline.value < 1


def test_a_forecaster_is_asked_about_its_covariates() -> None:
    """Not about the time, which says what is asked for."""

    class Forecaster:
        feature_names_in_ = ("day", "rain")

        def predict(self, of: pl.DataFrame) -> Any:
            return of["day"].to_numpy() * 0.1 + of["rain"].to_numpy()

    days = pl.DataFrame({"day": range(60)}).with_columns(rain=(pl.col("day") * 37 % 10).cast(pl.Float64))
    days = days.with_columns(y=pl.col("day") * 0.1 + pl.col("rain"))
    found = permutation_importance(Forecaster(), days, target="y", task=Forecasting(time="day"))
    assert [one.name for one in found.inputs] == ["rain"] and found.notes[0].startswith("Not permuted: day")
    assert (found.baseline.name, found.baseline.value) == ("mae", 0) and found.inputs[0].low > 0


def test_probabilities_are_asked_for_only_where_the_metric_needs_them() -> None:
    """Permuted rows cost no more than they must."""
    model, asked = tree(rows()), []

    class Counted:
        feature_names_in_, classes_, predict = INPUTS, model.classes_, model.predict

        def predict_proba(self, of: pl.DataFrame) -> Any:
            asked.append(of.height)
            return model.predict_proba(of)

    permutation_importance(Counted(), rows(1), target="y")
    assert len(asked) == 1
    permutation_importance(Counted(), rows(1), target="y", how=Permuting(metric="log_loss", repeats=1))
    assert len(asked) == 5


def test_of_many_rows_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that is said."""
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    found = permutation_importance(tree(rows()), rows(1), target="y")
    assert found.baseline.n == 50 and found.notes[0] == "Measured on 50 of 200 rows, drawn with seed 0."


def test_texts_and_missing_values_are_permuted_as_they_are() -> None:
    """A column of any type is dealt out anew, also when it is the only one."""

    class Length:
        feature_names_in_ = ("word",)

        def predict(self, of: pl.DataFrame) -> Any:
            return of["word"].fill_null("").str.len_chars().cast(pl.Float64).to_numpy()

    words = pl.DataFrame({"word": ["a", None, "ccc", "dddd"] * 10}).with_columns(
        y=pl.col("word").fill_null("").str.len_chars().cast(pl.Float64)
    )
    found = permutation_importance(Length(), words, target="y")
    assert found.baseline.value == 0 and found.inputs[0].low > 0 and found.notes == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"target": "z"}, "There is no column 'z'"),
        ({"target": "y", "how": Permuting(clusters="z")}, "There is no column 'z'"),
        ({"target": "y", "how": Permuting(metric="f1")}, "Importance cannot be measured by 'f1'"),
        ({"target": "y", "how": Permuting(groups=(("a", "x"),))}, "There is no input 'x' to permute"),
        ({"target": "y", "task": Ranking(query="c")}, "not defined for a ranking"),
        ({}, "needs the truth"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any], words: str) -> None:
    """With what there is instead."""
    with pytest.raises(UsageError, match=words):
        permutation_importance(tree(rows()), rows(1), **wrong)


def test_ways_of_permuting_are_checked() -> None:
    """Before anything is asked."""
    for wrong in ({"repeats": 0}, {"groups": [["a"], ["a", "b"]]}, {"groups": [[]]}):
        with pytest.raises(UsageError):
            Permuting(**wrong)
    with pytest.raises(UsageError, match="One row"):
        permutation_importance(tree(rows()), rows(1)[:1], target="y")
    with pytest.raises(UsageError, match="polars DataFrame"):
        permutation_importance(tree(rows()), {"a": [1]}, target="y")  # type: ignore[arg-type]


def test_a_model_that_refuses_strange_rows_is_told() -> None:
    """What must fit together should be permuted together."""

    class Picky(Linear):
        def predict(self, of: pl.DataFrame) -> Any:
            if (of["b"] != of["a"] * 2).any():
                raise ValueError("b is twice a")
            return super().predict(of)

    table = rows(labels=False).with_columns(b=pl.col("a") * 2)
    with pytest.raises(UsageError, match="a is permuted: b is twice a") as refused:
        permutation_importance(Picky(), table, target="y")
    assert "--group A,B" in refused.value.do
    assert permutation_importance(Picky(), table, target="y", how=Permuting(groups=(("a", "b"),))).inputs[0].value > 0


def test_an_evaluation_is_asked_again() -> None:
    """What it kept is the truth: the importance is the one with the column, clusters included; other rows are told."""
    model, table = tree(rows()), rows(1).with_columns(host=pl.int_range(pl.len()) // 4)
    kept = evaluate(model, table, target="y", design=Design(clusters="host"))
    how = Permuting(clusters="host")
    direct = permutation_importance(model, table, target="y", how=how)
    again = module.importance_of(model, question_again(model, table, kept), how)
    assert again == direct
    for other in (table[:-1], table.reverse()):
        with pytest.raises(UsageError, match="of other rows"):
            question_again(model, other, kept)


def test_forecasts_and_anomalies_are_asked_again() -> None:
    """By the times, the series and the flags that were kept."""

    class Forecaster:
        feature_names_in_ = ("day", "shop", "rain")

        def predict(self, of: pl.DataFrame) -> Any:
            return of["rain"].to_numpy()

    days = pl.DataFrame({"day": [*range(30)] * 2, "shop": ["x"] * 30 + ["y"] * 30})
    days = days.with_columns(rain=(pl.col("day") * 37 % 10).cast(pl.Float64)).with_columns(y=pl.col("rain") + 1)
    kept = evaluate(Forecaster(), days, target="y", task=Forecasting(time="day", series="shop"))
    asked = question_again(Forecaster(), days, kept)
    assert asked.fixed == ("day", "shop")
    assert [one.name for one in module.importance_of(Forecaster(), asked).inputs] == ["rain"]

    from sklearn.ensemble import IsolationForest

    table = rows(0, 100)[INPUTS]
    forest = IsolationForest(n_estimators=10, random_state=0).fit(table)
    kept = evaluate(forest, table, target="", task=AnomalyDetection())
    assert "No truth is known" in question_again(forest, table, kept).notes[0]


def test_a_document_says_all_of_it() -> None:
    """Each input with its interval and what that says, the notes, and a drawing; the head says which way is worse."""
    found: Importance = permutation_importance(Linear(), rows(labels=False), target="y")
    document = importance_document(found, title="m@1")
    assert "| input | mae rises by | 95 % interval      |" in document.markdown
    assert "| matters" in document.markdown and "| changes no answer |" in document.markdown
    assert document.sections[0].drawings[0].text.count("<circle") == 3
