"""Several pipelines at once: which are meant, and which come after others."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.pipeline import Pipeline, pipeline
from filiera.core.products import Dataset, Model
from filiera.core.step import step
from filiera.errors import UsageError
from filiera.project.several import in_order, load_several
from tests.projects import SmallProject

FILES = {
    "flows/__init__.py": "",
    "flows/one.py": """
        from filiera import pipeline, step

        @step
        def one() -> int:
            return 1

        @pipeline(kind="data")
        def etl_a():
            return one()

        @pipeline(kind="data")
        def etl_b():
            return one()
    """,
    "flows/two.py": """
        from filiera import pipeline
        from flows.one import one

        @pipeline(kind="data")
        def other():
            return one()
    """,
}


def test_names_and_patterns_stand_for_pipelines(tmp_path: Path) -> None:
    """Each is meant once, in the order asked for; what fits nothing is told."""
    with SmallProject(tmp_path, FILES).opened() as project:
        found = load_several(project.config, ["other", "etl_*", "*a"])
        assert [one.name for one in found] == ["other", "etl_a", "etl_b"]
        for text, said in (("etl_c", "Did you mean 'etl_b'?"), ("x*", "has no pipeline 'x*'")):
            with pytest.raises(UsageError) as raised:
                load_several(project.config, ["other", text])
            assert said in str(raised.value)


@step
def work(rows: int) -> int:
    return rows


@pipeline(kind="data", publishes=Dataset("flows"))
def flows():
    return work(1)


@pipeline(kind="data", publishes=Dataset("more"))
def more(rows: int = Dataset("flows@latest"), own: int = Dataset("more@latest")):
    return work(rows)


@pipeline(kind="model", publishes=Model("m", task="clustering"))
def train(rows: int = Dataset("more@latest")):
    return work(rows)


@pipeline(kind="model")
def pinned(rows: int = Dataset("flows@3")):
    return work(rows)


@pipeline(kind="data", publishes=Dataset("back"))
def back(model: int = Model("m@champion"), there: int = Dataset("forth@latest")):
    return work(model)


@pipeline(kind="data", publishes=Dataset("forth"))
def forth(there: int = Dataset("back@latest")):
    return work(there)


@pytest.mark.parametrize(
    ("wanted", "groups"),
    [
        ([train, flows, pinned], [["train", "flows", "pinned"]]),
        ([train, more, flows, pinned], [["flows", "pinned"], ["more"], ["train"]]),
        ([forth, back, flows], [["flows"], ["forth", "back"]]),
    ],
)
def test_readers_come_after_publishers(wanted: list[Pipeline], groups: list[list[str]]) -> None:
    """Whoever reads the newest version waits for who makes it; a number is what it is; a circle is run as it stands."""
    assert [[one.name for one in group] for group in in_order(wanted)] == groups
