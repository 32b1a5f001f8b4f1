"""What fitted models tell of their training."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest

from filiera.core import plain
from filiera.core.fit import Fit
from filiera.model.fitted import fit_of

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")


def rows() -> tuple[pl.DataFrame, list[int]]:
    values = np.random.default_rng(0).normal(size=(60, 2))
    return pl.DataFrame({"loud": values[:, 0], "mute": values[:, 1] * 0}), (values[:, 0] > 0).astype(int).tolist()


def xgboost_model() -> Any:
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1, eval_metric=["logloss", "auc"])
    return model.fit(*rows(), eval_set=[rows()], verbose=False)


def lightgbm_model() -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=4, max_depth=2, n_jobs=1, verbose=-1)
    return model.fit(*rows(), eval_X=rows()[0], eval_y=rows()[1])


def test_parameters_of_a_pipeline_are_those_of_its_steps() -> None:
    """Each step's parameters are there by its name, and those that somebody chose are told apart."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    fit = fit_of(make_pipeline(StandardScaler(with_std=False), DecisionTreeClassifier(max_depth=3)).fit(*rows()))
    assert fit.estimator.endswith(":DecisionTreeClassifier")
    assert fit.parameters["decisiontreeclassifier__max_depth"] == 3
    assert fit.parameters["decisiontreeclassifier__criterion"] == "gini"
    assert fit.chosen == ("decisiontreeclassifier__max_depth", "standardscaler__with_std")
    assert fit.importances == {"loud": 1.0, "mute": 0.0}


@pytest.mark.parametrize(
    ("make", "data", "metrics"),
    [(xgboost_model, "validation_0", {"logloss", "auc"}), (lightgbm_model, "valid_0", {"binary_logloss"})],
)
def test_boosters_tell_what_they_measured_per_iteration(make: Any, data: str, metrics: set[str]) -> None:
    """Each metric on each data to evaluate on is a curve with a value per iteration."""
    model = make()
    fit = fit_of(model)
    assert set(fit.curves) == {f"{data}/{metric}" for metric in metrics}
    for metric in metrics:
        assert fit.curves[f"{data}/{metric}"] == tuple(model.evals_result_[data][metric])
        assert len(fit.curves[f"{data}/{metric}"]) == 4
    assert set(fit.chosen) >= {"n_estimators", "max_depth", "n_jobs"}
    assert list(fit.importances) == ["loud", "mute"]
    assert fit.importances["loud"] > fit.importances["mute"] == 0


def test_curves_of_scikit_learn() -> None:
    """Networks and boosted trees of scikit-learn tell their loss per iteration."""
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=3).fit(*rows())
    assert fit_of(model).curves == {"train/score": tuple(model.train_score_)}


def test_a_fit_has_the_same_bytes_each_time() -> None:
    """A parameter that shows its address in memory would make each record another one; its class is told instead."""
    from sklearn.tree import DecisionTreeClassifier

    def told() -> bytes:
        return plain.encode(fit_of(DecisionTreeClassifier(random_state=np.random.RandomState(3)).fit(*rows())))

    assert told() == told()
    assert plain.decode(told()).parameters["random_state"] == "numpy.random.mtrand:RandomState"


class Own:
    """A class of somebody's own, with no method that scikit-learn would know."""


@pytest.mark.parametrize("model", [Own(), Own], ids=["object", "class"])
def test_a_model_that_tells_nothing_is_recorded_with_nothing(model: Any) -> None:
    """What a model does not have is left out, and nothing fails for it."""
    found = fit_of(model)
    assert found == Fit(estimator=found.estimator)


def test_numpy_numbers_and_not_a_number_are_defaults_as_well() -> None:
    """A parameter left at NaN was not chosen, though NaN does not equal itself."""
    xgboost = pytest.importorskip("xgboost")
    fit = fit_of(xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(*rows()))
    assert math.isnan(fit.parameters["missing"])
    assert "missing" not in fit.chosen
