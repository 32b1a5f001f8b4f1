from __future__ import annotations

from pathlib import Path

from tests.cli.command import done, filiera


def test_a_look_says_what_would_go(project: Path) -> None:
    """A dry run prints every kind with its bytes and changes nothing; the same without it does what it said."""
    for name in ("Ada", "Bo", "Cy"):
        done("run", "hello", "--name", name, cwd=project)
    rules = ("--keep-days", "0", "--keep-runs", "1")
    look = done("gc", "--dry-run", *rules, cwd=project).out
    lines = {line.split()[0]: line.split()[1] for line in look.splitlines()[1:-1]}
    kinds = "predictions runs logs results values code checkpoints metrics studies blobs scratch"
    assert list(lines) == kinds.split()
    assert lines["runs"] == "2"
    assert look.splitlines()[-1].startswith("would free ")
    assert len(done("runs", "--json", cwd=project).data) == 3
    said = done("gc", "--dry-run", *rules, "--json", cwd=project).data
    did = done("gc", *rules, "--json", cwd=project).data
    assert did == {**said, "dry_run": False}
    assert [run["run"] for run in done("runs", "--json", cwd=project).data] == ["hello-3"]
    assert done("gc", *rules, cwd=project).out.splitlines()[-1] == "freed 0 B"


def test_the_profile_says_what_stays(project: Path) -> None:
    """keep_days and keep_runs of the profile are what the options override."""
    toml = project / "filiera.toml"
    toml.write_text(toml.read_text() + "keep_days = 0\nkeep_runs = 2\n")
    for _ in range(4):
        done("run", "hello", cwd=project)
    assert done("gc", "--dry-run", "--keep-runs", "3", "--json", cwd=project).data["removed"]["runs"]["count"] == 1
    assert done("gc", "--json", cwd=project).data["removed"]["runs"]["count"] == 2
    toml.write_text(toml.read_text().replace("keep_runs = 2", "keep_runs = -2"))
    filiera("gc", cwd=project).said(4, "keep_runs", "-2")


def test_a_version_can_be_dropped(shop: Path, tmp_path: Path) -> None:
    """Versions that are in use, or the newest, are not."""
    filiera("gc", "--drop", "spender@1", cwd=shop).said(2, "spender@1", "champion")
    filiera("gc", "--drop", "orders@1", cwd=shop).said(2, "newest")
    filiera("gc", "--drop", "orders@7", cwd=shop).said(2, "orders@7")


def test_rules_that_make_no_sense_are_refused(project: Path) -> None:
    """Each has its sentence, before anything is done."""
    filiera("gc", "--keep-days", "-1", cwd=project).said(2, "-1")
    filiera("gc", "--grace-hours", "1", cwd=project).said(2, "2 hours")
    filiera("gc", "--keep-runs", "many", cwd=project).said(2, "many")
