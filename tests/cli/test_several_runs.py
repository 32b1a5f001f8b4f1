from __future__ import annotations

import re
from pathlib import Path

from tests.cli.command import Answer, done, filiera, make_project
from tests.cli.shop import make_shop


def many(count: int) -> str:
    """Return the code of so many pipelines, of which every tenth fails."""
    lines = ["from filiera import pipeline, step", "", "@step", "def work(x: int) -> int:"]
    lines += ["    if x % 10 == 9:", "        raise ValueError(x)", "    return x", ""]
    for number in range(count):
        lines += ["@pipeline(kind='data')", f"def p{number}():", f"    return work({number})", ""]
    return "\n".join(lines)


def run(folder: Path, *words: str, code: int = 0) -> Answer:
    answer = filiera("run", *words, cwd=folder)
    assert (answer.code, answer.err) == (code, ""), answer
    return answer


def test_several_pipelines_run_together(project: Path) -> None:
    """Each line says of which; what is printed too; one more line says how each ended."""
    out = run(project, "hello", "hel*o", "broken", code=1).out
    lines = [line.split() for line in out.splitlines()]
    assert ["hello", "greet", "│", "greeting", "world"] in lines
    assert any(line[:4] == ["hello", "greet", "transform", "succeeded"] for line in lines)
    assert any(line[:4] == ["broken", "fail", "transform", "failed"] for line in lines)
    assert ["2", "pipelines:", "1", "succeeded,", "1", "failed"] in lines
    assert "broken-1 failed: step fail failed: ValueError: cannot raise Hello, you!" in out
    assert 'raise ValueError(f"cannot {how} {text}")' in out
    assert out.endswith("Do:  filiera show broken-1; filiera runs --state failed\n")


SAYING = """\
from filiera import pipeline, step


@step(cache=False)
def say(x: int) -> int:
    print("saying", x)
    return x


@pipeline(kind="data")
def say_a():
    return say(1)


@pipeline(kind="data")
def say_b():
    return say(2)
"""


def test_each_run_has_its_own_log(tmp_path: Path) -> None:
    """Though the steps of all print to the files of one driver."""
    folder = make_project(tmp_path / "small", code=SAYING)
    run(folder, "say_*")
    assert [done("log", name, cwd=folder).out for name in ("say_a", "say_b")] == [
        "── say ──\nsaying 1\n",
        "── say ──\nsaying 2\n",
    ]


def test_json_is_a_list_of_runs(project: Path) -> None:
    """As a single one is told, one after the other."""
    data = run(project, "hello", "broken", "--json", code=1).data
    assert [(one["run"], one["status"]) for one in data] == [("hello-1", "succeeded"), ("broken-1", "failed")]


def test_nothing_starts_when_one_cannot_be_planned(project: Path) -> None:
    """The pipeline that is wrong is named; parameters belong to one pipeline, --fresh to all."""
    filiera("run", "hello", "report", cwd=project).said(2, "Pipeline 'report' cannot be planned", "none has started")
    filiera("run", "hello", "broken", "--name", "x", cwd=project).said(2, "'--name' cannot be given")
    filiera("run", "hello", "hallo", cwd=project).said(2, "no pipeline 'hallo'", "Did you mean 'hello'?")
    filiera("run", "x*", cwd=project).said(2, "no pipeline 'x*'", "filiera pipelines")
    filiera("run", "hello", "broken", "--fresh", "count", cwd=project).said(2, "'broken'", "no step 'count'")
    assert done("runs", "--json", cwd=project).data == []


def test_many_runs_have_a_line_each_and_then_only_what_is_wrong(tmp_path: Path) -> None:
    """The output is bounded, however many pipelines there are."""
    folder = make_project(tmp_path / "small", code=many(260))
    some = run(folder, "p1?", "p20", code=1).out.splitlines()
    assert len([line for line in some if re.match(r"  p\d+ +(succeeded|failed)", line)]) == 11
    assert "11 pipelines: 10 succeeded, 1 failed" in some
    out = run(folder, "*", code=1).out
    assert "260 pipelines: 234 succeeded, 26 failed" in out
    assert len(out.splitlines()) < 50
    assert "… and 16 more" in out
    assert len(done("runs", "--limit", "1000", "--json", cwd=folder).data) == 271


def test_who_reads_what_another_publishes_runs_after_it(tmp_path: Path) -> None:
    """The model is trained on the dataset that the same command published; when that fails, it is not started."""
    folder = make_shop(tmp_path / "shop")
    settings = folder / "filiera.toml"
    settings.write_text(settings.read_text().replace('executor = "inline"', "workers = 1"))
    out = run(folder, "train", "orders").out
    assert "orders-1 published dataset orders@1" in out and "train-1 published model spender@1" in out
    assert done("show", "train", "--json", cwd=folder).data["inputs"] == {"rows": "orders@1"}
    data = folder / "orders.csv"
    data.write_text(data.read_text() + "3,5.5,xx,no\n")
    answer = run(folder, "train", "orders", "--json", code=3)
    assert [(one["pipeline"], one["status"]) for one in answer.data] == [
        ("orders", "rejected"),
        ("train", "not started"),
    ]
    assert "train not started: orders did not succeed" in run(folder, "train", "orders", code=3).out
