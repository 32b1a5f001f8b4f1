import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from filiera.core import plain
from filiera.errors import UsageError
from filiera.model.answers import class_answers
from filiera.model.metrics import interval
from filiera.model.metrics.classification import ClassSample, classification_metrics
from filiera.model.metrics.probabilities import average_precision
from filiera.model.metrics.units import Units

CLASSES = ("dos", "normal", "probe", "r2l")
NOISE = np.array([[0.85, 0.1, 0.05, 0.0], [0.05, 0.9, 0.05, 0.0], [0.1, 0.1, 0.8, 0.0], [0.0, 0.4, 0.0, 0.6]])
SHARES = np.array([0.35, 0.5, 0.1, 0.05])


def traffic(seed: int, n: int) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return truth and predictions of a model that is wrong as NOISE says."""
    source = np.random.default_rng(seed)
    truth = source.choice(4, size=n, p=SHARES)
    predicted = (source.random(n)[:, None] > NOISE.cumsum(axis=1)[truth]).sum(axis=1)
    names = np.array(CLASSES)
    return names[truth], names[predicted]


def scikit_learn(truth: Any, predicted: Any) -> dict[str, float]:
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    weighted: dict[str, Any] = {"average": "weighted", "zero_division": 0}
    return {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.recall_score(truth, predicted, labels=sorted(set(truth)), **macro),
        "precision_macro": sk.precision_score(truth, predicted, **macro),
        "recall_macro": sk.recall_score(truth, predicted, **macro),
        "f1_macro": sk.f1_score(truth, predicted, **macro),
        "precision_weighted": sk.precision_score(truth, predicted, **weighted),
        "f1_weighted": sk.f1_score(truth, predicted, **weighted),
        "recall_weighted": sk.recall_score(truth, predicted, **weighted),
        "f1_micro": sk.f1_score(truth, predicted, average="micro"),
        **({"mcc": sk.matthews_corrcoef(truth, predicted)} if min(len(set(truth)), len(set(predicted))) > 1 else {}),
    }


labelled_rows = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(labelled_rows)
def test_values_are_those_of_scikit_learn(rows: list[tuple[str, str]]) -> None:
    """Every value and every dummy equals scikit-learn's, also for classes without rows or without predictions."""
    truth, predicted = zip(*rows, strict=True)
    metrics = classification_metrics(truth, predicted)
    common = max(sorted(set(truth)), key=truth.count)
    expected, dummy = scikit_learn(truth, predicted), scikit_learn(truth, [common] * len(truth))
    assert {metric.name: metric.value for metric in metrics} == pytest.approx(expected, abs=1e-9)
    for metric in metrics:
        if metric.name in ("accuracy", "balanced_accuracy") or set(predicted) <= set(truth):
            assert metric.baseline == pytest.approx(dummy.get(metric.name, 0), abs=1e-9)
        assert -1 <= metric.low <= metric.value <= metric.high <= 1
        assert metric.n == len(rows)


def test_class_scores_add_up() -> None:
    """The table per class holds what scikit-learn's report holds."""
    truth, predicted = traffic(0, 300)
    report = sk.classification_report(truth, predicted, output_dict=True, zero_division=0)
    for score in classification_metrics(truth, predicted).classes:
        expected = report[str(score.label)]
        assert (score.precision, score.recall, score.f1, score.rows) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
        )


@pytest.mark.parametrize("n", [60, 400])
def test_intervals_cover(n: int) -> None:
    """At least 93 of 100 intervals hold the value that endless rows would give."""
    joint = SHARES[:, None] * NOISE
    correct, rows, predicted = np.diag(joint), joint.sum(axis=1), joint.sum(axis=0)
    truth = {
        "accuracy": correct.sum(),
        "balanced_accuracy": (correct / rows).mean(),
        "precision_macro": (correct / predicted).mean(),
        "f1_macro": (2 * correct / (rows + predicted)).mean(),
    }
    hits = dict.fromkeys(truth, 0)
    for seed in range(200):
        metrics = classification_metrics(*traffic(seed, n), labels=CLASSES, seed=seed)
        for name, value in truth.items():
            hits[name] += metrics[name].low <= value <= metrics[name].high
    assert min(hits.values()) / 200 >= 0.93, hits


def test_perfect_score_on_few_rows_keeps_a_width() -> None:
    """Twenty rows without an error do not prove that there are none: every lower end stays below 0.9."""
    truth = ["a", "b"] * 10
    for metric in classification_metrics(truth, truth):
        assert (metric.value, metric.high) == (1, 1)
        assert 0.6 < metric.low < 0.9


@pytest.mark.parametrize("build", [list, np.array, pl.Series, pd.Series], ids=["list", "numpy", "polars", "pandas"])
@pytest.mark.parametrize("labels", [["a", "b"], [0, 1], [False, True]], ids=["str", "int", "bool"])
def test_any_holder_of_labels_gives_the_same(build: Any, labels: list[Any]) -> None:
    """Lists, NumPy, polars and pandas are the same to us, and what comes back is plain."""
    truth, predicted = [labels[i] for i in (0, 0, 1, 1, 1)], [labels[i] for i in (0, 1, 1, 1, 0)]
    metrics = classification_metrics(build(truth), build(predicted))
    assert metrics == classification_metrics(truth, predicted)
    assert [score.label for score in metrics.classes] == labels
    assert plain.decode(plain.encode(metrics)) == metrics


def test_categories_are_labels() -> None:
    """A categorical column stands for its strings."""
    truth = pl.Series(["b", "a", "b"], dtype=pl.Categorical)
    assert classification_metrics(truth, ["b", "a", "a"])["accuracy"].value == pytest.approx(2 / 3)


def test_whole_floats_are_integers() -> None:
    """Labels that passed through floats are the integers they were."""
    assert classification_metrics(np.array([0.0, 1.0]), [0, 1])["accuracy"].value == 1


def test_listed_labels_set_the_order() -> None:
    """The order of the model's classes is kept, and a class nobody saw is noted and left out of the means."""
    metrics = classification_metrics(["b", "a"], ["b", "a"], labels=np.array(["b", "z", "a"]))
    assert [score.label for score in metrics.classes] == ["b", "z", "a"]
    assert metrics["f1_macro"].value == 1
    assert "'z'" in metrics.notes[0]


def test_same_seed_same_metrics() -> None:
    """The seed decides the bootstrap; the evaluation digest names the answers and not the seed."""
    truth, predicted = traffic(1, 100)
    table = np.random.default_rng(0).dirichlet([1] * 4, size=100)
    given: dict[str, Any] = {"probabilities": table, "labels": CLASSES}
    first, second, other = (classification_metrics(truth, predicted, **given, seed=seed) for seed in (0, 0, 1))
    assert first == second
    assert first != other
    assert first.evaluation == other.evaluation
    assert first.evaluation != classification_metrics(*traffic(2, 100)).evaluation


def binary(n: int = 200) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    source = np.random.default_rng(4)
    truth = source.random(n) < 0.3
    return truth, np.clip(0.3 + 0.3 * truth + 0.2 * source.normal(size=n), 0.01, 0.99)


def test_probabilities_of_two_classes() -> None:
    """Log loss and AUC equal scikit-learn's, from one column or from two."""
    truth, positive = binary()
    both = np.column_stack((1 - positive, positive))
    metrics = classification_metrics(truth, positive > 0.5, probabilities=positive)
    assert metrics["log_loss"].value == pytest.approx(sk.log_loss(truth, both), abs=1e-9)
    assert metrics["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, positive), abs=1e-9)
    share = truth.mean()
    dummy = sk.log_loss(truth, np.full((len(truth), 2), [1 - share, share]))
    assert metrics["log_loss"].baseline == pytest.approx(dummy, abs=1e-9)
    assert not metrics["log_loss"].greater_is_better
    assert metrics == classification_metrics(truth, positive > 0.5, probabilities=both)


def test_certain_and_wrong_is_clipped_as_scikit_learn_does() -> None:
    """A probability of 0 for the true class costs much, but not endlessly."""
    both = np.array([[1.0, 0.0], [0.0, 1.0]])
    metrics = classification_metrics([1, 1], [0, 1], probabilities=both, labels=[0, 1])
    assert metrics["log_loss"].value == pytest.approx(sk.log_loss([1, 1], both, labels=[0, 1]), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_metrics_of_probabilities_are_those_of_scikit_learn(seed: int, k: int) -> None:
    """Losses, areas, precisions and shares of the most probable equal scikit-learn's, with ties among probabilities."""
    source = np.random.default_rng(seed)
    truth = np.concatenate((np.arange(k), source.integers(0, k, 60)))
    table = (np.round(source.dirichlet([1] * k, size=len(truth)) + 0.4 * np.eye(k)[truth], 1) + 0.01).clip(0.01)
    table /= table.sum(axis=1, keepdims=True)
    metrics = classification_metrics(truth, table.argmax(axis=1), probabilities=table, labels=range(k))
    onehot = np.eye(k)[truth]
    expected = {"log_loss": sk.log_loss(truth, table), "brier_score": sk.brier_score_loss(truth, table)}
    if k == 2:
        expected["brier_score"] = sk.brier_score_loss(truth, table[:, 1])
        expected["roc_auc"] = sk.roc_auc_score(truth, table[:, 1])
        expected["average_precision"] = sk.average_precision_score(truth, table[:, 1])
    else:
        top = 2 if k < 10 else 5
        expected[f"top_{top}_accuracy"] = sk.top_k_accuracy_score(truth, table, k=top)
        expected["roc_auc_ovr"] = sk.roc_auc_score(truth, table, multi_class="ovr")
        expected["average_precision_macro"] = sk.average_precision_score(onehot, table)
    assert {name: metrics[name].value for name in expected} == pytest.approx(expected, abs=1e-9)
    assert all(metric.low <= metric.value <= metric.high for metric in metrics)


def test_pulls_are_what_one_more_row_does() -> None:
    """Repeating a row moves a metric by its pull over the number of rows."""
    source = np.random.default_rng(2)
    truth, score = source.random(500) < 0.3, source.normal(size=500).round(1)
    score[truth] += 1
    for of in (average_precision, interval.area_pulls):
        value, pulls = of(truth, score)
        for row in range(0, 500, 41):
            more = of(np.append(truth, truth[row]), np.append(score, score[row]))[0]
            assert more - value == pytest.approx(pulls[row] / 500, rel=0.1, abs=2e-5)
    labels, answers = traffic(3, 500)
    one = ClassSample(class_answers(labels, answers, None), None, Units.of_rows(500))
    for row in range(0, 500, 41):
        both = (np.append(each, each[row]) for each in (labels, answers))
        more = ClassSample(class_answers(*both, None), None, Units.of_rows(501))
        for before, after in zip(one.estimates([]), more.estimates([]), strict=True):
            assert after.value - before.value == pytest.approx(before.pulls[row] / 500, rel=0.1, abs=1e-4), before.name


def test_rows_that_hang_together_say_less() -> None:
    """Ten copies of each row as clusters are known as the rows were once; as rows they would look ten times surer."""
    source = np.random.default_rng(3)
    labels, wrong = source.random(60) < 0.5, source.random(60) < 0.25
    answers = labels ^ wrong
    once = ClassSample(class_answers(labels, answers, None), None, Units.of_rows(60)).measure(0)
    copies = class_answers(np.repeat(labels, 10), np.repeat(answers, 10), None)
    apart = ClassSample(copies, None, Units.of_rows(600)).measure(0)
    together = ClassSample(copies, None, Units.of_clusters(np.repeat(np.arange(60), 10))).measure(0)
    for one, many, clustered in zip(once, apart, together, strict=True):
        assert clustered.value == pytest.approx(one.value, abs=1e-12)
        assert many.high - many.low < 0.5 * (one.high - one.low)
        assert clustered.high - clustered.low == pytest.approx(one.high - one.low, rel=0.06)
        assert "60 clusters" in clustered.method


def test_one_cluster_says_nothing() -> None:
    """The interval is all that is possible."""
    labels, answers = traffic(3, 60)
    found = ClassSample(class_answers(labels, answers, None), None, Units.of_clusters(["a"] * 60)).measure(0)
    assert (found["f1_macro"].low, found["f1_macro"].high) == (0, 1)
    assert (found["mcc"].low, found["mcc"].high) == (-1, 1)
    assert found["accuracy"].high - found["accuracy"].low > 0.7


def test_auc_of_one_class_is_left_out_and_noted() -> None:
    """What is undefined is not there, rather than NaN."""
    metrics = classification_metrics([1, 1], [1, 0], probabilities=[0.9, 0.4])
    assert "roc_auc" not in metrics
    assert any("one class" in note for note in metrics.notes)


@pytest.mark.parametrize(
    ("truth", "predicted", "options", "words"),
    [
        (["a"], ["a", "b"], {}, "truth has 1, predicted has 2"),
        ([], [], {}, "no rows"),
        (["a", None], ["a", "b"], {}, "1 missing"),
        ([1, 0], [1.0, math.nan], {}, "predicted has 1 missing"),
        (["a", "b"], [0, 1], {}, "one kind"),
        (["a", "b"], ["a", "b"], {"labels": ["a"]}, "'b'"),
        (["a", "b"], ["a", "b"], {"labels": [0, 1]}, "not listed"),
        ([0.5, 1.5], [0.5, 1.5], {}, "not class labels"),
        (["a", 1], ["a", 1], {}, "one type"),
        (np.zeros((2, 2)), [0, 0], {}, "one value per row"),
        (["a", "b"], ["a", "b"], {"probabilities": [0.1]}, "probabilities has 1"),
        (["a", "b"], ["a", "b"], {"probabilities": [0.1, 1.1]}, "impossible"),
        (["a", "b"], ["a", "b"], {"probabilities": [[0.5, 0.6]] * 2}, "sum to 1"),
        (["a", "b"], ["a", "b"], {"probabilities": [[0.2, 0.3, 0.5]] * 2}, "model.classes_"),
        (["a", "b"], ["a", "b"], {"probabilities": [0.1, math.nan]}, "NaN"),
        (["a", "b"], ["a", "b"], {"probabilities": [["x"], ["y"]]}, "not a table of numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_classification_input_is_explained(truth: Any, predicted: Any, options: dict[str, Any], words: str) -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError) as caught:
        classification_metrics(truth, predicted, **options)
    assert words in str(caught.value)
