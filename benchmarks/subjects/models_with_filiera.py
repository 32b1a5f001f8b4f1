"""Filiera, in a project that ``models.py`` made: ``models_with_filiera.py SCENARIO SIZE START``; prints the figures."""

import sys
import time

import filiera.project.launch  # noqa: F401  the peers' programs import theirs before they measure, too


def study(trials: int, seed: int) -> list[float]:
    """Return the seconds of a study, each trial a step that is recorded and cached."""
    from model_pipelines import study

    study.run(trials=2, seed=seed + 1_000_000)
    before = time.perf_counter()
    run = study.run(trials=trials, seed=seed)
    took = time.perf_counter() - before
    assert len(run.value("tune", 1).trials) == trials
    return [took]


def recorded(count: int, start: int) -> list[float]:
    """Return the seconds of each of so many runs, in one call and one call after the other."""
    from model_pipelines import recorded

    recorded.run(a=start - 1)
    before = time.perf_counter()
    runs = recorded.run_many([{"a": start + number} for number in range(count)])
    together = time.perf_counter() - before
    assert {run.status for run in runs} == {"succeeded"}
    before = time.perf_counter()
    for number in range(count):
        recorded.run(a=start + count + number)
    return [together / count, (time.perf_counter() - before) / count]


def points(count: int, start: int) -> list[float]:
    """Return the seconds of each point: of a run that stores a curve, and inside its step alone."""
    from model_pipelines import curve

    curve.run(count=10)
    before = time.perf_counter()
    run = curve.run(count=count)
    took = time.perf_counter() - before
    return [took / count, run.value("points") / count]


def gates(rows: int, start: int) -> list[float]:
    """Return the seconds of four gates, two of them against a champion's answers to the same rows."""
    import numpy as np
    import polars as pl

    from filiera import Gate
    from filiera.model.evaluation import evaluate
    from filiera.model.gates import decide

    chance = np.random.default_rng(start)
    table = pl.DataFrame({"x": chance.normal(size=rows), "y": chance.normal(size=rows)})
    table = table.with_columns(
        label=pl.Series(np.where(chance.normal(size=rows) + table["x"].to_numpy() > 0, "b", "a"))
    )

    class Model:
        """Knows one of two columns, or both."""

        classes_ = np.array(["a", "b"])
        feature_names_in_ = np.array(["x", "y"])

        def __init__(self, weight: float) -> None:
            self.weight = weight

        def predict_proba(self, rows):
            score = 1 / (1 + np.exp(-2 * rows["x"].to_numpy() - self.weight * rows["y"].to_numpy()))
            return np.column_stack((1 - score, score))

        def predict(self, rows):
            return self.classes_[(self.predict_proba(rows)[:, 1] > 0.5).astype(int)]

    evaluate(Model(0.0), table.head(50), target="label")  # imports
    before = time.perf_counter()
    candidate = evaluate(Model(0.0), table, target="label")
    evaluated = time.perf_counter() - before
    champion = evaluate(Model(0.5), table, target="label")
    asked = [
        Gate("f1_macro", at_least=0.5),
        Gate("accuracy", at_least=0.5),
        Gate("f1_macro", not_worse_than="champion", margin=0.01),
        Gate("roc_auc", not_worse_than="champion", margin=0.01),
    ]
    before = time.perf_counter()
    found = decide(asked, candidate, champion)
    took = time.perf_counter() - before
    assert len(found) == 4
    return [evaluated, took]


def autolog(rows: int, start: int) -> list[float]:
    """Return for four models what a fit takes that is recorded, over the same fit alone, the median of five."""
    import statistics

    import lightgbm
    import numpy as np
    import xgboost
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from filiera.model.fitted import fit_of

    chance = np.random.default_rng(start)
    table = chance.normal(size=(rows, 20))
    labels = (table[:, :5].sum(axis=1) + chance.normal(size=rows) > 0).astype(int)
    held_out, answers = table[: rows // 5], labels[: rows // 5]
    fits = (
        lambda: LogisticRegression().fit(table, labels),
        lambda: RandomForestClassifier(20, max_depth=8, n_jobs=1).fit(table, labels),
        lambda: xgboost.XGBClassifier(n_estimators=100, n_jobs=1).fit(
            table, labels, eval_set=[(held_out, answers)], verbose=False
        ),
        lambda: lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1).fit(
            table, labels, eval_X=held_out, eval_y=answers
        ),
    )
    found = []
    for fit in fits:
        ratios = []
        for _ in range(5):
            begun = time.perf_counter()
            model = fit()
            fitted = time.perf_counter()
            fit_of(model)  # nothing is patched: the fit is the bare one, and this is what recording it adds
            ratios.append((time.perf_counter() - begun) / (fitted - begun))
        found.append(statistics.median(ratios))
    return found


if __name__ == "__main__":
    name, size, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    what = {"study": study, "recorded": recorded, "points": points, "gates": gates, "autolog": autolog}
    print(*what[name](size, start))
