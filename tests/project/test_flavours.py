"""Models of each library, from the step that fits them to the service that answers with them, in a clean process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from filiera.project.versions import Version
from tests.projects import SmallProject

np = pytest.importorskip("numpy")
for library in ("xgboost", "lightgbm", "onnx", "onnxruntime", "skl2onnx", "onnxmltools"):
    pytest.importorskip(library)

FLOWS = """
from datetime import datetime

import polars as pl

from filiera import Dataset, Evaluation, Model, Source, pipeline, step
from filiera.model import evaluation
from filiera.model.booster import BoosterModel, from_booster
from filiera.model.forecast import Forecaster, TimeSeries, seasonal_naive
from filiera.model.onnx import OnnxModel, from_onnx
from filiera.model.split import split


@pipeline(kind="data", publishes=Dataset("hosts"))
def hosts(raw: pl.DataFrame = Source("raw")):
    return keep(raw)


@step(stage="clean")
def keep(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@step(stage="train")
def fit_xgboost(rows: pl.DataFrame) -> object:
    from xgboost import XGBClassifier

    table, labels = rows.drop("role"), (rows["role"] == "server").cast(int).to_numpy()
    model = XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1)
    return model.fit(table, labels, eval_set=[(table, labels)], verbose=False)


@step(stage="train")
def fit_xgboost_booster(rows: pl.DataFrame) -> BoosterModel:
    import xgboost

    data = xgboost.DMatrix(rows.drop("role"), (rows["role"] == "server").cast(int).to_numpy())
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 3}, data, 5)
    return from_booster(booster, classes=["client", "server"])


@step(stage="train")
def fit_lightgbm(rows: pl.DataFrame) -> object:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)
    return model.fit(rows.drop("role"), rows["role"].to_numpy())


@step(stage="train")
def fit_lightgbm_booster(rows: pl.DataFrame) -> BoosterModel:
    import lightgbm

    data = lightgbm.Dataset(rows.drop("role"), (rows["role"] == "server").cast(int).to_numpy())
    booster = lightgbm.train({"objective": "binary", "num_threads": 1, "verbose": -1}, data, 5)
    return from_booster(booster, classes=["client", "server"])


@step(stage="train")
def fit_scaled(rows: pl.DataFrame) -> object:
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().set_output(transform="polars")
    model = make_pipeline(scaled, LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1))
    return model.fit(rows.drop("role"), rows["role"].to_numpy())


@step(stage="train")
def fit_onnx(rows: pl.DataFrame) -> OnnxModel:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    table = rows.drop("role").to_numpy().astype("float32")
    model = LogisticRegression().fit(table, rows["role"].to_numpy())
    graph = to_onnx(model, table[:1], name="hosts", options={"zipmap": False})
    return from_onnx(graph, features=rows.drop("role").columns, classes=model.classes_)


@step(stage="train")
def fit_torch(rows: pl.DataFrame) -> object:
    import torch

    from filiera.model.torch import from_torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    table = torch.tensor(rows.drop("role").to_numpy(), dtype=torch.float32)
    labels = torch.tensor((rows["role"] == "server").cast(float).to_numpy(), dtype=torch.float32)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(module(table)[:, 0], labels).backward()
        optimizer.step()
    return from_torch(module, features=["ports", "rate"], classes=["client", "server"])


@step(stage="evaluate")
def evaluate(model: object, rows: pl.DataFrame) -> Evaluation:
    if list(model.classes_) == [0, 1]:
        rows = rows.with_columns((pl.col("role") == "server").cast(int))
    return evaluation.evaluate(model, rows, target="role")


@step(stage="split")
def parts(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return split(rows, test_share=0.3, seed=0)


@step(stage="split")
def days(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    at = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 1, 2, 9), "1h", eager=True)
    table = pl.DataFrame({"at": at, "load": [hour % 12 for hour in range(34)]})
    return table[:24], table[24:]


@step(stage="train")
def fit_forecast(rows: pl.DataFrame) -> Forecaster:
    return seasonal_naive(rows, TimeSeries(time="at", value="load"), period=12)


@step(stage="evaluate")
def judge(model: Forecaster, rows: pl.DataFrame) -> Evaluation:
    task = evaluation.Forecasting(time="at")  # asks for quantiles, too
    return evaluation.evaluate(model, rows.with_columns(pl.col("load") + 0.5), target="load", task=task)


@pipeline(kind="model", publishes=Model("forecast", task="forecasting"))
def forecast(hosts: pl.DataFrame = Dataset("hosts@latest")):
    train, test = days(hosts)
    model = fit_forecast(train)
    return model, judge(model, test)


"""
PIPELINE = """
@pipeline(kind="model", publishes=Model("{name}", onnx=True))
def {function}(hosts: pl.DataFrame = Dataset("hosts@latest")):
    train, test = parts(hosts)
    model = fit_{function}(train)
    return model, evaluate(model, test)

"""
EXPORTED = ("xgboost", "xgboost_booster", "lightgbm", "lightgbm_booster", "scaled", "onnx")
FLAVOURS = (*EXPORTED, *(name for name in ("torch",) if find_spec(name)))
"""PyTorch is large: development does not install it. With it, its models are tested, too."""

IN_A_CLEAN_PROCESS = """
import json, sys
from pathlib import Path

from filiera.core.products import ProductRef
from filiera.project.project import Project
from filiera.serving.served_model import ServedModel

project = Project.open(Path(sys.argv[1]))
rows = json.loads(sys.argv[2])
for name in sys.argv[3:]:
    version = project.versions.resolve("model", ProductRef.parse(f"{name}@1"))
    model, signature = project.model_parts(version)
    served = ServedModel(name, model, version=1, signature=signature)
    served.warm_up()
    print(json.dumps(list(served.predict_rows(rows))))
"""

SERVED_ALONE = """
import sys
from pathlib import Path

from filiera.core.products import ProductRef
from filiera.project.serving.endpoints import AliasDesk
from filiera.project.project import Project

project = Project.open(Path(sys.argv[1]))
served = AliasDesk(project, ProductRef.parse("scaled"), log=None).load(1)
served.warm_up()
served.predict(served.records.decode(b'{"instances": [{"ports": 1, "rate": 0.5}]}'))
print([name for name in ("sklearn", "skops", "polars", "onnx", "xgboost", "pandas") if name in sys.modules])
"""

FITTED_AGAIN = """
import json, sys
from pathlib import Path

from filiera.project import launch
from filiera.project.project import Project

project = Project.open(Path(sys.argv[1]))
found = {}
for name in sys.argv[2:]:
    steps = launch.start(project, name, {}, fresh=frozenset({f"fit_{name}", "export_onnx"})).state.steps
    assert (steps[f"fit_{name}"].status, steps["export_onnx"].status) == ("succeeded", "succeeded")
    found[name] = [steps[f"fit_{name}"].outputs[0].digest, steps["export_onnx"].outputs[0].digest]
print(json.dumps(found))
"""


def rows() -> Any:
    import polars as pl

    source = np.random.default_rng(0)
    frame = pl.DataFrame({"ports": source.integers(0, 50, size=300), "rate": source.normal(size=300).round(3)})
    is_server = frame["ports"] + 9 * frame["rate"] + source.normal(size=300) > 25
    return frame.with_columns(role=pl.when(is_server).then(pl.lit("server")).otherwise(pl.lit("client")))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    pipelines = "".join(PIPELINE.format(name=name.replace("_", "-"), function=name) for name in FLAVOURS)
    made = SmallProject(tmp_path_factory.mktemp("hosts"), {"flows/all.py": FLOWS + pipelines})
    with (made.root / "filiera.toml").open("a") as file:
        file.write('[catalog.raw]\ntype = "parquet"\npath = "raw.parquet"\n')
    rows().write_parquet(made.root / "raw.parquet")
    for name in ("hosts", *FLAVOURS):
        run = made.run(name)
        assert run.state.status == "succeeded", run.state
    return made


@pytest.fixture(scope="module")
def answers(project: SmallProject) -> dict[str, list[dict[str, Any]]]:
    names = [name.replace("_", "-") for name in FLAVOURS]
    sent = json.dumps(rows().drop("role").to_dicts())
    command = [sys.executable, "-c", IN_A_CLEAN_PROCESS, str(project.root), sent, *names]
    done = subprocess.run(command, **project.surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(FLAVOURS, map(json.loads, done.stdout.splitlines()), strict=True))


def versions(project: SmallProject, flavour: str) -> Iterator[tuple[Any, Version]]:
    from filiera.core.products import ProductRef

    with project.opened() as opened:
        yield opened, opened.versions.resolve("model", ProductRef.parse(flavour.replace("_", "-")))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_service_in_a_clean_process_answers_as_the_model_does(
    flavour: str, project: SmallProject, answers: dict[str, list[dict[str, Any]]]
) -> None:
    """Nothing of the project's code is loaded there, and labels and probabilities are those of the model."""
    table = rows().drop("role")
    for opened, version in versions(project, flavour):
        model = opened.value(version.artifact)
        found = answers[flavour]
        assert [answer["label"] for answer in found] == model.predict(table).tolist()
        for expected, answer in zip(model.predict_proba(table).tolist(), found, strict=True):
            assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("flavour", EXPORTED)
def test_a_graph_that_answers_alike_is_attached(flavour: str, project: SmallProject) -> None:
    """The version has an ONNX graph that gives its labels and probabilities, and says how far they are apart."""
    table = rows().drop("role")
    for opened, version in versions(project, flavour):
        assert opened.value(version.attachments["onnx note"]).startswith("attached: largest difference")
        model, graph = opened.value(version.artifact), opened.value(version.attachments["onnx"])
        assert graph.predict(table).tolist() == model.predict(table).tolist()
        np.testing.assert_allclose(graph.predict_proba(table), model.predict_proba(table), atol=1e-4)


@pytest.mark.parametrize("flavour", EXPORTED)
def test_a_service_answers_with_the_graph_that_answers_alike(flavour: str, project: SmallProject) -> None:
    """ONNX Runtime gives the labels of the model, its probabilities within the tolerance, and says that it answers."""
    from filiera.project.serving import runtimes
    from filiera.serving.batch import Batch
    from filiera.serving.predictor import Predictor

    for opened, version in versions(project, flavour):
        served, signature = runtimes.model_to_serve(opened, version)
        assert served.runtime == "ONNX Runtime"
        assert runtimes.runtime_note(opened, version) == "ONNX Runtime, which answers as the model does"
        table = rows().select([field.name for field in signature.inputs])
        batch = Batch.of_rows(signature.inputs, table.rows())
        labels, probabilities = served.predict(batch)
        expected_labels, expected = Predictor(opened.value(version.artifact), signature).predict(batch)
        assert labels.tolist() == expected_labels.tolist()
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_what_loads_no_library_answers_with_a_graph(project: SmallProject) -> None:
    """A service on ONNX Runtime starts without scikit-learn, tables or the onnx package, which take seconds."""
    done = subprocess.run(
        [sys.executable, "-c", SERVED_ALONE, str(project.root)],
        **project.surroundings(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_graph_that_names_a_file_is_refused(project: SmallProject) -> None:
    """A graph whose weights were elsewhere on this machine is never run, whoever wrote it into the store."""
    from dataclasses import replace

    import onnx

    from filiera.core.parts import PARTS_CODEC
    from filiera.errors import CodecError
    from filiera.project.serving import runtimes

    for opened, version in versions(project, "scaled"):
        model = opened.value(version.attachments["onnx"])
        tensor = model.graph.graph.initializer.add()
        tensor.raw_data = b"0000"
        onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
        content = model.graph.SerializeToString()
        parts = opened.artifacts.manifest_of(version.attachments["onnx"])[1]
        graph = replace(parts[0], digest=opened.blobs.put(content), size_bytes=len(content), inline=None)
        kept = opened.artifacts.manifest([graph, *parts[1:]])
        assert kept.codec == PARTS_CODEC
        with pytest.raises(CodecError, match="names files"):
            runtimes._read(opened, kept)


def test_without_a_graph_the_library_answers(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version without one, or a machine without ONNX Runtime, is served by the model's own library, which is said."""
    from filiera.project.serving import runtimes

    assert project.run("forecast").state.status == "succeeded"
    for opened, version in versions(project, "forecast"):
        assert not hasattr(runtimes.model_to_serve(opened, version)[0], "is_brief")
        assert "own library; Model(…, onnx=True)" in runtimes.runtime_note(opened, version)
    for opened, version in versions(project, "scaled"):
        monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
        assert not hasattr(runtimes.model_to_serve(opened, version)[0], "is_brief")
        assert "pip install" in runtimes.runtime_note(opened, version)


def test_fitting_again_gives_the_same_bytes_in_another_process(project: SmallProject) -> None:
    """Models and their graphs have the digests that they had, wherever they are made again."""
    command = [sys.executable, "-c", FITTED_AGAIN, str(project.root), *FLAVOURS]
    surroundings = project.surroundings()
    surroundings["env"]["PYTHONHASHSEED"] = "4242"
    done = subprocess.run(command, **surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    for flavour in FLAVOURS:
        for _, version in versions(project, flavour):
            assert again[flavour] == [version.artifact.digest, version.attachments["onnx"].digest]


def test_a_forecaster_is_served_by_times(project: SmallProject) -> None:
    """A service takes the times that are asked for, and answers what was a season ago."""
    from filiera.serving.served_model import ServedModel

    assert project.run("forecast").state.status == "succeeded"
    for opened, version in versions(project, "forecast"):
        model, signature = opened.model_parts(version)
        service = ServedModel("forecast", model, version=1, signature=signature)
        service.warm_up()
        sent = [{"at": "2026-01-02T03:00:00Z"}, {"at": "2026-01-09T23:00:00Z"}]
        assert [answer["value"] for answer in service.predict_rows(sent)] == [3.0, 11.0]
        assert {"pinball", "coverage_80"} <= set(version.description["metrics"])


def test_show_tells_how_a_model_was_fitted(project: SmallProject) -> None:
    """Chosen parameters, metrics per iteration and importances of features are shown, and all of them as data."""
    done = project.command("show", "xgboost@1")
    assert done.returncode == 0, done.stderr
    shown = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert shown["max_depth"] == ["max_depth", "3"]
    assert shown["validation_0/logloss"][1]
    assert float(shown["ports"][1]) > float(shown["rate"][1]) > 0
    assert "\nonnx       attached: largest difference" in done.stdout
    fit = project.json("show", "xgboost@1")["fit"]
    assert fit["parameters"]["learning_rate"] is None
    assert len(fit["curves"]["validation_0/logloss"]) == 5


def test_a_missing_converter_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: SmallProject
) -> None:
    """A pipeline whose model is to be exported does not train for hours to fail at the end."""
    from filiera.errors import GraphError

    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises((GraphError, ValueError), match="skl2onnx") as caught:
        project.run("lightgbm")
    assert "filiera[onnx]" in str(caught.value)
