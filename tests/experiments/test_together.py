"""Experiments at the same time: two accept, and two need the same step. Real processes, by the command."""

from __future__ import annotations

import json
from pathlib import Path

from tests.experiments.lab import Lab


def finished(lab: Lab, *commands: tuple[str, ...]) -> list[tuple[int, str, str]]:
    """Start commands together; return exit codes, what was printed, and what was said on standard error."""
    started = [lab.start(*words) for words in commands]
    said = [process.communicate(timeout=300) for process in started]
    return [(process.returncode, out, err) for process, (out, err) in zip(started, said, strict=True)]


def test_two_accept_at_once(lab: Lab) -> None:
    """Both end in main, one after the other, or the second is told to wait; nothing is lost or mixed."""
    for name, depth in (("one", 4), ("two", 5)):
        assert lab.command("experiment", "start", name).returncode == 0
        (lab.folder_of(name) / f"{name}.md").write_text(f"depth {depth}\n")
        assert lab.command("experiment", "run", name, "--pipeline", "train").returncode == 0
    accepts = [("experiment", "accept", name) for name in ("one", "two")]
    told = finished(lab, *accepts)
    assert all(code == 0 or (code == 5 and "Accepting experiments is in use" in said) for code, _, said in told), told
    for (code, _, _), words in zip(told, accepts, strict=True):
        if code:
            assert lab.command(*words).returncode == 0
    assert {"one.md", "two.md"} <= {path.name for path in lab.root.iterdir()}
    assert lab.git("status", "--porcelain") == "" and not lab.place().branches()
    assert lab.git("log", "--first-parent", "--format=%s").count("Accept experiment") == 2


def test_two_need_the_same_step(lab: Lab, tmp_path: Path) -> None:
    """One computes it, the other takes what came of it."""
    (lab.root / "filiera.toml").write_text((lab.root / "filiera.toml").read_text().replace("inline", "processes"))
    noted = tmp_path / "computed"
    lab.replace(
        "flows/model.py",
        "    return DecisionTree",
        f"    open({str(noted)!r}, 'a').write('x')\n    return DecisionTree",
    )
    lab.commit("note what is computed")
    for name in ("one", "two"):
        assert lab.command("experiment", "start", name).returncode == 0
    ran = [("experiment", "run", name, "--pipeline", "train", "--json") for name in ("one", "two")]
    told = finished(lab, *ran)
    assert [code for code, _, _ in told] == [0, 0], told
    assert noted.read_text() == "x"
    runs = [json.loads(printed)["run"] for _, printed, _ in told]
    assert len(set(runs)) == 2
