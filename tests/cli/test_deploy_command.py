from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.cli.callers import Callers
from tests.cli.command import copied, done, environment, filiera, read_until, started
from tests.cli.conftest import Ask

STAGES = ("--stages", "shadow,20", "--every", "0s", "--requests", "20")


def test_a_version_goes_to_all_callers_in_stages(twice: Path, tmp_path: Path, ask: Ask) -> None:
    """Watched from beginning to end, under load: no request fails, and the version before is one command away."""
    folder = copied(twice, tmp_path / "shop")
    with started("serve", "spender", "--port", "0", cwd=folder) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        with Callers(url, 2) as callers:
            watched = done("deploy", "spender@2", *STAGES, "--reason", "newer data", "--watch", cwd=folder)
            read_until(process.stdout, "now serving spender@2, no longer spender@1")
            switched_at = time.monotonic()
            callers.until(lambda: callers.answers[-1][0] >= switched_at)
            assert "version 1; callers no longer get version 2" in ask("rollback", "spender", cwd=folder).out
            read_until(process.stdout, "now serving spender@1, no longer spender@2")
        listed = ask("deployments", "spender", cwd=folder).out
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert {status for _, status, _ in callers.answers} == {200}
    assert {version for began, _, version in callers.answers if began > switched_at} <= {1, 2}
    assert [word in watched.out for word in ("shadow → 20 % → 100 %", "shadow        newer data", "done")] == [True] * 3
    assert [word in listed for word in ("spender@2 to spender@champion", "done", "SERVICE")] == [True] * 3
    assert ask("deployments", cwd=folder).out.count("\n") == 2  # the service has left
    (deployment,) = ask("deployments", "--json", cwd=folder).data["deployments"]
    assert (deployment["state"], deployment["tried"]["failed"]) == ("done", 0)
    assert deployment["tried"]["requests"] >= 20


def test_a_canary_whose_predictions_drift_rolls_back_by_itself(twice: Path, tmp_path: Path) -> None:
    """All callers ask the same: monitoring sees that before the first stage with callers ends."""
    folder = copied(twice, tmp_path / "shop")
    stages = ("--stages", "50", "--every", "0s", "--requests", "100", "--monitor")
    with started("serve", "spender", "--port", "0", cwd=folder) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        with Callers(url, 2) as callers:
            watched = filiera("deploy", "spender@2", *stages, "--watch", cwd=folder)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert watched.code == 3
    assert "rolled-back   monitoring: drift in " in watched.out
    assert {status for _, status, _ in callers.answers} == {200}
    assert "to 2" not in done("versions", "spender", "--moves", cwd=folder).out


def test_a_canary_that_gets_worse_rolls_back_by_itself(twice: Path, tmp_path: Path) -> None:
    """A few callers see it fail; from the rollback on, nobody does. Who watches is told why, with exit code 3."""
    folder, worse = copied(twice, tmp_path / "shop"), tmp_path / "worse"
    script = Path(__file__).with_name("serve_worsening.py")
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script), str(folder), str(worse)], cwd=folder, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env=environment({"PYTHONUNBUFFERED": "1", "PYTHONPATH": f"{root}/src:{root}"}),
    ) as process:  # fmt: skip
        try:
            url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
            with Callers(url, 2) as callers:
                canary = ("--stages", "50", "--every", "1d", "--requests", "20")
                done("deploy", "spender@2", *canary, cwd=folder)
                with started("deployments", "spender", "--watch", cwd=folder) as watching:
                    read_until(process.stdout, "trying spender@2: 50 %")
                    callers.until(lambda: {version for _, _, version in callers.answers} == {1, 2})
                    worse.touch()
                    read_until(process.stdout, "no longer trying spender@2")
                    seen = len(callers.answers)
                    callers.until(lambda: len(callers.answers) >= seen + 50)
                    out, _ = watching.communicate()
        finally:
            process.kill()
    statuses = Counter(status for _, status, _ in callers.answers)
    assert set(statuses) == {200, 500}
    assert {(status, version) for _, status, version in callers.answers[seen + 2 :]} == {(200, 1)}
    assert watching.returncode == 3
    assert "rolled-back   it fails in" in out
    assert "m spender@1" not in done("versions", "spender", "--moves", cwd=folder).out


def test_what_is_deployed_must_be_a_version(shop: Path, ask: Ask) -> None:
    """Names, stages and numbers that make no sense are told before anything is written."""
    ask("deploy", "spender", cwd=shop).said(2, "Say which version", "filiera deploy spender@NUMBER")
    ask("deploy", "spender@1", cwd=shop).said(2, "spender@champion is version 1 already")
    ask("deploy", "spender@2", cwd=shop).said(2, "no model spender@2")
    ask("deploy", "spender@1", "--stages", "5,x", cwd=shop).said(2, "'x' is no stage", "shadow,5,25")
    ask("deploy", "spender@1", "--every", "soon", cwd=shop).said(2, "--every takes a duration such as 30m")
    ask("deploy", "spender@1", "--stages", "100", cwd=shop).said(2, "no stage but the whole", "filiera promote")
    ask("rollback", "spender@1", cwd=shop).said(2, "whichever that is", "filiera promote spender@1")
    ask("rollback", "spender", cwd=shop).said(2, "has pointed at one only")
    ask("deployments", "spender", "--watch", cwd=shop).said(2, "which model's deployment")
    assert ask("deployments", cwd=shop).out == "no deployments\n"


def test_it_is_said_when_nobody_follows(twice: Path, tmp_path: Path, ask: Ask) -> None:
    """A deployment waits for a service; it can be taken back all the same."""
    folder = copied(twice, tmp_path / "shop")
    said = ask("deploy", "spender@2", cwd=folder).out
    assert "no service follows spender@champion yet: it begins when one does" in said
    assert "each at least 10m and 200 requests" in said
    assert "callers no longer get version 2" in ask("rollback", "spender", "--reason", "not yet", cwd=folder).out
    shown = ask("deployments", "spender", cwd=folder).out
    assert "not yet" in shown
    assert "rolled-back" in shown
