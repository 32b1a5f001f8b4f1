"""Differences of two models on the rows that both answered."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metrics
from filiera.model.metrics.classification import classification_metrics
from filiera.model.metrics.regression import regression_metrics
from filiera.model.paired import common_rows, improvement, mcnemar, paired_proportions

CLASSES = ("balanced_accuracy", "precision_macro", "recall_macro", "f1_macro", "accuracy")


def classified(n: int = 300, k: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    columns = {
        name: np.where(rng.random(n) < share, truth, rng.integers(0, k, n))
        for name, share in (("predicted", 0.8), ("predicted_champion", 0.7))
    }
    return pl.DataFrame({"row": range(n), "truth": truth, **columns, "host": truth * 7 % 5 + rng.integers(0, 9, n)})


def evaluation(rows: pl.DataFrame, **more: Any) -> Evaluation:
    return Evaluation(metrics=Metrics((), task=more.pop("task", "classification")), rows=rows, **more)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("clusters", ["", "host"])
def test_improvement_is_the_difference_of_the_metrics(name: str, clusters: str) -> None:
    """The value is that of each model alone, subtracted; the interval holds it, and 0 improvement of equals."""
    rows = classified()
    first, second = (
        classification_metrics(rows["truth"], rows[answer])[name].value
        for answer in ("predicted", "predicted_champion")
    )
    found = improvement(name, rows, clusters=clusters)
    assert found is not None
    assert found.value == pytest.approx(first - second, abs=1e-12)
    assert found.low < found.value < found.high
    assert found.n == 300


@pytest.mark.parametrize("name", CLASSES)
def test_paired_intervals_are_narrower_than_independent_ones(name: str) -> None:
    """Two models that differ in few rows are told apart far better when the rows are the same."""
    rows = classified(1000)
    same = rows.with_columns(
        predicted_champion=pl.when(pl.col("row") < 970).then("predicted").otherwise("predicted_champion")
    )
    found = improvement(name, same)
    alone = classification_metrics(rows["truth"], rows["predicted"])[name]
    assert found is not None
    assert found.high - found.low < 0.6 * (alone.high - alone.low)


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_errors_turn_their_sign(name: str) -> None:
    """A smaller error is an improvement, as is a greater share that is explained."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    rows = pl.DataFrame(
        {
            "truth": truth,
            "predicted": truth + rng.normal(size=200),
            "predicted_champion": truth + 2 * rng.normal(size=200),
        }
    )
    one, two = (regression_metrics(truth, rows[name_])[name].value for name_ in ("predicted", "predicted_champion"))
    found = improvement(name, rows)
    assert found is not None
    assert found.value == pytest.approx(abs(one - two), abs=1e-12)
    assert 0 < found.low < found.value < found.high


def scored(n: int = 200, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    first, second = (1 / (1 + np.exp(-(truth * lift + rng.normal(size=n)))) for lift in (2, 1))
    return pl.DataFrame(
        {
            "truth": truth,
            "predicted": (first > 0.5).astype(int),
            "predicted_champion": (second > 0.5).astype(int),
            "p:0": 1 - first,
            "p:1": first,
            "p:0_champion": 1 - second,
            "p:1_champion": second,
        }
    )


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_scores_are_compared_in_pairs(name: str) -> None:
    """The value is the difference of what each model alone has, its sign turned for a loss."""
    rows = scored()
    values = []
    for suffix in ("", "_champion"):
        table = rows.select(f"p:0{suffix}", f"p:1{suffix}").to_numpy()
        found = classification_metrics(rows["truth"], rows[f"predicted{suffix}"], probabilities=table, labels=[0, 1])
        values.append(found[name].value)
    better = improvement(name, rows)
    assert better is not None
    assert better.value == pytest.approx((values[0] - values[1]) * (1 if name == "roc_auc" else -1), abs=1e-12)
    assert 0 < better.low < better.value < better.high


def test_delong_equals_its_covariance_form() -> None:
    """The variance of the difference is that of both areas, less twice their covariance, from the same placements."""
    rows = scored(120, seed=3)
    positive = rows["truth"].to_numpy() == 1
    parts = []
    for name in ("p:1", "p:1_champion"):
        score = rows[name].to_numpy()
        wins = (score[positive][:, None] > score[~positive][None, :]).astype(float)
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    variance = 0.0
    for side in (0, 1):
        covariance = np.cov(parts[0][side], parts[1][side], ddof=1)
        variance += (covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) / len(parts[0][side])
    found = improvement("roc_auc", rows)
    assert found is not None
    assert found.value - found.low == pytest.approx(1.959963984540054 * variance**0.5, rel=1e-9)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 8), (8, 1), (5, 5), (40, 20)])
def test_mcnemar_is_the_exact_binomial_test(one: int, other: int) -> None:
    """As SciPy has it, for rows that only one of both answered rightly."""
    expected = binomtest(one, one + other).pvalue if one + other else 1.0
    assert mcnemar(one, other) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("cells", "ends"),
    # Newcombe (1998), table III, and the airway example of Fagerland, Lydersen and Laake (2014): rows that both, only
    # the first, only the second, and none answered rightly.
    [((36, 12, 2, 0), (0.0569, 0.3404)), ((1, 1, 7, 12), (-0.5069, -0.0256))],
)
def test_paired_proportions_are_those_published(cells: tuple[int, int, int, int], ends: tuple[float, float]) -> None:
    """The worked examples of the paper come out."""
    low, high = paired_proportions(*cells)
    assert (round(low, 4), round(high, 4)) == ends


def test_no_row_in_which_they_differ_is_no_proof() -> None:
    """Two models that agree on 60 rows may differ on the next ones: no interval is a point."""
    rows = classified(60).with_columns(predicted_champion="predicted")
    for name in CLASSES:
        found = improvement(name, rows)
        assert found is not None
        assert found.low < 0 < found.high


def test_rows_are_found_again_wherever_they_stand() -> None:
    """Rows are joined by their digests; those of one side only are left out, and so is a row with another truth."""
    rows = classified(100)
    own = rows.select("row", "truth", "predicted")
    other = rows.select("row", "truth", predicted="predicted_champion").reverse().head(80)
    both = common_rows(evaluation(own), evaluation(other))
    assert both is not None
    assert both["row"].to_list() == list(range(20, 100))
    assert both["predicted_champion"].to_list() == rows["predicted_champion"].to_list()[20:]
    relabelled = other.with_columns(truth=pl.col("truth") + 1)
    assert common_rows(evaluation(own), evaluation(relabelled)) is None


def test_too_few_common_rows_are_not_compared() -> None:
    """Fewer than 30, or fewer than half: then the evaluations are taken as independent."""
    rows = classified(100).select("row", "truth", "predicted")
    assert common_rows(evaluation(rows), evaluation(rows.head(49))) is None
    assert common_rows(evaluation(rows.head(29)), evaluation(rows)) is None
    assert common_rows(evaluation(rows), evaluation(rows, task="regression")) is None
    part = common_rows(evaluation(rows.with_columns(half=pl.col("row") % 2)), evaluation(rows), ("half", 1))
    assert part is not None
    assert part.height == 50


def test_unknown_metrics_are_not_compared_in_pairs() -> None:
    """A project's own metric has an interval of its own, and that is all that is known of it."""
    assert improvement("profit", classified()) is None
    assert improvement("roc_auc", classified()) is None


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "balanced_accuracy"])
def test_a_worse_model_passes_as_rarely_as_promised(name: str) -> None:
    """Over simulated pairs, the lower end lies above the truth in at most 2.5 of 100 cases, but for chance."""
    passed, count = simulated(name, tries=300)
    print(f"{name}: {passed} of {count} lower ends above the true difference: {100 * passed / count:.1f} %")
    assert passed <= 0.025 * count + 3 * (count * 0.025 * 0.975) ** 0.5


def test_a_worse_model_rarely_passes() -> None:
    """A sample of the simulation: far fewer than a chance of 2.5 % allows to be many."""
    passed, count = simulated("f1_macro", tries=8, endless=100_000)
    assert passed <= 0.025 * count + 4 * (count * 0.025 * 0.975) ** 0.5


DESIGNS = [
    (n, prior, design)
    for n in (60, 200, 1000)
    for prior in ((0.5, 0.5), (0.9, 0.1), (0.2, 0.2, 0.2, 0.2, 0.2))
    for design in ((0.9, 0.05, 0.0), (0.97, 0.02, 0.0), (0.8, 0.1, 0.05))
]
"""Rows, shares of the classes; accuracy of the champion, share of rows where both differ, and loss of the candidate."""


def simulated(name: str, tries: int, endless: int = 400_000) -> tuple[int, int]:
    """Return how many lower ends were above the true difference, that on *endless* rows, and of how many."""
    rng, passed = np.random.default_rng(7), 0
    for n, prior, design in DESIGNS:
        truth = improvement(name, pair_of_models(endless, prior, design, rng))
        assert truth is not None
        exact = -design[2] if name == "accuracy" else truth.value
        for _ in range(tries):
            found = improvement(name, pair_of_models(n, prior, design, rng))
            assert found is not None
            passed += found.low > exact
    return passed, tries * len(DESIGNS)


def pair_of_models(n: int, prior: Any, design: tuple[float, float, float], rng: np.random.Generator) -> pl.DataFrame:
    """Return answers of a champion, and of a candidate that breaks some right ones and repairs some wrong ones."""
    (accuracy, differ, loss), k = design, len(prior)
    truth = rng.choice(k, size=n, p=prior)
    right = rng.random(n) < accuracy
    champion = np.where(right, truth, (truth + rng.integers(1, k, size=n)) % k)
    chance, other = rng.random(n), (truth + rng.integers(1, k, size=n)) % k
    broken, repaired = (differ + loss) / 2 / accuracy, (differ - loss) / 2 / (1 - accuracy)
    kept = np.where(chance < broken, other, truth)
    candidate = np.where(right, kept, np.where(chance < repaired, truth, champion))
    return pl.DataFrame({"truth": truth, "predicted": candidate, "predicted_champion": champion})
