"""Experiments side by side: what differs, which is better as far as that can be told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import Rejected, UsageError
from filiera.experiments.comparing import compare
from filiera.experiments.comparison_text import comparison_document, said
from filiera.experiments.dropping import drop
from filiera.experiments.starting import start
from tests.experiments.lab import Lab

OTHER_ROWS = "points.filter(pl.col('id') % 4 == 1)"
EVALUATED = 'points.filter(pl.col("id") % 2 == 1)'


@pytest.fixture(scope="module")
def compared_lab(published_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab in which five experiments have run; the tests only look at it."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILIERA_WORKTREES", str(folder / "worktrees"))
        lab = Lab.copied(published_lab, folder)
        for name in ("deeper", "same", "features", "strict", "other-rows"):
            start(lab.place(), name)
        lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") ** 2 + pl.col("b")')
        lab.edit("features", "flows/model.py", 'INPUTS = ["a", "b"]', 'INPUTS = ["a", "b", "double"]')
        lab.edit("strict", "flows/model.py", "at_least=0.6", "at_least=1.1")
        lab.edit("other-rows", "flows/model.py", EVALUATED, OTHER_ROWS)
        lab.try_out("features", "points")
        for name, depth in (("deeper", "2"), ("same", "4"), ("features", "1"), ("strict", "2"), ("other-rows", "2")):
            lab.try_out(name, depth=depth)
        lab.try_out("deeper", depth="5")
    return lab


def test_what_differs_is_shown(compared_lab: Lab) -> None:
    """Parameters of steps, the code of steps in words, those of the data pipeline too, and lines of files."""
    found = compare(compared_lab.place(), ["main", "deeper", "features"])
    assert found.parameters == {"fit.depth": ("1", "5", "1")}
    assert list(found.gates) == ["accuracy at least 0.6"] and not found.warnings
    values = (f"passed {metrics['accuracy'].value:.4f}" for metrics in found.metrics)
    assert found.gates["accuracy at least 0.6"] == tuple(values)
    assert found.code["deeper"].steps == {} and found.code["deeper"].files == ()
    change = found.code["features"]
    assert change.steps["fit"] == ("constant flows.model:INPUTS changed",)
    assert change.steps["points/measured"] == ("function flows.data:measured changed",)
    assert [(each.name, each.added, each.removed) for each in change.files] == [
        ("flows/data.py", 1, 1),
        ("flows/model.py", 1, 1),
    ]


def test_the_better_one_is_preferred_only_where_the_interval_says_so(compared_lab: Lab) -> None:
    """One that answers all rows rightly is better than main; of two that answer alike nothing can be told."""
    found = compare(compared_lab.place(), ["main", "deeper"])
    (verdict,) = found.verdicts
    assert (verdict.metric, verdict.best, verdict.is_clear) == ("accuracy", "deeper", True)
    assert verdict.over["main"] == found.improvements["deeper"]["accuracy"]
    assert found.improvements["deeper"]["accuracy"].low > 0
    found = compare(compared_lab.place(), ["deeper", "same"], metrics=["f1_macro"])
    assert not found.verdicts[0].is_clear and [each.names for each in found.metrics] == [("f1_macro",)] * 2
    assert "no telling between" in next(iter(said(found)))


def test_both_ways_tell_the_same(compared_lab: Lab) -> None:
    """Which one is named first changes signs, and no verdict."""
    place = compared_lab.place()
    names = ["main", "deeper"]
    there, back = (compare(place, each, metrics=["f1_macro"]) for each in (names, names[::-1]))
    one, other = there.improvements["deeper"]["f1_macro"], back.improvements["main"]["f1_macro"]
    assert one.value == -other.value > 0
    (verdict,), (again,) = there.verdicts, back.verdicts
    assert verdict.best == again.best == "deeper" and verdict.is_clear and again.is_clear
    assert verdict.over["main"] == one
    turned = again.over["main"]
    assert (turned.value, turned.low, turned.high) == (-other.value, -other.high, -other.low)


def test_a_rejected_run_is_compared_too(compared_lab: Lab) -> None:
    """It has published nothing; what it answered is kept with its run."""
    found = compare(compared_lab.place(), ["main", "strict"])
    assert found.facts["state"] == ("succeeded", "rejected") and found.facts["published"][1] == "nothing"
    assert "accuracy" in found.improvements["strict"] and not found.not_paired
    value = found.metrics[1]["accuracy"].value
    assert found.gates["accuracy at least 1.1"] == ("–", f"FAILED {value:.4f}")
    assert found.code["strict"].steps == {}, "that it was not published is no change of code"
    text = comparison_document(found, is_page=False).markdown
    assert "## Rejected by their gates\n\n- strict: accuracy at least 1.1: " in text and "misses 1.1" in text
    found = compare(compared_lab.place(), ["main", "strict", "same"])
    text = comparison_document(found, is_page=False).markdown
    assert "; but gates have rejected strict" in text
    assert [each.among for each in found.verdicts] == [("main", "strict", "same"), ("main", "same")]
    assert "accuracy: of those that passed their gates, same is better than main" in text


def test_a_run_of_an_experiment_is_compared_with_another(compared_lab: Lab) -> None:
    """``NAME/RUN`` names one; the experiment alone stands for the newest."""
    place = compared_lab.place()
    first = next(each for each in place.records("deeper")["deeper"] if each.kind == "run")
    found = compare(place, [f"deeper/{first.run_id}", "deeper"])  # type: ignore[union-attr]
    assert found.parameters == {"fit.depth": ("2", "5")}
    with pytest.raises(UsageError, match="no run 'train-99' that was measured"):
        compare(place, ["deeper/train-99", "main"])


def test_other_rows_are_not_compared_unless_somebody_asks(compared_lab: Lab) -> None:
    """The refusal says which rows; else each form of the report carries the warning."""
    place = compared_lab.place()
    with pytest.raises(Rejected, match="cannot be compared") as refused:
        compare(place, ["main", "other-rows"])
    assert "main was evaluated on 200 rows, other-rows on 100 others." in refused.value.why
    found = compare(place, ["main", "other-rows"], allow_different_data=True)
    assert found.data["warnings"] and "their data differ" in next(iter(said(found)))
    for is_page in (True, False):
        text = comparison_document(found, is_page=is_page).markdown
        assert "## Warning" in text and "other-rows on 100 others" in text


def test_another_dataset_is_not_compared(lab: Lab) -> None:
    """Though the rows evaluated are the same: one was trained on what the other has not seen."""
    start(lab.place(), "old")
    lab.try_out("old")
    lab.write({"raw.csv": (lab.root / "raw.csv").read_text() + "400,3,1,yes\n"})
    lab.commit("one row more")
    assert lab.run("points").version.ref == "points@2"  # type: ignore[union-attr]
    start(lab.place(), "new")
    lab.try_out("new")
    with pytest.raises(Rejected) as refused:
        compare(lab.place(), ["old", "new"])
    assert "points is points@1 in old and points@2 in new." in refused.value.why


def test_what_cannot_be_compared_is_said(lab: Lab) -> None:
    """One alone, one that is not there, dropped or not measured, and a metric that nobody has."""
    start(lab.place(), "idle")
    start(lab.place(), "busy")
    lab.try_out("busy")
    place = lab.place()
    for names, words in (
        (["busy"], "One experiment cannot be compared"),
        (["busy", "busy"], "One experiment cannot be compared"),
        (["busy", "bussy"], "no experiment 'bussy'"),
        (["busy", "idle"], "Nothing was measured in experiment 'idle' yet"),
    ):
        with pytest.raises(UsageError, match=words):
            compare(place, names)
    with pytest.raises(UsageError, match="measured by 'acuracy'"):
        compare(place, ["main", "busy"], metrics=["acuracy"])
    drop(place, "idle")
    with pytest.raises(UsageError, match="was dropped: filiera experiment restore idle"):
        compare(place, ["busy", "idle"])


def test_the_command(compared_lab: Lab, tmp_path: Path) -> None:
    """Text, JSON and a page; a single name is compared with its target; exit code 3 where it is refused."""
    told = compared_lab.command("experiment", "compare", "deeper").stdout
    assert told.startswith("# main · deeper") and "accuracy: deeper is better than main" in told and "├" in told
    data = compared_lab.json("experiment", "compare", "main", "deeper", "--metric", "f1_macro")
    assert data["verdicts"][0]["best"] == "deeper" and list(data["metrics"]["deeper"]) == ["f1_macro"]
    page = tmp_path / "page.html"
    assert compared_lab.command("experiment", "compare", "deeper", "same", "--html", str(page)).returncode == 0
    assert "<svg" in page.read_text() and "├" not in page.read_text()
    refused = compared_lab.command("experiment", "compare", "deeper", "other-rows")
    assert refused.returncode == 3 and "--allow-different-data" in refused.stderr and not refused.stdout
