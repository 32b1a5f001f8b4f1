"""A model, rows and a target make an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from filiera.errors import UsageError
from filiera.model.evaluation import AnomalyDetection, Design, Forecasting, Ranking, evaluate
from filiera.model.metrics.classification import classification_metrics
from filiera.model.metrics.clustering import clustering_metrics
from filiera.model.metrics.regression import regression_metrics

INPUTS = ["packets", "rate"]


def flows(n: int = 200, seed: int = 0) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    packets, rate = source.integers(1, 500, size=n), source.random(n)
    is_attack = packets + 200 * source.normal(size=n) > 300
    return pl.DataFrame(
        {
            "flow": [f"f{seed}-{i}" for i in range(n)],
            "packets": packets,
            "rate": rate,
            "label": np.where(is_attack, "dos", "normal"),
            "bytes": 3.0 * packets + source.normal(size=n),
        }
    )


def classifier() -> Any:
    train = flows(seed=1)
    return LogisticRegression(max_iter=1000).fit(train.select(INPUTS), train["label"])


def test_a_classification_is_measured_and_kept_row_by_row() -> None:
    """The metrics are those of the answers; the rows hold truth, answer and the probability of each class."""
    rows, model = flows(), classifier()
    found = evaluate(model, rows, target="label")
    table = model.predict_proba(rows.select(INPUTS))
    expected = classification_metrics(
        rows["label"], model.predict(rows.select(INPUTS)), probabilities=table, labels=["dos", "normal"]
    )
    assert found.metrics == expected
    assert found.rows.columns == ["row", "truth", "predicted", "p:dos", "p:normal"]
    assert found.rows["truth"].equals(rows["label"].alias("truth"))
    assert found.rows["p:normal"].to_list() == table[:, 1].tolist()
    assert found.rows["row"].n_unique() == rows.height


def test_a_regression_is_measured_and_kept_row_by_row() -> None:
    """A model without classes is asked for numbers."""
    rows = flows()
    model = LinearRegression().fit(rows.select(INPUTS), rows["bytes"])
    found = evaluate(model, rows, target="bytes", design=Design(seed=3))
    assert found.metrics == regression_metrics(rows["bytes"], model.predict(rows.select(INPUTS)), seed=3)
    assert found.rows.columns == ["row", "truth", "predicted"]


def test_two_evaluations_know_their_common_rows() -> None:
    """Rows are joined by their content, whatever else was evaluated, or by the columns that name them."""
    rows, model = flows(), classifier()
    whole, part = evaluate(model, rows, target="label"), evaluate(model, rows[50:].reverse(), target="label")
    joined = whole.rows.join(part.rows, on="row")
    assert joined.height == 150
    assert joined["predicted"].equals(joined["predicted_right"].alias("predicted"))
    key = Design(key=("flow",))
    wider = evaluate(model, rows.with_columns(more=pl.lit(1)), target="label", design=key)
    assert set(wider.rows["row"]) == set(evaluate(model, rows, target="label", design=key).rows["row"])
    assert set(wider.rows["row"]).isdisjoint(whole.rows["row"])


def test_a_class_that_was_not_learnt_is_always_wrong() -> None:
    """Its rows count, with probability 0, and a note says so."""
    rows = flows().with_columns(label=pl.when(pl.col("packets") > 480).then(pl.lit("worm")).otherwise("label"))
    found = evaluate(classifier(), rows, target="label")
    worm = next(score for score in found.metrics.classes if score.label == "worm")
    assert (worm.rows, worm.correct) == ((rows["label"] == "worm").sum(), 0)
    assert "'worm'" in found.metrics.notes[-1]
    assert found.rows.columns == ["row", "truth", "predicted", "p:dos", "p:normal"]


def test_slices_are_measured_apart() -> None:
    """Each value of a column, and each quarter of a number's range, has the metrics of its rows alone."""
    rows = flows().with_columns(host=pl.Series([f"h{i % 3}" for i in range(200)]))
    found = evaluate(classifier(), rows, target="label", design=Design(slices=("host", "packets")))
    assert [each.column for each in found.slices] == ["host"] * 3 + ["packets"] * 4
    alone = evaluate(classifier(), rows.filter(host="h1"), target="label").metrics
    assert found.of("host", "h1") == alone
    assert sum(each.metrics["accuracy"].n for each in found.slices[3:]) == 200
    assert found.rows.columns[-2:] == ["host", "packets"]


def test_clusters_widen_the_intervals() -> None:
    """Rows of one host that are wrong together say less than as many hosts would."""
    rows = pl.concat([flows(100)] * 4).with_columns(host=pl.Series([f"h{i}" for i in range(100)] * 4))
    apart = evaluate(classifier(), rows, target="label")
    together = evaluate(classifier(), rows, target="label", design=Design(clusters="host"))
    assert together.clusters == "host"
    for one, other in zip(apart.metrics, together.metrics, strict=True):
        assert one.value == other.value
        assert other.high - other.low > 1.5 * (one.high - one.low)


def test_a_clustering_is_measured_where_its_last_step_sees_the_rows() -> None:
    """Scaled rows are what distances are taken between; labels are compared where they are known."""
    rows = flows()
    model = make_pipeline(StandardScaler(), KMeans(3, random_state=0, n_init=1)).fit(rows.select(INPUTS))
    found = evaluate(model, rows, target="label", task="clustering")
    scaled = model[:-1].transform(rows.select(INPUTS))
    clusters = model.predict(rows.select(INPUTS))
    assert found.metrics == clustering_metrics(scaled, clusters, truth=rows["label"])
    assert found.rows.columns == ["row", "truth", "predicted", "silhouette"]
    bare = evaluate(model, rows, target="", task="clustering")
    assert bare.metrics == clustering_metrics(scaled, clusters)
    assert bare.rows["silhouette"].mean() == pytest.approx(bare.metrics["silhouette"].value)


class Answers:
    """A model without names of inputs or classes."""

    def predict(self, rows: pl.DataFrame) -> list[str]:
        assert rows.columns == ["x"]
        return ["a"] * rows.height


def test_a_model_may_say_nothing_of_itself() -> None:
    """It is asked with all columns but the target, and has no probabilities."""
    found = evaluate(Answers(), pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}), target="y", task="classification")
    assert found.metrics["accuracy"].value == 0.5
    assert found.rows.columns == ["row", "truth", "predicted"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"design": Design(slices=("host",))}, "no column 'host' to make slices by"),
        ({"design": Design(clusters="host")}, "no column 'host' to take as clusters"),
        ({"rows": flows().with_columns(truth=1), "design": Design(slices="truth")}, "'truth' has a name"),
        ({"target": "", "task": "regression"}, "column with the truth"),
        ({"target": "labels"}, "no column 'labels' to take as the target"),
        ({"design": Design(key=("id",))}, "no column 'id' to name rows by"),
        ({"rows": flows().drop("rate")}, "no column 'rate' to take as an input"),
        ({"rows": flows().to_pandas()}, "takes a polars DataFrame, not DataFrame"),
        ({"rows": flows().clear()}, "no rows to evaluate"),
        ({"rows": flows().with_columns(label=None)}, "missing values"),
        ({"model": object()}, "no predict"),
        ({"task": "alchemy"}, "'alchemy'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_explained(change: dict[str, Any], words: str) -> None:
    """Each impossible input has one clear message."""
    given = {"model": classifier(), "rows": flows(), "target": "label", **change}
    with pytest.raises(UsageError) as caught:
        evaluate(given.pop("model"), given.pop("rows"), **given)
    assert words in str(caught.value)


class Lines:
    """A model that answers what a column says."""

    feature_names_in_ = ("guess",)

    def predict(self, rows: pl.DataFrame) -> pl.Series:
        return rows["guess"]


class Ranges(Lines):
    """One that also says between what the truth will lie."""

    def predict_quantiles(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select((pl.col("guess") + 1).alias("0.9"), (pl.col("guess") - 1).alias("0.1"))


def test_a_ranking_is_measured_by_its_queries() -> None:
    """The column of queries is needed and kept."""
    rows = pl.DataFrame({"q": ["a", "a", "b", "b"], "guess": [1.0, 2.0, 3.0, 1.0], "good": [0, 1, 1, 0]})
    found = evaluate(Lines(), rows, target="good", task=Ranking(query="q", k=2))
    assert (found.metrics.task, found.metrics["ndcg_at_2"].value, found.metrics["mrr"].n) == ("ranking", 1.0, 2)
    assert found.rows.columns == ["row", "truth", "score", "query"]
    with pytest.raises(UsageError, match="no column 'query' to evaluate by"):
        evaluate(Lines(), rows, target="good", task=Ranking(query="query"))


def hours() -> pl.DataFrame:
    source = np.random.default_rng(0)
    load = 10 + 5 * np.sin(np.arange(96) * np.pi / 12) + source.normal(size=96)
    frame = pl.DataFrame({"hour": list(range(96)) * 2, "link": ["a"] * 96 + ["b"] * 96, "load": [*load, *(3 * load)]})
    guess = [*(load + source.normal(size=96) / 2), *(3 * load + 1)]
    return frame.with_columns(guess=pl.Series(guess))


def test_a_forecast_is_measured_against_the_last_season() -> None:
    """Each series has its own past; blocks of time are resampled, and quantiles are kept."""
    rows = hours()
    history, test = rows.filter(pl.col("hour") < 48), rows.filter(pl.col("hour") >= 48).sample(96, shuffle=True, seed=1)
    task = Forecasting(time="hour", series="link", season=24, history=history)
    found = evaluate(Ranges(), test, target="load", task=task)
    assert found.metrics.task == "forecasting"
    assert set(found.metrics.names) >= {"mae", "rmse", "smape", "mase", "rmsse", "pinball", "coverage_80", "width_80"}
    assert found.rows.columns[1:] == ["truth", "predicted", "q:0.1", "q:0.9", "naive", "time", "series"]
    expected = history.filter(pl.col("hour") >= 24).with_columns(pl.col("hour") % 24)
    joined = test.with_columns(h=pl.col("hour") % 24).join(
        expected.select("link", h="hour", naive="load"), on=["link", "h"], maintain_order="left"
    )
    assert found.rows["naive"].to_list() == joined["naive"].to_list()
    assert found.metrics["mase"].baseline is not None and found.metrics["mase"].high < found.metrics["mase"].baseline
    assert "blocks" in found.metrics["mae"].method
    bare = evaluate(Lines(), test, target="load", task=Forecasting(time="hour"))
    assert bare.metrics.names == ("mae", "rmse", "smape")
    assert "No history" in bare.metrics.notes[-1]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Forecasting(time="day"), "no column 'day'"),
        (Forecasting(time="hour", history=hours().drop("load")), "history has no column 'load'"),
    ],
    ids=["time", "history"],
)
def test_bad_forecasts_are_explained(task: Forecasting, words: str) -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError, match=words):
        evaluate(Lines(), hours(), target="load", task=task)
    with pytest.raises(UsageError, match="season is 0"):
        Forecasting(time="hour", season=0)


def test_anomalies_are_scored_as_scikit_learn_has_them() -> None:
    """The least score of the model is the greatest here; -1 is a flag; the truth may be unknown."""
    source = np.random.default_rng(0)
    rows = pl.DataFrame({"x": [*source.normal(size=190), *(source.normal(size=10) + 6)]})
    rows = rows.with_columns(kind=pl.Series(["usual"] * 190 + ["odd"] * 10))
    model = IsolationForest(n_estimators=20, random_state=0).fit(rows.select("x"))
    found = evaluate(model, rows, target="kind", task=AnomalyDetection(positive="odd"))
    scores = -model.score_samples(rows.select("x"))
    expected = sk.average_precision_score([0] * 190 + [1] * 10, scores)
    assert found.metrics["average_precision"].value == pytest.approx(expected, abs=1e-9)
    assert found.rows["predicted"].to_list() == (model.predict(rows.select("x")) == -1).tolist()
    blind = evaluate(model, rows, target="", task=AnomalyDetection())
    assert blind.metrics.names == ("flagged_share",)
    assert blind.rows.columns == ["row", "predicted", "score"]


def test_groups_are_compared() -> None:
    """The rates of each group and their differences are part of the evaluation; who is positive must be plain."""
    rows = flows(1000).with_columns(site=pl.Series(["x", "y"] * 500))
    found = evaluate(classifier(), rows, target="label", design=Design(groups=("site",), positive="dos"))
    (fair,) = found.fairness
    assert (fair.column, fair.positive, [each.value for each in fair.groups]) == ("site", "dos", ["x", "y"])
    assert "equalized_odds_difference" in fair.differences
    share = (found.rows.filter(site="x")["predicted"] == "dos").mean()
    assert fair.groups[0].metrics["selection_rate"].value == pytest.approx(share)
    with pytest.raises(UsageError, match="'worm' is not a class"):
        evaluate(classifier(), rows, target="label", design=Design(groups=("site",), positive="worm"))
    line = LinearRegression().fit(rows.select(INPUTS), rows["bytes"])
    with pytest.raises(UsageError, match="decisions of a classifier"):
        evaluate(line, rows, target="bytes", design=Design(groups=("site",)))
