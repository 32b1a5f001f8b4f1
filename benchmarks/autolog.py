"""Measure what recording a fit costs beside the fit: ``python benchmarks/autolog.py --rows 50000 --rounds 5``.

Each round fits each model anew, with an evaluation set, and then reads from it what a version records. Nothing is
patched, so that the fit itself is the bare one; what is added is the reading, and that is what the ratio has.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from filiera.model.fitted import fit_of

ALLOWED = 1.02


def models(rows: int) -> dict[str, Callable[[], Any]]:
    """Return by name what fits a model on *rows* rows of 20 columns."""
    import lightgbm
    import numpy as np
    import xgboost
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(0)
    table = chance.normal(size=(rows, 20))
    labels = (table[:, :5].sum(axis=1) + chance.normal(size=rows) > 0).astype(int)
    held_out, answers = table[: rows // 5], labels[: rows // 5]
    return {
        "LogisticRegression": lambda: LogisticRegression().fit(table, labels),
        "RandomForestClassifier": lambda: RandomForestClassifier(20, max_depth=8, n_jobs=1).fit(table, labels),
        "XGBClassifier": lambda: xgboost.XGBClassifier(n_estimators=100, n_jobs=1).fit(
            table, labels, eval_set=[(held_out, answers)], verbose=False
        ),
        "LGBMClassifier": lambda: lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1).fit(
            table, labels, eval_X=held_out, eval_y=answers
        ),
    }


def main() -> int:
    """Print a line per model; 1 if one costs more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    worst = 0.0
    print(f"{'model':24} {'fit, s':>9} {'recording, ms':>14} {'ratio':>8}")
    for name, fit in models(options.rows).items():
        fits, readings, ratios = [], [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            model = fit()
            fitted = time.perf_counter()
            fit_of(model)
            ended = time.perf_counter()
            fits.append(fitted - start)
            readings.append(ended - fitted)
            ratios.append((ended - start) / (fitted - start))
        ratio = statistics.median(ratios)
        worst = max(worst, ratio)
        print(f"{name:24} {statistics.median(fits):9.3f} {statistics.median(readings) * 1e3:14.2f} {ratio:8.4f}")
    print(f"{'passes' if worst <= ALLOWED else 'FAILS'}: at most {ALLOWED} allowed")
    return 0 if worst <= ALLOWED else 1


if __name__ == "__main__":
    raise SystemExit(main())
