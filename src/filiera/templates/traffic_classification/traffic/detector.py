"""The model: a forest whose probabilities are those of attacks that it has not met."""

import polars as pl
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from traffic.columns import FEATURES, KIND, NORMAL, TARGET, TEXTS
from traffic.unseen import rounds, thinned, weights

ROUNDS = 4


def plain_forest(rows: pl.DataFrame, *, trees: int, max_depth: int, seed: int) -> Pipeline:
    """Return a random forest as scikit-learn has it, fitted to *rows*: the reference that must be beaten."""
    forest = RandomForestClassifier(n_estimators=trees, max_depth=max_depth, random_state=seed, n_jobs=1)
    return _behind_columns(forest).fit(rows.select(FEATURES), rows[TARGET].to_numpy())


def detector(rows: pl.DataFrame, *, trees: int, max_depth: int, seed: int) -> Pipeline:
    """Return a random forest, fitted to *rows*, that says how probable an attack is when its kind may be new.

    A plain forest calls most attacks of new kinds normal: they resemble normal traffic more than the attacks it knows.
    Here forests that were kept from whole kinds are asked about them, and what they answered says how suspicious which
    share of trees is: a threshold far below one half, and probabilities that hold for attacks not met before.

    Raises:
        ValueError: *rows* have fewer than two kinds of attacks, so that none can be left out.
    """
    if rows.filter(pl.col(KIND) != NORMAL)[KIND].n_unique() < 2:
        raise ValueError("The training rows need two kinds of attacks at least: each is left out once.")
    rows = thinned(rows, seed)
    forest = RandomForestClassifier(
        n_estimators=trees, max_depth=max_depth, max_features=0.3, random_state=seed, n_jobs=1
    )
    splits = PredefinedSplit(rounds(rows[KIND], ROUNDS))
    calibrated = CalibratedClassifierCV(forest, method="isotonic", cv=splits, ensemble=False)
    model = _behind_columns(calibrated)
    model.fit(rows.select(FEATURES), rows[TARGET].to_numpy(), model__sample_weight=weights(rows[KIND]))
    calibrated.cv = None  # it names a round for each training row, and is not needed any more
    return model


def _behind_columns(model: ClassifierMixin) -> Pipeline:
    """Return *model* behind the columns as numbers; a text that was not met counts as none."""
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("texts", texts, list(TEXTS))], remainder="passthrough")
    return Pipeline([("columns", columns), ("model", model)])
