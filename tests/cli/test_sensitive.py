"""A column that a dataset calls sensitive: its values are in nothing that is shown or kept beside the rows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from filiera.core.products import ProductRef
from filiera.engine.rows import read_refs
from filiera.project.profiles import profile_key, profile_of
from filiera.project.tables import find_table
from tests.cli.command import filiera
from tests.cli.conftest import Ask
from tests.projects import SmallProject

SHY = ["who", "income", "born"]
pl = pytest.importorskip("polars")

FLOWS = """
    import datetime as dt

    import polars as pl
    from sklearn.tree import DecisionTreeClassifier

    from filiera import Check, Dataset, Metrics, Model, pipeline, step
    from filiera.model.metrics.classification import classification_metrics

    def early(col):
        return col("born") < dt.date(1960, 1, 1)


    LABELS = [False, True]
    SHY = ["who", "income", "born"]
    CHECKS = [
        Check.unique("who", severity="warn"),
        Check.in_range("income", 0, 700_000, severity="quarantine"),
        Check.in_range("income", 0, 600_000, severity="warn"),
        Check.rule("early", early, severity="warn"),
        Check.no_gaps("born", dt.timedelta(days=1), by=["who"], severity="warn"),
        Check.fresh("born", within=dt.timedelta(days=1), severity="warn"),
        Check.matches("who", "^nobody$", severity="warn"),
        Check.no_drift("income", severity="warn"),
    ]


    @step
    def rows(n: int) -> pl.DataFrame:
        number = pl.int_range(n)
        return pl.select(
            id=number,
            who=pl.format("zaphod-{}", number % 97),
            income=600_000.5 + number * 1000 % 103_000,
            born=pl.lit(dt.date(1971, 3, 7)) + pl.duration(days=number * 40 % 9000),
            plain=number % 7,
            good=number % 2 == 0,
        )


    @step(stage="transform")
    def older(people: pl.DataFrame) -> pl.DataFrame:
        return people.with_columns(plain=pl.col("plain") + 1)


    @step
    def fit(people: pl.DataFrame) -> DecisionTreeClassifier:
        return DecisionTreeClassifier(max_depth=2, random_state=0).fit(people.select("income", "plain"), people["good"])


    @step
    def test(model: DecisionTreeClassifier, people: pl.DataFrame) -> Metrics:
        inputs = people.select("income", "plain")
        chances = model.predict_proba(inputs)
        return classification_metrics(people["good"], model.predict(inputs), probabilities=chances, labels=LABELS)


    @pipeline(kind="data", publishes=Dataset("people", checks=CHECKS, keys=["id"], sensitive=SHY))
    def people(n: int = 200):
        return rows(n)


    @pipeline(kind="data", publishes=Dataset("derived"))
    def derived(people: pl.DataFrame = Dataset("people")):
        return older(people)


    @pipeline(kind="model", publishes=Model("m", may_share_rows=True))
    def train(people: pl.DataFrame = Dataset("people")):
        model = fit(people)
        return model, test(model, people)


    @pipeline(kind="data", publishes=Dataset("wrong", sensitive=["hwo"]))
    def wrong(n: int = 3):
        return rows(n)
"""
VALUES = re.compile(
    r"zaphod|(?<![\w.])[67]\d\d[,_]?\d\d\d(?!\w)|(?<!\w)[67]\.\d+e\+?05|(?<!\w)19[789]\d-\d\d|date\(19[789]"
)
"""Who, income and born, however they are written."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with two versions of people, and what was made of them."""
    project = SmallProject(tmp_path_factory.mktemp("people"), {"flows.py": FLOWS})
    for n in (200, 210):
        project.run("people", n=n).require_success()
    project.run("derived").require_success()
    project.run("train").require_success()
    return project.root


def test_the_pattern_finds_the_values(root: Path) -> None:
    """Otherwise the tests below would find nothing."""
    with SmallProject(root, {}).opened() as project:
        frame = project.value(project.versions.get("dataset", ProductRef("people")).artifact).head(5)
    for value in (value for row in frame.select("who", "income", "born").iter_rows() for value in row):
        assert shown(str(value)), value


def shown(text: str) -> list[str]:
    """Return the values that are in a text, without the bounds that the checks' own names have."""
    for name in ("income in 0..700000", "income in 0..600000"):
        text = text.replace(name, "")
    return VALUES.findall(text)


VERBS = """
show people@2
show people
show people-1
data profile people@1
data profile people@2 --json
data profile people --target plain --associate all
data profile people-1/rows
data profile derived --html FILE
data profile people --target good --html FILE
data diff people@1 people@2
data diff people@1 people@2 --json
data diff people@1 people@2 --key who,born,id --html FILE
data diff people-1/rows derived --key ''
data diff people-1/rows derived --key '' --html FILE
data diff people@1 people@2 --key who
data suggest-checks people
data suggest-checks people-2/rows
data quarantined people@2
data quarantined people@2 --json
show m@1
card m@1
contributions m@1
contributions m@1 --json
contributions m@1 --html FILE
contributions m@1 --row '{"id": 3}'
contributions m@1 --row '{"id": 3}' --json
contributions m@1 --row '{"id": 3}' --html FILE
versions
explain people-2/validate
plan people
""".strip().splitlines()


@pytest.mark.parametrize("words", VERBS)
def test_no_verb_shows_a_value(root: Path, ask: Ask, tmp_path: Path, words: str) -> None:
    """Whatever is asked: the columns and their counts are told, their values are not."""
    file = tmp_path / "page.html"
    answer = ask(*(str(file) if word == "FILE" else word for word in shlex.split(words)), cwd=root)
    told = answer.out + answer.err + (file.read_text() if file.exists() else "")
    assert told.strip()
    assert shown(told) == []


def test_the_log_has_no_value(root: Path) -> None:
    """What the checks say while they run is kept, too."""
    answer = filiera("log", "people-2", cwd=root)
    assert "early: 204 of 204 rows" in answer.out
    assert shown(answer.out) == []


def test_nothing_that_is_kept_beside_the_rows_has_a_value(root: Path) -> None:
    """Reports of checks, profiles, and what a model says of its inputs; but other columns are as they are."""
    with SmallProject(root, {}).opened() as project:
        for name in ("people@1", "people@2", "derived@1"):
            version = project.versions.get("dataset", ProductRef.parse(name))
            assert version.description["sensitive"] == SHY
            assert shown(repr(project.value(version.attachments["report"]))) == []
            profile = profile_of(project, find_table(project, name))
            assert shown(repr(profile)) == []
            [kept] = project.records.read("try_cache_entry", {"key": profile_key(version.artifact, SHY)})
            assert shown(repr(project.value(*read_refs(kept["outputs"], project.versions.inline)))) == []
        assert {column.name: column.maximum for column in profile.columns}["plain"] == 7
        version = project.versions.get("model", ProductRef.parse("m@1"))
        signature, reference = (project.value(version.attachments[one]) for one in ("signature", "reference"))
        assert [field.sensitive for field in signature.inputs] == [True, False]
        assert [column.name for column in reference.columns] == ["plain"]
        failed = project.value(
            project.versions.get("dataset", ProductRef.parse("people@2")).attachments["report"]
        ).failed
        assert {"who unique", "early"} <= {result.name for result in failed}
        assert {value for result in failed for one in result.examples for _, value in one.values} == {"(hidden)"}


def test_a_sensitive_target_is_refused(root: Path, ask: Ask) -> None:
    """Its classes would be values."""
    ask("data", "profile", "people", "--target", "income", cwd=root).said(2, "Column 'income' is sensitive")


def test_a_column_that_is_not_there_is_refused(root: Path) -> None:
    """A wrong name would hide nothing, and nobody would see it."""
    run = SmallProject(root, {}).run("wrong")
    failure = run.state.steps["validate"].failure
    assert failure is not None
    assert "calls a column 'hwo' sensitive" in failure.message
