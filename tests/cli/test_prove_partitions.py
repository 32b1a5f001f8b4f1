"""``filiera prove`` of a version whose run computed some partitions and kept the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.command import done
from tests.projects import SmallProject

pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def day(of: str) -> pl.DataFrame:
        return pl.DataFrame({"of": [of] * 3, "n": [1, 2, 3]})


    @pipeline(kind="data", publishes=Dataset("days", partitions="days"))
    def days(days: list[str] = ["a", "b"]):
        return day.map(days)
"""


def test_a_version_with_partitions_is_proven(tmp_path: Path) -> None:
    """What the run computed is computed again; with the partitions it took over, the bytes are the same."""
    small = SmallProject(tmp_path, {"flows.py": FLOWS, ".gitignore": ".filiera\n__pycache__\n"})
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=small.root, check=True)
    done("run", "days", cwd=small.root)
    done("run", "days", "--days", "c", cwd=small.root)
    answer = done("prove", "days@2", "--this-environment", cwd=small.root)
    assert "days@2 is proven: 4 steps, every output equal to the last byte." in answer.out
    assert "day[0]" in answer.out
