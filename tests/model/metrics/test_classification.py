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
from filiera.model.metrics import interval
from filiera.model.metrics.classification import classification_metrics

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
    return {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.recall_score(truth, predicted, labels=sorted(set(truth)), **macro),
        "precision_macro": sk.precision_score(truth, predicted, **macro),
        "recall_macro": sk.recall_score(truth, predicted, **macro),
        "f1_macro": sk.f1_score(truth, predicted, **macro),
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
            assert metric.baseline == pytest.approx(dummy[metric.name], abs=1e-9)
        assert 0 <= metric.low <= metric.value <= metric.high <= 1
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


def test_bootstrap_of_counts_equals_bootstrap_of_rows() -> None:
    """Drawing the counts of the confusion matrix gives the interval that drawing rows gives."""
    from filiera.model.metrics.classification import _macro_values

    truth, predicted = traffic(3, 250)
    source = np.random.default_rng(5)
    by_rows = []
    for _ in range(250):
        rows = source.integers(0, 250, size=250)
        by_rows.append(scikit_learn(truth[rows], predicted[rows]))
    counts = sk.confusion_matrix(truth, predicted)
    drawn = interval.resampled_classes(counts, np.random.Generator(np.random.PCG64(0)), 20_000)
    for name, values in _macro_values(drawn).items():
        expected = np.array([draw[name] for draw in by_rows])
        assert np.quantile(values, [0.025, 0.5, 0.975]) == pytest.approx(
            np.quantile(expected, [0.025, 0.5, 0.975]), abs=0.02
        )
        assert values.std() == pytest.approx(expected.std(), rel=0.2)


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
        assert 0.7 < metric.low < 0.9


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
    rows = traffic(1, 100)
    first, second, other = (classification_metrics(*rows, seed=seed) for seed in (0, 0, 1))
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


def test_probabilities_of_many_classes() -> None:
    """Log loss takes any number of classes; AUC is left out with a note."""
    truth, predicted = traffic(0, 100)
    table = np.random.default_rng(0).dirichlet([1] * 4, size=100)
    metrics = classification_metrics(truth, predicted, probabilities=pl.DataFrame(table), labels=CLASSES)
    assert metrics["log_loss"].value == pytest.approx(sk.log_loss(truth, table), abs=1e-9)
    assert "roc_auc" not in metrics
    assert "two classes" in metrics.notes[0]


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
