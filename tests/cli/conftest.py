"""Projects that the tests of several verbs share, and the command in this process."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from filiera.cli.main import main
from filiera.project.audit import ACTOR_VARIABLE
from filiera.project.project import Project
from tests.cli.command import Answer, copied, done, filiera, make_project
from tests.cli.shop import make_shop
from tests.making import made_once
from tests.project.published import make_project as make_published_project
from tests.project.published import publish

Ask = Callable[..., Answer]
EVALUATED = """

@step(stage="evaluate")
def evaluate(model: DecisionTreeClassifier, rows: pl.DataFrame) -> Evaluation:
    return evaluation.evaluate(model, rows, target="big")


@pipeline(kind="model", publishes=Model("spender", gates=[Gate("accuracy", at_least=0.5)], may_share_rows=True))
def train(rows: pl.DataFrame = Dataset("orders@latest"), depth: int = 5):
    model = fit(rows, depth)
    return model, evaluate(model, rows)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a fresh small project."""
    return make_project(tmp_path / "small")


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project to look at only, with the runs hello-1, hello-2 (hits), hello-3, broken-1 and report-1."""

    def make(folder: Path) -> None:
        make_project(folder)
        done("run", "hello", cwd=folder)
        done("run", "hello", cwd=folder)
        done("run", "hello", "--name", "Ada", cwd=folder)
        assert filiera("run", "broken", cwd=folder).code == 1
        done("run", "report", "--title", "Flows", cwd=folder)

    return made_once(tmp_path_factory, "small", make)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that has published orders@1 and spender@1, which tests only look at."""

    def make(folder: Path) -> None:
        make_shop(folder)
        done("run", "orders", cwd=folder)
        done("run", "train", cwd=folder)

    return made_once(tmp_path_factory, "shop", make)


@pytest.fixture(scope="session")
def twice(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop with a second version of the model, which is not its champion; for tests to copy."""

    def make(folder: Path) -> None:
        copied(shop, folder)
        assert "published model spender@2" in done("run", "train", "--depth", "4", cwd=folder).out

    return made_once(tmp_path_factory, "twice", make)


@pytest.fixture(scope="session")
def two(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop with a version that kept no rows, and two of different depth that did."""

    def make(folder: Path) -> None:
        copied(shop, folder)
        file = folder / "shopflows" / "model.py"
        text = file.read_text().partition('\n\n@step(stage="evaluate")')[0] + EVALUATED
        text = text.replace("import Dataset, Gate, Metrics", "import Dataset, Evaluation, Gate")
        imported = "\nfrom filiera.model.metrics"
        file.write_text(text.replace(imported, f"\nfrom filiera.model import evaluation{imported}"))
        for depth in ("1", "5"):
            done("run", "train", "--depth", depth, cwd=folder)

    return made_once(tmp_path_factory, "two", make)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project of its own that has published m@1, used by ada@lab, whose keys lie beside it."""
    for name in [name for name in os.environ if name.startswith("FILIERA_")]:
        monkeypatch.delenv(name)
    folder = make_published_project(tmp_path / "small")
    opened = Project.open(folder)
    monkeypatch.setenv(ACTOR_VARIABLE, "ada@lab")
    publish(opened, b"m" * 10_000)
    opened.close()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Return ``filiera`` in this process, for verbs that import no code of the project."""
    for name in [name for name in os.environ if name.startswith("FILIERA_") and name != ACTOR_VARIABLE]:
        monkeypatch.delenv(name)

    def asked(*words: str, cwd: Path, stdin: str | bytes = "") -> Answer:
        monkeypatch.chdir(cwd)
        content = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)), encoding="utf-8"))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(words)
        return Answer(code=code, out=out.getvalue(), err=err.getvalue())

    yield asked
