from __future__ import annotations

import os
from pathlib import Path

from tests.cli.command import done, filiera, make_project, read_until, started
from tests.cli.conftest import Ask
from tests.cli.shapes import CODE


def test_log_prints_what_steps_printed(history: Path, ask: Ask) -> None:
    """Under each step's name; one step alone too."""
    assert filiera("log", "hello-1", cwd=history).out == "── greet ──\ngreeting world\n"
    assert filiera("log", "hello-3/greet", cwd=history).out == "── greet ──\ngreeting Ada\n"


def test_nothing_printed_is_told(history: Path) -> None:
    """A run of hits has no log; that is said beside standard output, which stays empty."""
    answer = filiera("log", "hello-2", cwd=history)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "hello-2: nothing was printed by steps that ran in hello-2\n"


def test_unknown_run_or_step(history: Path, ask: Ask) -> None:
    """What is not there is told."""
    ask("log", "nope", cwd=history).said(2, "no run 'nope'")
    ask("log", "hello-1/nope", cwd=history).said(2, "no record of a step 'nope'")


def test_follow_ends_with_the_run(project: Path) -> None:
    """What a running step prints is shown as it comes, in another process, until the run is over."""
    os.mkfifo(project / "gate")
    with started("run", "waiting", cwd=project) as run:
        read_until(run.stdout, "│ waiting")
        with started("log", "waiting-1", "--follow", cwd=project) as log:
            read_until(log.stdout, "waiting")
            (project / "gate").write_text("go")
            assert log.wait() == 0
        assert run.wait() == 0


def test_the_log_of_a_map_is_that_of_its_calls(tmp_path: Path) -> None:
    """And that of one call is its own."""
    folder = make_project(tmp_path / "shapes", code=CODE)
    done("run", "mapped", cwd=folder)
    log = done("log", "mapped/double", cwd=folder).out
    assert sorted(line for line in log.splitlines() if line.startswith("doubling")) == [
        f"doubling {i}" for i in range(3)
    ]
    assert done("log", "mapped/double[1]", cwd=folder).out == "── double[1] ──\ndoubling 1\n"
