from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from filiera.adapters.flight_locks import FlightLocks
from filiera.project import plugins
from filiera.project.worker import Keys
from tests.cli.command import done, make_project

CODE = """\
import os
import sys

from filiera import pipeline, step


@step
def surroundings() -> dict[str, str]:
    return {
        "folder": os.getcwd(),
        "path": sys.path[0],
        "left over": os.environ.get("FILIERA_PATH", ""),
        "relative": open("note.txt").read(),
    }


@pipeline(kind="data")
def look():
    surroundings()
"""


def test_a_step_finds_itself_in_its_project(tmp_path: Path) -> None:
    """Whatever folder the command was given in: relative paths start at the project, whose modules come first."""
    folder = make_project(tmp_path / "small", code=CODE)
    (folder / "note.txt").write_text("here")
    done("run", "look", cwd=folder / "flows")
    shown = done("show", "look/surroundings", cwd=folder).out
    expected = {"folder": str(folder), "path": str(folder), "left over": "", "relative": "here"}
    for name, value in expected.items():
        assert f"{name!r}: {value!r}" in shown


def test_keys_that_are_known_or_taken_are_not_free(tmp_path: Path) -> None:
    """A worker goes on with a step only if its key is in no cache entry and nobody computes it, and then takes it."""
    records = plugins.metadata_store(tmp_path)
    row = {"outputs": "", "blocked": "", "run_id": "r-1", "step": "s", "stored_at": 0.0}
    records.write([("put_cache_entry", {"key": "1" * 64, **row})])
    with closing(FlightLocks(tmp_path / "flights")) as driver:
        driver.try_take("2" * 64)
        keys = Keys(tmp_path, driver.holder)
        assert [keys.is_free(digit * 64) for digit in "12334"] == [False, False, True, False, True]
        assert [driver.try_take(digit * 64) for digit in "1234"] == [True, False, False, False]
        driver.release("3" * 64)
        assert keys.is_free("3" * 64)
    records.close()


def test_nothing_is_free_where_nobody_can_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that cannot read the records leaves the decision to the driver."""
    (tmp_path / "records.sqlite").write_text("no database, but long enough to be taken for a damaged one" * 20)
    with closing(FlightLocks(tmp_path / "flights")) as driver:
        assert not Keys(tmp_path, driver.holder).is_free("1" * 64)
        assert "The driver decides" in capsys.readouterr().err
        assert driver.try_take("1" * 64)


CHAIN = """\
from filiera import pipeline, step


@step
def first(x: int) -> int:
    return x * 1


@step
def second(x: int) -> int:
    return x + 1


@step
def third(x: int) -> int:
    return x + 1


@pipeline(kind="data")
def chain(x: int = 1):
    return third(second(first(x)))
"""


def test_a_worker_that_goes_on_finds_what_is_known(tmp_path: Path) -> None:
    """When a step's code changes and its result does not, what follows is found in the cache, not run ahead."""
    folder = make_project(tmp_path / "small", code=CHAIN)
    assert "3 ran, 0 from cache" in done("run", "chain", cwd=folder).out
    (folder / "flows" / "small.py").write_text(CHAIN.replace("x * 1", "x + 0 + 0"))
    assert "1 ran, 2 from cache" in done("run", "chain", cwd=folder).out
    assert "3 ran, 0 from cache" in done("run", "chain", "--x", "5", cwd=folder).out
