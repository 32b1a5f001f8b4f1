"""A model published with its transforms takes raw rows, and answers alike in a step, in batch and in service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.signature import Output, Signature
from filiera.core.value import dataclass
from filiera.data.checks import run_checks
from filiera.engine.artifacts import Artifacts
from filiera.model.package import _field
from filiera.project import plugins
from filiera.project.project import Project
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel, request_body
from filiera.transforms import TransformedModel, fit_transforms, with_transform
from tests.projects import SmallProject
from tests.transforms.frames import RECIPES, any_frames, training

FLOWS = """
import polars as pl
from sklearn.linear_model import LogisticRegression

from filiera import Dataset, Metrics, Model, Source, pipeline, step
from filiera.model.metrics.classification import classification_metrics
from filiera.transforms import Impute, OneHot, Scale, TransformedModel, fit_transforms, with_transform


@pipeline(kind="data", publishes=Dataset("guests"))
def guests(raw: pl.DataFrame = Source("raw")):
    return keep(raw)


@step(stage="clean")
def keep(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@step(stage="train")
def fit(rows: pl.DataFrame) -> TransformedModel:
    transforms = fit_transforms(
        [Impute("age", "median", mask=True), OneHot("land"), OneHot("deck", unknown="error"), Scale("age")], rows[:80]
    )
    table = transforms.apply(rows[:80])
    return with_transform(transforms, LogisticRegression().fit(table.drop("happy", "note"), table["happy"].to_numpy()))


@step(stage="evaluate")
def evaluate(model: TransformedModel, rows: pl.DataFrame) -> Metrics:
    return classification_metrics(rows[80:]["happy"], model.predict(rows[80:]))


@pipeline(kind="model", publishes=Model("happiness", task="classification", may_share_rows=True))
def train(guests: pl.DataFrame = Dataset("guests@latest")):
    model = fit(guests)
    return model, evaluate(model, guests)
"""


def raw_rows(test_age: int = 30) -> pl.DataFrame:
    source = np.random.default_rng(0)
    age = source.integers(10, 80, size=120)
    land, deck = source.choice(["it", "at", "de"], size=120), source.choice(["a", "b"], size=120)
    frame = pl.DataFrame(
        {
            "age": age,
            "fare": source.random(120).round(3),
            "land": land,
            "deck": deck,
            "note": ["x"] * 120,
            "happy": np.where((age < 40) | (land == "it"), "yes", "no"),
        }
    )
    number = pl.int_range(pl.len())
    return frame.with_columns(
        pl.when(number % 7 != 0).then(pl.when(number < 80).then("age").otherwise(test_age)).alias("age"),
        pl.when(number % 11 != 0).then("land").alias("land"),
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallProject]:
    made = SmallProject(tmp_path_factory.mktemp("guests"), {"flows/__init__.py": "", "flows/all.py": FLOWS})
    with (made.root / "filiera.toml").open("a") as file:
        file.write('[catalog.raw]\ntype = "parquet"\npath = "raw.parquet"\n')
    raw_rows().write_parquet(made.root / "raw.parquet")
    assert made.run("guests").state.status == "succeeded"
    assert made.run("train").state.status == "succeeded"
    yield made


def served(project: Project, name: str = "happiness@1") -> tuple[TransformedModel, ServedModel]:
    from filiera.core.products import ProductRef

    version = project.versions.resolve("model", ProductRef.parse(name))
    model, signature = project.model_parts(version)
    return model, ServedModel("happiness", model, version=1, signature=signature)


def test_model_and_transforms_are_one_artifact_with_one_signature(project: SmallProject) -> None:
    """The signature is of raw rows: missing values are taken where they are filled, and unknown ones where known."""
    with project.opened() as opened:
        model, service = served(opened)
    assert set(model.features) == {
        "age", "fare", "age_missing", "land_at", "land_de", "land_it", "land_other", "deck_a", "deck_b",
    }  # fmt: skip
    fields = {field.name: field for field in service.contract.signature.inputs}
    assert {name: (field.type, field.nullable, field.values) for name, field in fields.items()} == {
        "age": ("int64", True, None),
        "land": ("string", True, None),
        "deck": ("string", False, ("a", "b")),
        "fare": ("float64", False, None),
    }


def test_service_takes_raw_rows_and_answers_as_batch_does(project: SmallProject) -> None:
    """One by one or together, from the frame or from JSON."""
    rows = raw_rows()
    with project.opened() as opened:
        model, service = served(opened)
    inputs = rows.select(model.feature_names_in_).to_dicts()
    labels = model.predict(rows).tolist()
    together = [answer["label"] for answer in service.predict_rows(inputs)]
    alone = [answer["label"] for row in inputs for answer in service.predict_rows([row])]
    assert together == alone == labels
    assert set(labels) == {"yes", "no"}
    probabilities = model.predict_proba(rows)[:, 0].tolist()
    assert [a["probabilities"]["no"] for a in service.predict_rows(inputs)] == pytest.approx(probabilities, rel=1e-12)


def test_a_value_that_the_transform_refuses_is_refused_by_the_service(project: SmallProject) -> None:
    """By its contract, with the place, before the model is asked."""
    with project.opened() as opened:
        _, service = served(opened)
    row = {"age": None, "land": None, "deck": "z", "fare": 1.0}
    with pytest.raises(RequestRefused, match=r"instances\[0\]\.deck"):
        service.answer(request_body([row]))
    assert service.answer(request_body([{**row, "deck": "a"}]))[0]["label"] in ("yes", "no")


def test_test_rows_leak_nothing(project: SmallProject) -> None:
    """Other test rows, whatever is in them, leave what was learned as it was, to the last byte."""
    learned = []
    for test_age in (30, 10**9):
        raw_rows(test_age).write_parquet(project.root / "raw.parquet")
        assert project.run("guests").state.status == "succeeded"
        run = project.run("train")
        with project.opened() as opened:
            model = opened.value(run.state.steps["fit"].outputs[0])
            learned.append(plain.encode(model.transforms))
    assert learned[0] == learned[1]


def test_a_model_is_trained_from_a_query(project: SmallProject) -> None:
    """A step that takes its training rows as a query is no less described by them."""
    raw_rows().write_parquet(project.root / "raw.parquet")
    project.run("guests").require_success()
    former = (project.root / "flows" / "all.py").read_text()
    lazy = former.replace("def fit(rows: pl.DataFrame)", "def fit(rows: pl.LazyFrame)")
    lazy = lazy.replace("transforms.apply(rows[:80])", "transforms.apply(rows[:80]).collect()")
    project.write({"flows/all.py": lazy})
    run = project.run("train")
    run.require_success()
    with project.opened() as opened:
        learned = opened.value(run.state.steps["fit"].outputs[0]).transforms
        assert plain.encode(learned) == plain.encode(served(opened)[0].transforms)
    project.write({"flows/all.py": former})


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """Answers with what it was given, to the last bit."""

    feature_names_in_: tuple[str, ...]

    def predict(self, rows: pl.DataFrame) -> Any:
        return np.array([repr(row) for row in rows.rows()], dtype=object)


@settings(max_examples=settings().max_examples // 5)
@given(train=training, rows=any_frames.filter(lambda rows: rows.height > 0))
def test_any_frame_reaches_the_estimator_alike(train: pl.DataFrame, rows: pl.DataFrame) -> None:
    """What the estimator sees is the same in training, in batch and in service, whatever rows may come."""
    transforms = fit_transforms(RECIPES, train)
    columns = [name for name in transforms.apply(train).columns if name != "label"]
    model = with_transform(transforms, Echo(feature_names_in_=tuple(columns)))
    rows = rows.with_columns(pl.when(pl.col(kind).is_finite()).then(pl.col(kind)) for kind in ("fare", "rate"))
    everything = pl.concat([train, rows])
    fields = tuple(_field(everything[name], (None, None, None), model) for name in model.feature_names_in_)
    label = Output(name="label", type="string", semantics="label")
    signature = Signature(task="classification", inputs=fields, outputs=(label,))
    service = ServedModel("echo", model, version=1, signature=signature)
    expected = [repr(row) for row in transforms.apply(rows.lazy()).select(columns).collect().rows()]
    inputs = rows.select(model.feature_names_in_).to_dicts()
    assert [answer["label"] for answer in service.predict_rows(inputs)] == expected
    assert [answer["label"] for row in inputs for answer in service.predict_rows([row])] == expected
    assert model.predict(rows).tolist() == expected


@settings(max_examples=settings().max_examples // 5)
@given(train=training, rows=any_frames, chosen=st.integers(0, len(RECIPES)))
def test_what_comes_out_passes_the_checks_of_the_transforms(
    train: pl.DataFrame, rows: pl.DataFrame, chosen: int
) -> None:
    """Each check that transforms promise holds for any rows."""
    fitted = fit_transforms(RECIPES[:chosen], train)
    report = run_checks(fitted.apply(rows), fitted.checks())
    assert not report.failed, report.summary


def test_a_dataclass_with_a_model_in_it_is_stored_in_parts(tmp_path: Path) -> None:
    """Each field by the codec of its type; so an estimator and plain data are one artifact."""
    from sklearn.linear_model import LinearRegression

    from filiera.adapters.folder_blobs import FolderBlobs

    artifacts = Artifacts(FolderBlobs(tmp_path, sync=lambda _: None), plugins.find_codec, plugins.codec_named)
    rows = pl.DataFrame({"a": [1.0, None, 3.0], "y": [1.0, 2.0, 3.0]})
    transforms = fit_transforms(RECIPES[:0], rows)
    model = with_transform(transforms, LinearRegression().fit(rows.select("y"), rows["y"]))
    ref = artifacts.put(model)
    assert ref.codec == "parts/1"
    again = artifacts.get(ref)
    assert type(again) is TransformedModel
    assert again.transforms == transforms
    assert again.predict(rows).tolist() == model.predict(rows).tolist()
    assert artifacts.put(again) == ref
