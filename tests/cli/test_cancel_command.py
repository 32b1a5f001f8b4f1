from __future__ import annotations

import os
from pathlib import Path

from tests.cli.command import done, read_until, started
from tests.cli.conftest import Ask


def test_cancel_stops_a_run_from_elsewhere(project: Path) -> None:
    """The driver ends as by Ctrl-C; the run can be resumed."""
    os.mkfifo(project / "gate")
    with started("run", "waiting", cwd=project) as process:
        read_until(process.stdout, "│ waiting")
        assert done("cancel", "waiting", cwd=project).out == "asked waiting-1 to stop; see filiera runs\n"
        assert process.wait() == 130
    assert done("runs", "--json", cwd=project).data[0]["state"] == "cancelled"


def test_only_a_running_run_can_be_cancelled(history: Path, ask: Ask) -> None:
    """What has ended stays as it is."""
    ask("cancel", "hello-1", cwd=history).said(2, "hello-1", "succeeded")
    ask("cancel", "nope", cwd=history).said(2, "no run 'nope'")
