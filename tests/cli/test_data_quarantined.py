"""``filiera data quarantined`` shows what was set aside; a pipeline gives it back once the rule changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.projects import SmallProject

pl = pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Check, Dataset, Source, pipeline, step
    from filiera.data.set_aside import readmit

    CHECKS = [Check.in_range("age", 0, 120, severity="quarantine"), Check.not_null("land", severity="quarantine")]


    @step(stage="clean")
    def clean(raw: pl.DataFrame) -> pl.DataFrame:
        return raw


    @step(stage="clean")
    def again(guests: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
        return readmit(guests, aside)


    @pipeline(kind="data", publishes=Dataset("guests", checks=CHECKS))
    def guests(raw: pl.DataFrame = Source("raw")):
        return clean(raw)


    @pipeline(kind="data", publishes=Dataset("plain"))
    def plain(raw: pl.DataFrame = Source("raw")):
        return clean(raw)


    @pipeline(kind="data", publishes=Dataset("guests", checks=CHECKS))
    def readmit_guests(
        guests: pl.DataFrame = Dataset("guests@latest"), aside: pl.DataFrame = Dataset("guests@latest").quarantined
    ):
        return again(guests, aside)
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """Return a project with guests@1, of which three rows were set aside."""
    made = SmallProject(tmp_path / "guests", {"flows/data.py": FLOWS, "raw.csv": "age,land\n30,it\n130,at\n-1,\n50,\n"})
    made.write(
        {"filiera.toml": (made.root / "filiera.toml").read_text() + '[catalog.raw]\ntype = "csv"\npath = "raw.csv"\n'}
    )
    made.run("guests").require_success()
    made.run("plain").require_success()
    return made


def test_rows_are_shown_with_their_rules(project: SmallProject, ask: Ask) -> None:
    """How many, by which rule, and the first of them."""
    out = ask("data", "quarantined", "guests", cwd=project.root).out
    assert "guests@1: 3 rows set aside" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["age", "in", "0..120", "2"] in lines
    assert ["land", "not", "null", "2"] in lines
    assert ["130", "at", "age", "in", "0..120"] in lines
    found = json.loads(ask("data", "quarantined", "guests@1", "--json", "--limit", "1", cwd=project.root).out)
    assert (found["rows"], len(found["first"])) == (3, 1)
    only = ask("data", "quarantined", "guests", "--rule", "land not null", cwd=project.root).out
    assert "130" not in only


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain"], "No rows of plain@1 were set aside"),
        (["guest"], "no dataset guest@latest"),
        (["guests", "--rule", "age in"], "No row of guests@1 broke a rule 'age in'"),
    ],
)
def test_what_there_is_not_is_said(project: SmallProject, ask: Ask, words: list[str], said: str) -> None:
    """With what there is."""
    ask("data", "quarantined", *words, cwd=project.root).said(2, said)


def test_rows_come_back_once_the_rule_changed(project: SmallProject, ask: Ask) -> None:
    """A pipeline gives them back to the checks: those that pass are published, the others stay set aside."""
    project.replace("flows/data.py", 'in_range("age", 0, 120,', 'in_range("age", 0, 150,')
    run = project.run("readmit_guests")
    run.require_success()
    with project.opened() as opened:
        from filiera.project.tables import find_table, quarantine_of

        assert find_table(opened, "guests@2").frame.collect().rows() == [(30, "it"), (130, "at")]
        assert quarantine_of(opened, "guests@2").frame.collect().height == 2


def test_a_version_without_quarantine_gives_nothing_back(project: SmallProject) -> None:
    """It is said which version, and why."""
    project.replace("flows/data.py", 'Dataset("guests@latest").quarantined', 'Dataset("plain@latest").quarantined')
    done = project.command("run", "readmit_guests")
    assert done.returncode == 2
    assert "No rows of plain@1 were set aside" in done.stderr


STEPS = """
    import polars as pl

    from filiera import Check, Dataset, Source, pipeline, step
    from filiera.data.set_aside import set_aside

    CHECKS = [Check.in_range("age", 0, 120, severity="quarantine")]


    @step(stage="clean")
    def split(raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        kept, aside = set_aside(raw, pl.col("land").is_not_null(), "has a land")
        return kept, aside.drop("age") if ODD else aside


    @step(stage="transform")
    def add(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(old=pl.col("age") > 60)


    @pipeline(kind="data", publishes=Dataset("guests", checks=CHECKS))
    def guests(raw: pl.DataFrame = Source("raw")):
        kept, aside = split(raw)
        return add(kept), aside
"""


def test_what_a_step_sets_aside_is_kept_with_the_version(project: SmallProject, ask: Ask) -> None:
    """Beside what the checks set aside, whatever columns it has; both are counted."""
    for odd in (False, True):
        project.write({"flows/data.py": STEPS.replace("ODD", str(odd))})
        project.run("guests").require_success()
        found = json.loads(ask("data", "quarantined", "guests", "--json", cwd=project.root).out)
        assert found["rows"] == 3
        assert {one["rule"]: one["rows"] for one in found["rules"]} == {"has a land": 2, "age in 0..120": 1}


def test_rows_set_aside_say_why(project: SmallProject) -> None:
    """A second table without reasons is refused, and nothing is published."""
    project.write({"flows/data.py": STEPS.replace('aside.drop("age") if ODD else aside', 'aside.drop("_rule")')})
    run = project.run("guests")
    assert run.state.status == "failed"
    assert "say" in run.state.steps["validate"].failure.message
