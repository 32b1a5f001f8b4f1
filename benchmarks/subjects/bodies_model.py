"""The model of ``serving_bodies.py``: a logistic pipeline of many inputs, the same in every process."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = [f"f{place}" for place in range(100)]


def fitted():
    """Return the model, fitted on arrays."""
    rows = np.random.default_rng(0).normal(size=(2000, len(COLUMNS)))
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] + rows[:, 1] > 0)
