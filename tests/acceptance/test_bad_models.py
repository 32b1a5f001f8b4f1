"""What can be wrong about versions of models and their data: one clear message, nothing half-published."""

from __future__ import annotations

import io
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from filiera.cli.main import main
from tests.cli.command import Answer

TOML = """\
[project]
name = "small"
flows = ["{module}"]

[profile.local]
executor = "inline"
"""

DATA = """\
import math

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from filiera import Dataset, Evaluation, Gate, Metric, Metrics, Model, pipeline, step
from filiera.model import evaluation


@step(stage="collect")
def draw(seed: int) -> pl.DataFrame:
    numbers = np.random.default_rng(seed)
    x, y = numbers.random((2, 90))
    big = np.where(x + y + numbers.normal(0, 0.1, 90) > 1, "yes", "no")
    return pl.DataFrame({"x": x, "y": y, "kind": numbers.choice(["a", "b", "c"], 90), "big": big})


@pipeline(kind="data", publishes=Dataset("points"))
def points(seed: int = 0):
    return draw(seed)
"""

MODEL = """

def twice(x):
    return 2 * x


class Mine(DecisionTreeClassifier):
    pass


@step(stage="train")
def fit(rows: pl.DataFrame, depth: int):
    tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
    return tree.fit(rows.select("x", "y"), rows["big"].to_numpy())


@step(stage="evaluate")
def assess(model, rows: pl.DataFrame) -> Evaluation:
    return evaluation.evaluate(model, rows, target="big")


GATES = [Gate("accuracy", at_least=0.3)]


@pipeline(kind="model", publishes=Model("guess", gates=GATES, may_share_rows=True))
def train(rows: pl.DataFrame = Dataset("points@latest"), depth: int = 3):
    model = fit(rows, depth)
    return model, assess(model, rows)
"""

FIT = "return tree.fit("
INPUTS = 'rows.select("x", "y")'
ASSESS = 'return evaluation.evaluate(model, rows, target="big")'
GATES = '[Gate("accuracy", at_least=0.3)]'

Ask = Callable[..., Answer]
Change = Callable[..., None]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a project with points@1, from which guess@1 was made, which tests copy."""
    folder = tmp_path_factory.mktemp("published") / "small"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        write(folder, DATA + MODEL)
        assert said(patch, folder, "run", "points").code == 0
        assert said(patch, folder, "run", "train").code == 0
        yield folder


def write(folder: Path, code: str) -> None:
    """Write the project's code into a module that no other test has imported."""
    name = f"{folder.parent.name}_{len(list(folder.glob('*.py')))}".replace("-", "_")
    for file in folder.glob("*.py"):
        file.write_text("")
    (folder / f"{name}.py").write_text(code)
    (folder / "filiera.toml").write_text(TOML.format(module=name))


def said(patch: pytest.MonkeyPatch, folder: Path, *words: str) -> Answer:
    """Return what ``filiera`` says in this process, which has scikit-learn loaded already."""
    patch.chdir(folder)
    patch.setattr(sys, "path", [*sys.path])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """Return a project with points@1 and guess@1."""
    copy = shutil.copytree(published, tmp_path / "small")
    write(copy, DATA + MODEL)
    return copy


@pytest.fixture
def ask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return ``filiera`` in the project, and in this process."""
    return lambda *words: said(monkeypatch, folder, *words)


@pytest.fixture
def change(folder: Path) -> Change:
    """Return what replaces pieces of the pipelines' code, each by the next."""

    def changed(*pieces: str) -> None:
        code = DATA + MODEL
        for old, new in zip(pieces[::2], pieces[1::2], strict=True):
            assert code.count(old) == 1, old
            code = code.replace(old, new)
        write(folder, code)

    return changed


@pytest.fixture(autouse=True)
def soundness(ask: Ask) -> Iterator[None]:
    """Check after each test that the store is sound and all versions are whole."""
    yield
    assert [finding for finding in ask("doctor", "--json").data if finding["state"] != "ok"] == []


def numbers(ask: Ask, name: str = "guess") -> list[int]:
    """Return the numbers of a product's versions."""
    return [version["version"] for version in ask("versions", name, "--json").data]


def rejected(answer: Answer, *words: str) -> None:
    """Check that a run was rejected for what the words say."""
    assert (answer.code, answer.err) == (3, ""), answer
    assert "rejected" in answer.out
    for word in words:
        assert word in answer.out, (word, answer.out)


def failed(answer: Answer, *words: str) -> None:
    """Check that a step failed with one message of ours."""
    assert (answer.code, answer.err, "Traceback" in answer.out) == (1, "", False), answer
    for word in words:
        assert word in answer.out, (word, answer.out)


# A version of a dataset that clean-up forgot.


def test_a_dataset_that_was_dropped_is_told_wherever_it_is_asked_for(folder: Path, ask: Ask) -> None:
    """That it was there, who forgot it, and what there is instead; no run begins."""
    assert ask("run", "points", "--seed", "1").code == 0
    assert "forgot points@1" in ask("gc", "--drop", "points@1").out
    words = ("points@1 is no longer there", "filiera audit points@1", "such as points@2")
    for verb in (
        ["run", "train", "--rows", "points@1"],
        ["plan", "train", "--rows", "points@1"],
        ["data", "profile", "points@1"],
        ["data", "export", "points@1", "--to", str(folder / "points.csv")],
        ["data", "diff", "points@1", "points@2"],
        ["show", "points@1"],
    ):
        ask(*verb).said(2, *words)
    assert not (folder / "points.csv").exists()
    assert "gc" in ask("audit", "points@1").out
    assert [run["run"] for run in ask("runs", "train", "--json").data] == ["train-1"]
    ask("show", "points@3").said(2, "There is no dataset points@3")


def test_a_model_outlives_the_data_it_was_made_from(folder: Path, ask: Ask) -> None:
    """Its card says that they are gone; it is compared and asked as before, and only proving needs them."""
    assert ask("run", "points", "--seed", "1").code == ask("run", "train").code == 0
    assert ask("gc", "--drop", "points@1").code == 0
    assert "- points@1, no longer in the store" in ask("card", "guess@1").out
    assert ask("compare", "guess@1", "guess@2").code == 0
    (folder / "rows.jsonl").write_text('{"x": 0.9, "y": 0.9}\n')
    assert '"label": "yes"' in ask("predict", "guess@1", "rows.jsonl").out
    ask("prove", "guess@1").said(2, "Run train-1 cannot be repeated", "made from points@1", "filiera audit points@1")


def test_what_a_model_needs_is_not_forgotten_by_age(ask: Ask) -> None:
    """Versions beyond those to keep go, but not the one that a model was made from."""
    for seed in ("1", "2"):
        assert ask("run", "points", "--seed", seed).code == 0
    assert "forgot points@2" in ask("gc", "--keep-versions", "1").out
    assert numbers(ask, "points") == [3, 1]
    assert ask("run", "train", "--rows", "points@1", "--depth", "2").code == 0


def test_bytes_that_are_lost(folder: Path, ask: Ask) -> None:
    """What the records have of their own is shown; what needs the bytes says what is gone, and how to make it anew."""
    assert ask("run", "train", "--depth", "2").code == 0
    shutil.rmtree(folder / ".filiera" / "blobs")
    compared = ask("compare", "guess@1", "guess@2").out
    noted = ask("show", "guess@1", "--json").data["description"]["metrics"]["accuracy"]["value"]
    assert f"| accuracy           | {noted:.4f} (" in compared and "an evaluation is lost" in compared
    assert "The evaluation itself is lost" in ask("card", "guess@1").out
    (folder / "rows.jsonl").write_text('{"x": 0.9, "y": 0.9}\n')
    for words in (
        ["serve", "guess@1", "--port", "0"],
        ["predict", "guess@1", "rows.jsonl"],
        ["data", "profile", "points@1"],
        ["data", "export", "points@1", "--to", "points.csv"],
    ):
        ask(*words).said(5, "is not in", "Run the pipeline again")
    assert not (folder / "points.csv").exists()
    ask("run", "train", "--depth", "4").said(5, "The bytes of dataset points@1 are not in", "filiera run points")
    for words in (["run", "points"], ["run", "train"], ["run", "train", "--depth", "2"]):
        assert ask(*words).code == 0
    assert (numbers(ask, "points"), numbers(ask)) == ([1], [4, 3, 2, 1])


# Gates that cannot be decided.


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ('Gate("acuracy", at_least=0.3)', ["no such metric; there are: accuracy,", "Did you mean 'accuracy'?"]),
        ('Gate("rmse", at_most=0.3)', ["rmse at most 0.3: no such metric; there are: accuracy,"]),
        ('Gate("accuracy", at_least=0.3, slice="kind")', ["no slice 'kind' was evaluated", "slices of: none"]),
        ('Gate("demographic_parity_difference", at_most=0.3, group="kind")', ["no groups of 'kind' were evaluated"]),
    ],
)
def test_a_gate_on_what_was_not_measured(gate: str, words: list[str], change: Change, ask: Ask) -> None:
    """The run is rejected, and told what there is to decide on."""
    change(GATES, f"[{gate}]")
    rejected(ask("run", "train"), *words)
    assert numbers(ask) == [1]


def test_the_first_version_has_no_champion_to_be_compared_with(change: Change, ask: Ask) -> None:
    """It is said that the gate had nothing to compare with, and that the version is the champion now."""
    new = 'Gate("accuracy", not_worse_than="champion", margin=0.01), Gate("evaluation_drift", at_most=0.5)'
    change(GATES, f"[{new}]", 'Model("guess"', 'Model("other"')
    out = ask("run", "train").out
    assert "passed: accuracy not worse than champion by more than 0.01: no champion yet" in out
    assert "evaluation_drift at most 0.5" in out and "(no champion yet)" in out
    assert "published model other@1 (champion)" in out


@pytest.mark.parametrize("part", ["evaluation", "reference"])
def test_a_champion_that_is_lost_in_part(part: str, folder: Path, change: Change, ask: Ask) -> None:
    """The message names it and what makes it anew; then the run goes on."""
    compared = 'Gate("accuracy", not_worse_than="champion", margin=0.3), Gate("evaluation_drift", at_most=0.9)'
    change(GATES, f"[{compared}]", '"guess"', '"other"')
    assert ask("run", "train").code == 0
    with closing(sqlite3.connect(folder / ".filiera" / "records.sqlite")) as records:
        ((body,),) = records.execute("SELECT body FROM product_version WHERE name = 'other'")
    digest = body.partition(f'"{part}":"')[2][:64]
    (blob,) = (file for file in (folder / ".filiera" / "blobs").rglob("*") if file.parent.name + file.name == digest)
    blob.unlink()
    ask("run", "train", "--depth", "2").said(5, f"The {part} of the champion other@1 is lost", "as in train-2")
    assert ask("run", "train").code == 0
    assert "published model other@2" in ask("resume", "train-3").out


NOT_DEFINED = 'return Metrics((Metric(name="accuracy", value={0}, low={1}, high={2}, n=9, method="own"),), task="{3}")'


@pytest.mark.parametrize("limit", ["at_least=0.3", 'not_worse_than="champion"'])
@pytest.mark.parametrize("value", ["math.nan", "math.inf", "-math.inf"])
def test_a_metric_that_is_no_finite_number(value: str, limit: str, change: Change, ask: Ask) -> None:
    """No gate lets it pass, also when there is no champion yet: the next ones could not be compared with it."""
    own = NOT_DEFINED.format(value, value, value, "classification")
    change(ASSESS, own, "-> Evaluation", "-> Metrics", GATES, f'[Gate("accuracy", {limit})]', '"guess"', '"other"')
    rejected(ask("run", "train"), f"the metric is {value.removeprefix('math.').replace('-math.', '-')}", "0 of 1 gates")
    assert {version["name"] for version in ask("versions", "--json").data} == {"points", "guess"}


def test_a_model_is_evaluated_as_what_it_is_declared(change: Change, ask: Ask) -> None:
    """Another task has other metrics and another signature."""
    change('Model("guess", ', 'Model("guess", task="regression", ')
    failed(ask("run", "train"), "is declared for regression, but was evaluated by the metrics of classification")
    assert numbers(ask) == [1]


# Models that cannot be kept, or are no good.


@pytest.mark.parametrize(
    ("fit", "name"),
    [
        ("return make_pipeline(FunctionTransformer(lambda x: x), tree).fit(", "<lambda>"),
        ("return make_pipeline(FunctionTransformer(twice), tree).fit(", "twice"),
        ("return Mine().fit(", "Mine"),
        ("return object() or tree.fit(", "type object"),
    ],
)
def test_a_model_that_cannot_be_stored(fit: str, name: str, change: Change, ask: Ask) -> None:
    """What in it is in the way is named; it is no traceback of a library."""
    change(FIT, fit)
    failed(ask("run", "train"), "step fit failed", "cannot be stored", name)
    assert numbers(ask) == [1]


def test_a_model_that_comes_out_otherwise_each_time(change: Change, ask: Ask) -> None:
    """It is computed once and found again; made afresh, it is another version, not the same one silently changed."""
    change("random_state=0", 'splitter="random"', "max_depth=depth", "max_depth=depth + 1")
    assert "published model guess@2" in ask("run", "train").out
    assert "unchanged, still model guess@2" in ask("run", "train").out
    digests = {ask("show", "guess@2", "--json").data["digest"]}
    while len(digests) == 1 and len(numbers(ask)) < 9:  # a random tree may well come out the same twice
        assert ask("run", "train", "--fresh", "fit").code == 0
        digests.add(ask("show", f"guess@{numbers(ask)[0]}", "--json").data["digest"])
    assert len(digests) == 2


ONE_CLASS = 'rows.filter(pl.col("big") == "no")'


def test_rows_of_one_class(change: Change, ask: Ask) -> None:
    """What is undefined on them is left out, the run says so, and a gate on it says why it is not there."""
    change(ASSESS, ASSESS.replace("rows,", f"{ONE_CLASS},"), GATES, '[Gate("roc_auc", at_least=0.5)]')
    rejected(ask("run", "train"), "ROC AUC and average precision are left out: all rows are of one class.")
    change(ASSESS, ASSESS.replace("rows,", f"{ONE_CLASS},"))
    out = ask("run", "train").out
    assert "note: MCC is left out: all rows are of one class" in out and "published model guess@2" in out
    assert "all rows are of one class" in ask("card", "guess@2").out


def test_a_class_that_was_never_learnt(change: Change, ask: Ask) -> None:
    """Its rows count as wrong, and the run says so."""
    change(FIT, f"rows = {ONE_CLASS}\n    {FIT}")
    out = ask("run", "train").out
    assert "note: The model has not learnt 'yes', which occur among these rows: always wrong." in out


def test_a_model_that_always_says_the_same(change: Change, ask: Ask) -> None:
    """Beside its metrics stand those of one that says the same; a gate that asks for more than chance rejects it."""
    constant = 'return DummyClassifier(strategy="constant", constant="no").fit('
    change(FIT, constant, GATES, '[Gate("balanced_accuracy", at_least=0.5), Gate("mcc", at_least=0.1)]')
    rejected(
        ask("run", "train"), "note: The model answers 'no' to every row.", "0 of 2 gates passed", "MCC is left out"
    )
    assert numbers(ask) == [1]


# Rows that leak, and rows that were never seen.


def test_a_model_that_is_given_the_answer(change: Change, ask: Ask) -> None:
    """The column to be predicted is no input."""
    change(
        INPUTS, 'rows.select("x", big=pl.col("big") == "yes")', 'rows["big"].to_numpy()', '(rows["x"] > 0.5).to_numpy()'
    )
    failed(ask("run", "train"), "The model takes the column 'big', which it is to predict.", "rows.drop('big')")
    assert numbers(ask) == [1]


def test_rows_that_were_trained_on(change: Change, ask: Ask) -> None:
    """The run is rejected although its gates pass."""
    change(", may_share_rows=True", "", "max_depth=depth", "max_depth=depth + 1")
    rejected(ask("run", "train"), "the model was trained on rows that it is tested on: 90 of 90", "split in a step")
    assert numbers(ask) == [1]


def test_a_column_that_only_the_evaluation_has(change: Change, ask: Ask) -> None:
    """What a service would not be given is no input either."""
    made = 'rows = rows.with_columns(hint=(pl.col("big") == "yes").cast(pl.Int8))\n    '
    change(INPUTS, 'rows.select("x", "hint")', "tree = ", f"{made}tree = ", ASSESS, made + ASSESS)
    failed(ask("run", "train"), "The training rows lack columns that the model takes: hint.")
    assert numbers(ask) == [1]


ENCODED = """\
encode = make_column_transformer((OneHotEncoder(sparse_output=False), ["kind"]), remainder="passthrough")
    return make_pipeline(encode, tree).fit("""


def test_a_category_that_was_never_seen(folder: Path, change: Change, ask: Ask) -> None:
    """In the rows that are evaluated the step fails; in those that are predicted, what the model raised is told."""
    three = 'rows.select("x", "y", "kind")'
    change(FIT, ENCODED, INPUTS, three)
    assert ask("run", "train").code == 0
    (folder / "rows.jsonl").write_text('{"x": 0.5, "y": 0.2, "kind": "zebra"}\n')
    ask("predict", "guess@2", "rows.jsonl").said(1, "ValueError: Found unknown categories ['zebra']", "Check.in_set")
    change(FIT, f'rows = rows.filter(pl.col("kind") != "c")\n    {ENCODED}', INPUTS, three)
    answer = ask("run", "train")
    assert (answer.code, "Found unknown categories ['c']" in answer.out) == (1, True)
    assert numbers(ask) == [2, 1]


# Libraries that are not there.


def test_a_library_that_is_not_installed(
    folder: Path, change: Change, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the record says can be looked at; what needs the model says what to install."""
    change(FIT, "import lightgbm\n    return lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(")
    assert ask("run", "train").code == 0
    for name in [name for name in sys.modules if name.partition(".")[0] == "lightgbm"]:
        monkeypatch.setitem(sys.modules, name, None)
    for words in (["card", "guess@2"], ["compare", "guess@1", "guess@2"], ["show", "guess@2"], ["versions", "guess"]):
        assert "guess@2" in ask(*words).out
    (folder / "rows.jsonl").write_text('{"x": 0.9, "y": 0.9}\n')
    for words in (["predict", "guess@2", "rows.jsonl"], ["serve", "guess@2", "--port", "0"]):
        ask(*words).said(1, "needs lightgbm, which is not installed", "pip install 'filiera[lightgbm]'")
    assert '"label": "yes"' in ask("predict", "guess@1", "rows.jsonl").out


# Studies whose trials fail.

STUDY = """

from dataclasses import dataclass
from typing import Annotated

from filiera.model.tune import Float, Search, tune


@dataclass(frozen=True)
class Point:
    x: Annotated[float, Float(-1, 1)]


@step
def bowl(point: Point, least: float) -> float:
    if point.x < least:
        raise ValueError(f"no bowl at {point.x}")
    return point.x


@pipeline(kind="model")
def study(least: float = 0.0):
    best, found = tune(bowl, Point, Search(trials=8, sampler="random", seed=1, goal="minimize"), least=least)
    return found
"""


def test_trials_that_raise(folder: Path, ask: Ask) -> None:
    """Some do not matter, and are listed with why; when all do, the step fails with the first reason."""
    write(folder, DATA + STUDY)
    assert ask("run", "study").code == 0
    told = ask("study", "study").out
    assert "no bowl at" in told and "failed" in told
    answer = ask("run", "study", "--least", "5")
    assert (answer.code, "no bowl at" in answer.out) == (1, True), answer
