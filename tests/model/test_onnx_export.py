"""Models as ONNX graphs: equal answers, equal bytes, and no graph rather than a wrong one."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import polars as pl
import pytest

from filiera.errors import UsageError
from filiera.model import onnx_export
from filiera.model.booster import from_booster
from filiera.model.onnx import from_onnx
from filiera.model.onnx_export import export_onnx
from filiera.model.onnx_graph import canonical

np = pytest.importorskip("numpy")
for library in ("sklearn", "xgboost", "lightgbm", "onnx", "onnxruntime", "skl2onnx", "onnxmltools"):
    pytest.importorskip(library)

SOURCE = np.random.default_rng(0)
ROWS = pl.DataFrame({"size": SOURCE.normal(size=200), "count": SOURCE.integers(0, 9, size=200)})
TEXTS = ROWS.with_columns(kind=pl.Series(SOURCE.choice(["a", "b", "c"], size=200)))
LABELS = np.where(ROWS["size"].to_numpy() + SOURCE.normal(size=200) > 0, "yes", "no")
NUMBERS = (LABELS == "yes").astype(int)


def models() -> dict[str, Any]:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from xgboost import XGBClassifier, XGBRegressor

    def columns() -> Any:
        codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        return ColumnTransformer([("codes", codes, ["kind"])], remainder="passthrough")

    few: dict[str, Any] = {"n_estimators": 4, "n_jobs": 1}
    return {
        "logistic": LogisticRegression().fit(ROWS, LABELS),
        "scaled": make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS),
        "ridge": Ridge().fit(ROWS, NUMBERS),
        "forest": RandomForestClassifier(**few, random_state=0).fit(ROWS, np.arange(200) % 3),
        "boosted": GradientBoostingRegressor(n_estimators=4).fit(ROWS, NUMBERS),
        "columns": make_pipeline(columns(), RandomForestClassifier(**few, random_state=0)).fit(TEXTS, LABELS),
        "xgboost": XGBClassifier(**few).fit(ROWS, np.arange(200) % 3),
        "xgboost numbers": XGBRegressor(**few).fit(ROWS, NUMBERS * 100.0),
        "xgboost behind columns": make_pipeline(columns(), XGBClassifier(**few)).fit(TEXTS, NUMBERS),
        "lightgbm": LGBMClassifier(**few, verbose=-1).fit(ROWS, LABELS),
        "lightgbm numbers": LGBMRegressor(**few, verbose=-1).fit(ROWS, NUMBERS * 100.0),
        "booster": from_booster(XGBClassifier(**few).fit(ROWS, NUMBERS).get_booster(), classes=["no", "yes"]),
        "numbers": from_booster(LGBMRegressor(**few, verbose=-1).fit(ROWS, NUMBERS).booster_),
    }


MODELS = models()


@pytest.mark.parametrize("name", MODELS)
def test_a_graph_answers_as_its_model(name: str) -> None:
    """Labels are equal, numbers and probabilities within the tolerance, and exporting again gives the same bytes."""
    model = MODELS[name]
    exported = export_onnx(model, TEXTS)
    assert exported.model is not None, exported.note
    assert exported.note.startswith("attached: largest difference")
    assert "200 rows" in exported.note
    if hasattr(model, "classes_"):
        assert exported.model.predict(TEXTS).tolist() == model.predict(TEXTS.select(model.feature_names_in_)).tolist()
    again = export_onnx(model, TEXTS).model
    assert again is not None
    assert again.graph.SerializeToString(deterministic=True) == exported.model.graph.SerializeToString(
        deterministic=True
    )


def test_of_a_model_with_transforms_the_estimator_is_exported() -> None:
    """The graph takes what the transforms return."""

    class Prepared:
        estimator = MODELS["logistic"]
        feature_names_in_ = ("raw",)

        def prepare(self, rows: pl.DataFrame) -> pl.DataFrame:
            return ROWS

    exported = export_onnx(Prepared(), pl.DataFrame({"raw": [0]}))
    assert exported.model is not None
    assert exported.model.feature_names_in_ == ("size", "count")


def test_a_graph_that_answers_otherwise_is_not_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong graph is worse than none; the note says by how much it differs, and how many labels do."""
    other = MODELS["scaled"]
    graph = export_onnx(other, ROWS).model
    assert graph is not None
    monkeypatch.setattr(onnx_export, "_graph_of", lambda model, table: graph.graph)
    model = type(other.steps[-1][1])().fit(ROWS, LABELS[::-1])
    exported = export_onnx(model, ROWS)
    assert exported.model is None
    assert exported.note.startswith("not attached, it answers otherwise: largest difference 0.")
    assert "labels differ" in exported.note


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: __import__("sklearn.svm").svm.LinearSVC().fit(ROWS, LABELS), "labels without probabilities"),
        (
            lambda: __import__("sklearn.neighbors").neighbors.KNeighborsClassifier().fit(ROWS, LABELS),
            "graph of its own",
        ),
        (lambda: __import__("sklearn.dummy").dummy.DummyRegressor().fit(ROWS, NUMBERS), "not exported: "),
    ],
    ids=["no probabilities", "loops", "no converter"],
)
def test_what_cannot_be_exported_says_why(make: Any, why: str) -> None:
    """There is no graph, and publishing goes on."""
    model = make()
    if not hasattr(model, "feature_names_in_"):
        model.feature_names_in_ = np.array(ROWS.columns)
    exported = export_onnx(model, ROWS)
    assert exported.model is None
    assert why in exported.note


WITHOUT_BOOSTERS = '''
import sys
import polars as pl
from sklearn.tree import DecisionTreeClassifier


class Absent:
    """Importing them fails, as where they are not installed."""

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("xgboost", "lightgbm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
from filiera.model.onnx_export import export_onnx

rows = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
print(export_onnx(DecisionTreeClassifier().fit(rows, [0, 1, 1]), rows).note)
'''


def test_models_of_scikit_learn_need_no_library_of_boosters() -> None:
    """The extra brings none, and most who export have none."""
    told = subprocess.run([sys.executable, "-c", WITHOUT_BOOSTERS], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("attached")


def test_without_rows_nothing_can_be_compared() -> None:
    """A graph that nobody compared would be attached for nothing."""
    with pytest.raises(UsageError, match="no rows"):
        export_onnx(MODELS["logistic"], ROWS[:0])


def shuffled(model: Any, seed: int) -> Any:
    """Return the same graph with other names and another order of nodes and constants."""
    chosen = random.Random(seed)
    made = type(model)()
    made.CopyFrom(model)
    ends = {end.name for end in (*made.graph.input, *made.graph.output)}
    names: dict[str, str] = {}

    def other(name: str) -> str:
        return name if name in ends or not name else names.setdefault(name, f"n{chosen.random()}")

    for node in made.graph.node:
        node.name = f"n{chosen.random()}"
        node.input[:] = [other(name) for name in node.input]
        node.output[:] = [other(name) for name in node.output]
    for constant in made.graph.initializer:
        constant.name = other(constant.name)
    for part in (made.graph.node, made.graph.initializer):
        items = list(part)
        chosen.shuffle(items)
        del part[:]
        part.extend(items)
    return made


@pytest.mark.parametrize("name", ["columns", "xgboost behind columns", "lightgbm"])
def test_names_and_order_leave_no_trace(name: str) -> None:
    """However nodes are named and ordered, the same computation has the same bytes and gives the same answers."""
    exported = export_onnx(MODELS[name], TEXTS).model
    assert exported is not None
    expected = exported.graph.SerializeToString(deterministic=True)
    for seed in range(5):
        again = canonical(shuffled(exported.graph, seed))
        assert again.SerializeToString(deterministic=True) == expected
    model = from_onnx(again, features=exported.feature_names_in_, classes=exported.labels)
    assert model.predict_proba(TEXTS).tolist() == exported.predict_proba(TEXTS).tolist()


def test_a_graph_with_other_inputs_is_refused() -> None:
    """Columns that the graph does not take are told with those that it takes."""
    graph = export_onnx(MODELS["columns"], TEXTS).model
    assert graph is not None
    with pytest.raises(UsageError, match="inputs are not the columns") as caught:
        from_onnx(graph.graph, features=["size", "other"])
    assert "kind (tensor(string))" in caught.value.why


def test_something_that_is_no_graph_is_refused() -> None:
    """What ONNX Runtime cannot run is told when the model is made, not when it is served."""
    import onnx

    with pytest.raises(UsageError, match="cannot run"):
        from_onnx(onnx.ModelProto(), features=["size"])
