from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filiera.core.digest import blob_digest
from tests.cli.command import Answer, done, environment, filiera, make_project
from tests.cli.conftest import Ask
from tests.cli.shop import make_shop
from tests.wheels import make_wheel

DIVERGED = 8

CODE = '''\
"""Pipelines that can be proven, and some that cannot."""

import random
from pathlib import Path

from filiera import pipeline, step

FACTOR = 2


@step
def double(x: int) -> int:
    return FACTOR * x


@step
def noise(x: int) -> float:
    return x + random.random()


@step
def seeded(x: int, seed: int) -> float:
    return x + random.Random(seed).random()


@step
def shuffled(x: int) -> list[str]:
    return list({f"text {number}" for number in range(x, 50)})


@step
def outside(x: int) -> str:
    return Path("secret.txt").read_text()


@step
def show(value: object) -> str:
    return repr(value)


@pipeline(kind="data")
def steady(x: int = 1, seed: int = 7):
    return show(seeded(double(x), seed))


@pipeline(kind="data")
def noisy(x: int = 1):
    return show(noise(double(x)))


@pipeline(kind="data")
def unordered(x: int = 1):
    return shuffled(x)


@pipeline(kind="data")
def reading(x: int = 1):
    return show(outside(x))
'''


def git(folder: Path, *words: str) -> str:
    """Return what git prints."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    """Commit all that is not ignored and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "Change something")
    return git(folder, "rev-parse", "HEAD")


def put_into_git(folder: Path) -> Path:
    """Make a project a repository with one commit."""
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text(".filiera/\n__pycache__/\nsecret.txt\n")
    commit(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a committed project, out of reach of this machine's git settings."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return put_into_git(make_project(tmp_path / "small", code=CODE))


def diverged(ask: Ask, folder: Path, what: str) -> dict[str, Any]:
    """Prove something that cannot be proven, and return what was found."""
    answer = ask("prove", what, "--json", cwd=folder)
    assert answer.code == DIVERGED, answer
    assert answer.data["proven"] is False
    found: dict[str, Any] = answer.data["divergence"]
    return found


def change_record(folder: Path, run_id: str, **values: Any) -> None:
    """Change what a run recorded, as if it had been on another machine."""
    with sqlite3.connect(folder / ".filiera" / "records.sqlite") as database:
        (text,) = database.execute("SELECT record FROM run WHERE run_id = ?", (run_id,)).fetchone()
        record = json.dumps(json.loads(text) | values)
        database.execute("UPDATE run SET record = ? WHERE run_id = ?", (record, run_id))
    database.close()


def proofs(folder: Path) -> list[tuple[str, str]]:
    """Return which runs are noted as proven, and by whom."""
    with sqlite3.connect(folder / ".filiera" / "records.sqlite") as database:
        found = database.execute('SELECT run_id, "by" FROM proof').fetchall()
    database.close()
    return found


def keep_lock(folder: Path, text: str) -> str:
    """Keep a lock as a blob and return its digest."""
    content = text.encode()
    digest = blob_digest(content)
    file = folder / ".filiera" / "blobs" / digest[:2] / digest[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return digest


def test_a_version_is_proven_from_its_record(tmp_path: Path, ask: Ask) -> None:
    """A dataset and the model made from it are rebuilt to the last byte, though the source has changed since."""
    folder = put_into_git(make_shop(tmp_path / "shop"))
    done("run", "orders", cwd=folder)
    done("run", "train", cwd=folder)
    for source in folder.glob("*.csv"):
        source.write_text("spoilt")
    answer = filiera("prove", "orders@1", cwd=folder, env={"FILIERA_ACTOR": "ada@lab"})
    assert answer.code == 0, answer
    assert "orders@1 is proven: " in answer.out
    assert "taken over" in answer.out
    data = ask("prove", "spender@champion", "--json", cwd=folder).data
    assert (data["proven"], data["what"], data["run"], data["divergence"]) == (True, "spender@1", "train-1", None)
    comparisons = {step["step"]: step["comparison"] for step in data["steps"]}
    assert set(comparisons.values()) == {"equal"}
    assert {"fit", "gate", "publish"} <= comparisons.keys()
    assert "orders@1" in data["taken_over"]
    assert proofs(folder)[0] == ("orders-1", "ada@lab")
    assert [run_id for run_id, _ in proofs(folder)] == ["orders-1", "train-1"]
    for what in ("orders@1", "orders-1"):
        lines = done("show", what, cwd=folder).out.splitlines()
        assert [line.endswith("by ada@lab") for line in lines if line.startswith("proven")] == [True]


def test_nothing_but_the_proof_is_written(project: Path, ask: Ask) -> None:
    """Neither the project nor its repository nor the blobs of its store change."""

    def files() -> dict[Path, int]:
        found = (path for path in project.rglob("*") if not path.name.startswith("records.sqlite"))
        return {path: path.stat().st_mtime_ns for path in sorted(found) if path.is_file()}

    done("run", "steady", cwd=project)
    before = files()
    assert ask("prove", "steady", cwd=project).code == 0
    assert files() == before
    assert [run_id for run_id, _ in proofs(project)] == ["steady-1"]


def test_chance_is_found_and_named(project: Path, ask: Ask) -> None:
    """The first step that returns something else is named, with what draws the numbers; what is seeded is equal."""
    done("run", "noisy", cwd=project)
    told = ask("prove", "noisy-1", cwd=project)
    assert told.code == DIVERGED, told
    assert "noisy-1 is not proven: noise is the first step that diverges.\nWhy: Run three times" in told.out
    assert "it draws random numbers, random.random in flows.small:noise" in told.out
    assert "Do:  Make the seed a parameter" in told.out
    assert proofs(project) == []


def test_the_order_of_a_set_is_found(project: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that relies on the order of a set, which is another one in each process."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    done("run", "unordered", cwd=project)
    found = diverged(ask, project, "unordered")
    assert found["cause"] == "order"
    assert "PYTHONHASHSEED was not set, so the order of a set of texts differs" in found["why"]


def test_the_hash_seed_of_the_run_is_used(project: Path) -> None:
    """With PYTHONHASHSEED set the order of a set is the same each time, and is proven without setting it again."""
    assert filiera("run", "unordered", cwd=project, env={"PYTHONHASHSEED": "3"}).code == 0
    kept = {name: value for name, value in environment().items() if name != "PYTHONHASHSEED"}
    command = [sys.executable, "-m", "filiera.cli.main", "prove", "unordered"]
    assert subprocess.run(command, cwd=project, env=kept, capture_output=True, check=False).returncode == 0


def test_a_dirty_tree_is_proven_from_its_changes(project: Path, ask: Ask) -> None:
    """What was edited and what was new when the run started are rebuilt, whatever became of them."""
    module = project / "flows" / "small.py"
    text = module.read_text()
    (project / "flows" / "fresh.py").write_text("FACTOR = 5\n")
    module.write_text(text.replace("FACTOR = 2\n", "from flows.fresh import FACTOR\n"))
    done("run", "steady", cwd=project)
    module.write_text(text)
    (project / "flows" / "fresh.py").unlink()
    answer = ask("prove", "steady-1", cwd=project)
    assert answer.code == 0, answer
    assert "with its uncommitted changes" in answer.out


def test_a_part_of_a_repository_is_proven(tmp_path: Path) -> None:
    """The project may lie deep in a repository, and import what lies elsewhere in it."""
    top = tmp_path / "all"
    make_project(top / "projects" / "small", code=CODE.replace("FACTOR = 2\n", "from shared import FACTOR\n"))
    (top / "lib").mkdir()
    (top / "lib" / "shared.py").write_text("FACTOR = 3\n")
    folder = put_into_git(top) / "projects" / "small"
    beside = {"PYTHONPATH": os.pathsep.join([str(top / "lib"), os.environ.get("PYTHONPATH", "")])}
    assert filiera("run", "steady", cwd=folder, env=beside).code == 0
    (top / "lib" / "shared.py").write_text("FACTOR = 4\n")
    answer = filiera("prove", "steady-1", cwd=folder, env=beside)
    assert answer.code == 0, answer


def test_a_commit_that_is_gone_is_told(project: Path, ask: Ask) -> None:
    """History was rewritten: the run cannot be proven here, and it is said what to fetch."""
    done("run", "steady", cwd=project)
    change_record(project, "steady-1", commit="1" * 40)
    answer = ask("prove", "steady-1", cwd=project)
    answer.said(4, "Commit 111111111111 is not in the repository", "git fetch origin 1111")


def test_a_run_without_git_is_told(tmp_path: Path) -> None:
    """A project that is in no repository has no code to rebuild."""
    folder = make_project(tmp_path / "small", code=CODE)
    env = {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    assert filiera("run", "steady", cwd=folder, env=env).code == 0
    answer: Answer = filiera("prove", "steady-1", cwd=folder, env=env)
    answer.said(4, "Run steady-1 has no commit", "git init")


def test_what_git_ignores_is_not_there(project: Path, ask: Ask) -> None:
    """A step that reads an ignored file fails in a clean place, and that is the reason given."""
    (project / "secret.txt").write_text("x")
    done("run", "reading", cwd=project)
    found = diverged(ask, project, "reading-1")
    assert (found["step"], found["cause"]) == ("outside", "failed")
    assert "FileNotFoundError" in found["why"]


def test_a_lasting_difference_is_told_with_what_differs(project: Path, tmp_path: Path, ask: Ask) -> None:
    """A step that returns the same each time, but not what it did: machine, or something outside."""
    module = project / "flows" / "small.py"
    module.write_text(module.read_text().replace('Path("secret.txt")', f"Path({str(tmp_path / 'x')!r})"))
    commit(project)
    (tmp_path / "x").write_text("then")
    done("run", "reading", cwd=project)
    (tmp_path / "x").write_text("now")
    change_record(project, "reading-1", processor="Another 3000")
    found = diverged(ask, project, "reading-1")
    assert (found["step"], found["cause"]) == ("outside", "environment")
    assert "the processor was Another 3000 and is " in found["why"]


def test_code_that_is_not_what_ran_is_named(project: Path, ask: Ask) -> None:
    """When the record does not lead to the code that ran, the parts that differ are named."""
    module = project / "flows" / "small.py"
    first = commit(project)
    module.write_text(module.read_text().replace("FACTOR = 2", "FACTOR = 6"))
    commit(project)
    done("run", "steady", cwd=project)
    change_record(project, "steady-1", commit=first)
    found = diverged(ask, project, "steady-1")
    assert (found["step"], found["cause"]) == ("double", "code")
    assert "constant flows.small:FACTOR changed" in found["why"]


def test_the_recorded_environment_is_made_again(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    """A run with other distributions than are installed here is proven with those that it had."""
    make_wheel(tmp_path / "wheels", "lamp", "1.0")
    then = tmp_path / "then"
    then.mkdir()
    (then / "lamp.py").write_text("VERSION = '1.0'\n")
    module = project / "flows" / "small.py"
    module.write_text(module.read_text().replace("import random\n", "import random\nimport lamp\n"))
    module.write_text(module.read_text().replace("return FACTOR * x", "return FACTOR * x + len(lamp.VERSION)"))
    commit(project)
    with_lamp = {"PYTHONPATH": os.pathsep.join([str(then), os.environ.get("PYTHONPATH", "")])}
    assert filiera("run", "steady", cwd=project, env=with_lamp).code == 0
    change_record(project, "steady-1", distributions=keep_lock(project, "lamp==1.0\n"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    answer = ask("prove", "steady-1", cwd=project)
    assert answer.code == 0, answer
    assert "made from the recorded lock" in answer.out
    change_record(project, "steady-1", distributions=keep_lock(project, "lamp==2.0\n"))
    answer = ask("prove", "steady-1", cwd=project)
    answer.said(4, "The recorded environment cannot be made again", "--this-environment")
    answer = filiera("prove", "steady-1", "--this-environment", cwd=project, env=with_lamp)
    assert answer.code == 0, answer
    assert " was not installed and is " in answer.out
    change_record(project, "steady-1", python="3.99.0")
    ask("prove", "steady-1", cwd=project).said(4, "had Python 3.99.0", "--this-environment")


def test_what_cannot_be_imported_there_is_told(project: Path, ask: Ask) -> None:
    """A module that git ignores is not in the clean place: the pipeline cannot even be planned."""
    (project / ".gitignore").write_text(".filiera/\n__pycache__/\nlocal.py\n")
    (project / "flows" / "local.py").write_text("X = 1\n")
    module = project / "flows" / "small.py"
    module.write_text(module.read_text() + "\nfrom flows.local import X\n")
    commit(project)
    done("run", "steady", cwd=project)
    answer = ask("prove", "steady-1", cwd=project)
    answer.said(4, "Run steady-1 cannot be repeated in a clean place", "No module named 'flows.local'")


def test_a_hit_is_proven_by_computing_it(project: Path, ask: Ask) -> None:
    """A run in which nothing was computed is proven as if everything had been."""
    done("run", "steady", cwd=project)
    done("run", "steady", cwd=project)
    data = ask("prove", "steady-2", "--json", cwd=project).data
    assert [step["comparison"] for step in data["steps"]] == ["equal"] * 3
    ask("prove", "steady-9", cwd=project).said(2, "There is no run 'steady-9'")
    ask("prove", "flows@3", cwd=project).said(2, "There is no dataset, model or service 'flows'")


def test_a_failed_run_is_proven_as_far_as_it_came(project: Path, ask: Ask) -> None:
    """Steps that have no recorded output are not compared."""
    assert filiera("run", "reading", cwd=project).code == 1
    data = ask("prove", "reading", "--json", cwd=project).data
    assert data["proven"] is True
    assert [step["comparison"] for step in data["steps"]] == ["not compared", "not compared"]


GROWING = """\
from filiera import pipeline, step, when


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def fit(number: int) -> float:
    return number / 3


@step
def is_many(fits: list[float]) -> bool:
    return len(fits) > 2


@step
def total(fits: list[float]) -> float:
    return sum(fits)


@step(dynamic=True)
def spread(fits: list[float]) -> list[float]:
    return [fit(int(value)) for value in fits]


@pipeline(kind="data")
def growing(count: int = 4):
    fits = fit.map(numbers(count))
    return total(fits), spread(fits)
"""


def test_graphs_that_grow_are_compared_call_by_call(project: Path, ask: Ask) -> None:
    """Of a map each call is compared, and of a dynamic step what it became."""
    (project / "flows" / "growing.py").write_text(GROWING)
    commit(project)
    done("run", "growing", cwd=project)
    data = ask("prove", "growing", "--json", cwd=project).data
    assert {step["comparison"] for step in data["steps"]} == {"equal"}
    assert {"numbers", "fit", "fit[0]", "fit[3]", "total", "spread"} <= {step["step"] for step in data["steps"]}
    module = project / "flows" / "growing.py"
    module.write_text(GROWING.replace("number / 3", "number / 3 + (random() if number == 2 else 0)"))
    module.write_text("from random import random\n" + module.read_text())
    done("run", "growing", cwd=project)
    found = diverged(ask, project, "growing-2")
    assert (found["step"], found["cause"]) == ("fit[2]", "chance")
    assert "random.random in flows.growing:fit" in found["why"]


def test_a_run_that_goes_on_is_not_proven_yet(project: Path, ask: Ask) -> None:
    """Its outputs are not known."""
    done("run", "steady", cwd=project)
    with sqlite3.connect(project / ".filiera" / "records.sqlite") as database:
        mine = json.dumps({"host": "elsewhere", "boot": "", "pid": 1, "start": "1"})
        database.execute("UPDATE run SET state = 'running', heartbeat_at = 1e12, driver = ?", (mine,))
    database.close()
    ask("prove", "steady-1", cwd=project).said(2, "Run steady-1 is running")
