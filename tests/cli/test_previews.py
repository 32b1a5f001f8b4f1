from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from filiera import Html, Markdown, Metric, Metrics
from filiera.cli.previews import preview, write_file
from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.report import Svg
from filiera.errors import UsageError
from filiera.model.contributions_summary import InputContributions, Summary
from filiera.model.importance import Importance, InputImportance, Permuting
from filiera.project.project import Project
from tests.cli.command import make_project


@dataclass(frozen=True)
class Point:
    """A value of a project's own class."""

    x: int


def test_documents_are_for_files() -> None:
    """A page or drawing is not poured onto the terminal; Markdown is text."""
    assert preview(Html("<p>")) == "a page of 3 B; write it to a file with --open FILE"
    assert preview(Svg("<svg/>")).startswith("a drawing of 6 B")
    assert preview(Markdown("# Title")) == "# Title"


def test_metrics_are_lines() -> None:
    """Each metric is a line with its interval."""
    metric = Metric(name="accuracy", value=0.8, low=0.4, high=0.9, n=10, method="wilson")
    assert preview(Metrics((metric,), task="classification")) == str(metric)


def test_plain_values_are_readable() -> None:
    """Structures are broken into lines, other values are their own text."""
    assert preview({"a": [1, 2]}) == "{'a': [1, 2]}"
    assert preview(Point(1)) == "Point(x=1)"
    assert preview("text\nmore") == "text\nmore"
    assert preview(None) == "None"


def test_long_values_are_cut_with_a_count() -> None:
    """What is not shown is counted."""
    assert preview("x" * 5000).endswith("x\n… 1,000 characters more")


def test_files_are_listed(tmp_path: Path) -> None:
    """A file is named with its size, a folder with its files."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("abc")
    assert preview(tmp_path / "deep" / "a.txt").startswith("the file a.txt, 3 B")
    assert preview(tmp_path).splitlines()[1:] == ["deep/a.txt"]


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    """Return an opened project."""
    return Project.open(make_project(tmp_path / "small"))


@pytest.mark.parametrize(
    ("value", "content"),
    [(Html("<p>é"), "<p>é"), (Markdown("# T"), "# T"), ("text", "text"), ({"a": 1}, '{"a":1}'), (b"\x00", "\x00")],
)
def test_values_are_written_as_they_are(value: object, content: str, opened: Project, tmp_path: Path) -> None:
    """Reports and texts as text, other values as they are stored."""
    write_file(opened, opened.artifacts.put(value), tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == content


def test_files_and_folders_are_copied(opened: Project, tmp_path: Path) -> None:
    """A stored file comes back as a file, a folder as a folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("abc")
    write_file(opened, opened.artifacts.put(tmp_path / "in"), tmp_path / "out")
    write_file(opened, opened.artifacts.put(tmp_path / "in" / "a.txt"), tmp_path / "b.txt")
    assert [(tmp_path / name).read_text() for name in ("out/a.txt", "b.txt")] == ["abc", "abc"]


def test_what_cannot_be_written_is_told(opened: Project, tmp_path: Path) -> None:
    """The message has the file and what the system says."""
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        write_file(opened, opened.artifacts.put("text"), tmp_path)


def test_profiles_are_tables_and_pages(opened: Project, tmp_path: Path) -> None:
    """What a step explored is seen column by column, and written as a page where the file is one."""
    pl = pytest.importorskip("polars")
    from filiera.data.explore import explore

    profile = explore(pl.DataFrame({f"c{i}": [1, 2] for i in range(80)}), title="t")
    assert "c79" in preview(profile)
    ref = opened.artifacts.put(profile)
    write_file(opened, ref, tmp_path / "t.html")
    assert (tmp_path / "t.html").read_text(encoding="utf-8").endswith("</html>\n")
    write_file(opened, ref, tmp_path / "t.json")
    assert opened.value(ref) == profile


def test_transforms_are_told_in_lines() -> None:
    """What was learned, not how it is stored."""
    pl = pytest.importorskip("polars")
    from filiera.transforms import Impute, fit_transforms

    fitted = fit_transforms([Impute("age")], pl.DataFrame({"age": [20, None, 40]}))
    assert preview(fitted) == "learned from 3 rows\nImpute age: median 30.0; 33.3% was missing"


def evaluation() -> Evaluation:
    metric = Metric(name="mae", value=0.5, low=0.25, high=0.75, n=10, method="bootstrap-t")
    metrics = Metrics((metric,), task="regression", notes=("One note.",))
    fair = Fairness(column="sex", positive="yes", groups=(), differences=Metrics((metric,), task="classification"))
    rows = pl.DataFrame({"truth": [1.0, 2.0], "predicted": [1.5, 1.5]})
    part = Slice(column="site", value="rome", metrics=metrics)
    return Evaluation(metrics=metrics, slices=(part,), fairness=(fair,), rows=rows)


def test_an_evaluation_is_shown_with_its_parts() -> None:
    """Metrics, notes, a line for each slice and each difference between groups, and how to see the rest."""
    line = "mae 0.5000, 95 % interval 0.2500 to 0.7500, on 10 rows"
    assert preview(evaluation()).splitlines() == [
        line,
        "One note.",
        f"site = rome: {line}",
        f"sex: {line}",
        "write all, with plots, to a page: --open FILE.html",
    ]


def test_the_importance_of_inputs_is_shown_and_written_as_a_page(opened: Project, tmp_path: Path) -> None:
    """A step may return it: a table for the terminal, a page with a drawing for a browser."""
    mae = next(iter(evaluation().metrics))
    one = InputImportance(columns=("size",), value=0.5, low=0.25, high=0.75, repeats=(0.5,))
    found = Importance(task="regression", baseline=mae, inputs=(one,), how=Permuting(repeats=1), rows="0" * 64)
    assert "| size  |      +0.5000 | +0.2500 to +0.7500 | matters |" in preview(found)
    write_file(opened, opened.artifacts.put(found), tmp_path / "i.html")
    assert "<svg" in (tmp_path / "i.html").read_text(encoding="utf-8")
    added = InputContributions(name="size", sizes=(0.5,), directions=(1.0,), points=((0.5, 0.0), (-0.5, 1.0)))
    summed = Summary(outputs=("",), unit="answer", base=(2.0,), n=2, inputs=(added,), rows="0" * 64)
    assert "| size  | 0.5000 | raise it      |" in preview(summed)
    write_file(opened, opened.artifacts.put(summed), tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text(encoding="utf-8").count("<circle") == 4


def test_an_evaluation_is_written_as_a_page(opened: Project, tmp_path: Path) -> None:
    """To a file of HTML goes the page with plots."""
    write_file(opened, opened.artifacts.put(evaluation()), tmp_path / "e.html")
    assert "<svg" in (tmp_path / "e.html").read_text(encoding="utf-8")
