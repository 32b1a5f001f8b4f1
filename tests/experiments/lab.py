"""A small project in a git repository: measurements become a dataset, a tree is fitted, a gate looks at it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from filiera.experiments.place import Place
from filiera.experiments.running import Recorded, Wanted, run
from tests.projects import SmallProject

DATA = """
import polars as pl
from filiera import Dataset, Source, pipeline, step


@step(stage="transform")
def measured(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.with_columns(double=pl.col("a") * 2)


@pipeline(kind="data", publishes=Dataset("points", keys="id"))
def points(raw: pl.DataFrame = Source("raw")):
    return measured(raw)
"""
MODEL = """
from typing import Any

import polars as pl
from sklearn.tree import DecisionTreeClassifier

from filiera import Dataset, Gate, Model, pipeline, step
from filiera.core.evaluation import Evaluation
from filiera.model.evaluation import Design, evaluate

INPUTS = ["a", "b"]


@step(stage="split")
def split(points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return points.filter(pl.col("id") % 2 == 0), points.filter(pl.col("id") % 2 == 1)


@step(stage="train")
def fit(rows: pl.DataFrame, depth: int) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows.select(INPUTS), rows["label"])


@step(stage="evaluate")
def judge(model: DecisionTreeClassifier, rows: pl.DataFrame) -> Evaluation:
    asked = rows.select("id", *INPUTS, "label")
    return evaluate(model, asked, target="label", design=Design(key="id"))


@pipeline(
    kind="model",
    publishes=Model("judge", gates=[Gate("accuracy", at_least=0.6)], may_share_rows=True),
)
def train(points: pl.DataFrame = Dataset("points@latest"), depth: int = 1):
    train_rows, test_rows = split(points)
    model = fit(train_rows, depth)
    return model, judge(model, test_rows)
"""


LIGHT = """
from filiera import Dataset, pipeline, step

WIDTH = 3


@step
def numbers(width: int) -> dict[str, list[int]]:
    return {"number": list(range(width))}


@pipeline(kind="data", publishes=Dataset("counts"))
def count(width: int = WIDTH):
    return numbers(width)
"""
"""A pipeline of plain Python, which takes next to no time."""


class Lab(SmallProject):
    """The project, committed on ``main``, with ``points@1`` and ``judge@1`` published."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        lines = (f"{n},{n % 20},{n // 20},{'yes' if (n % 20 > 9) != (n // 20 > 15) else 'no'}" for n in range(400))
        files = {
            ".gitignore": ".filiera/\n__pycache__/\n",
            "flows/__init__.py": "",
            "flows/data.py": DATA,
            "flows/model.py": MODEL,
            "raw.csv": "\n".join(["id,a,b,label", *lines]) + "\n",
        }
        super().__init__(self.repository, files)
        toml = self.root / "filiera.toml"
        toml.write_text(f'{toml.read_text()}\n[catalog.raw]\ntype = "csv"\npath = "raw.csv"\n')
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("first state")

    @classmethod
    def copied(cls, folder: Path, to: Path) -> Self:
        """Return a copy of the lab in a folder."""
        shutil.copytree(folder / "repository", to / "repository")
        return cls.at(to / "repository")

    @classmethod
    def at(cls, repository: Path) -> Self:
        """Return the lab that is in a folder already."""
        found = cls.__new__(cls)
        found.root = found.repository = repository
        return found

    def git(self, *words: str, cwd: Path | None = None, check: bool = True) -> str:
        """Return what git prints."""
        done = subprocess.run(
            ["git", "-c", "user.name=Ada", "-c", "user.email=ada@lab", *words],
            cwd=cwd or self.repository,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str, cwd: Path | None = None) -> str:
        """Commit all files; return the commit."""
        self.git("add", "--all", cwd=cwd)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def place(self, start: Path | None = None) -> Place:
        """Return the place of its experiments."""
        return Place(start or self.root)

    def publish(self) -> None:
        """Run both pipelines on main."""
        assert self.run("points").status == "succeeded"
        assert self.run("train").status == "succeeded"

    def try_out(self, name: str, pipeline: str = "train", **settings: str) -> Recorded:
        """Run a pipeline of an experiment in this process and return how it ended."""
        with self.opened():
            return run(self.place(), name, Wanted(pipeline=pipeline, settings=[settings]))[0]

    def folder_of(self, name: str) -> Path:
        """Return the worktree of an experiment."""
        found = self.place().worktree(name)
        assert found is not None
        return found

    def edit(self, name: str, file: str, old: str, new: str) -> None:
        """Replace a text that occurs once in a file of an experiment."""
        path = self.folder_of(name) / file
        text = path.read_text()
        assert text.count(old) == 1, (old, text)
        path.write_text(text.replace(old, new))


class LightLab(Lab):
    """A project with one pipeline of plain Python, committed on ``main``."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        files = {
            ".gitignore": ".filiera/\n__pycache__/\n",
            "docs/page.md": "A page.\n",
            "flows/__init__.py": "",
            "flows/data.py": LIGHT,
        }
        SmallProject.__init__(self, self.repository, files)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("first state")


def state_of(lab: Lab) -> tuple[str, str, str]:
    """Return what a user's folder looks like to git: commit, what is staged, what is not."""
    return lab.git("rev-parse", "HEAD"), lab.git("diff", "--cached"), lab.git("status", "--porcelain", "-uall")


os.environ.setdefault("GIT_CONFIG_GLOBAL", os.devnull)
