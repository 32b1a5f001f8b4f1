"""Names reach git, and other programs, as names: never as options, never through a shell."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import MODULES, short
from tests.cli.command import filiera, make_project
from tests.cli.test_prove_command import put_into_git

SHELLS = {"core/programs.py"}
"""Runs a fixed script that is given its words as arguments."""


@pytest.mark.parametrize("verb", ["push", "pull"])
@pytest.mark.parametrize("remote", ["--upload-pack=touch owned", "--receive-pack=touch owned", "ext::touch owned"])
def test_a_remote_is_no_option(tmp_path: Path, verb: str, remote: str) -> None:
    """git takes it for a name that nobody has."""
    folder = put_into_git(make_project(tmp_path / "small"))
    subprocess.run(["git", "-C", str(folder), "branch", "-M", "main"], check=True)
    beside = {"FILIERA_WORKTREES": str(tmp_path / "worktrees")}
    assert filiera("experiment", "start", "deeper", cwd=folder, env=beside).code == 0
    assert filiera("experiment", verb, "deeper", f"--remote={remote}", cwd=folder, env=beside).code != 0
    assert list(tmp_path.rglob("owned")) == []


@pytest.mark.parametrize(
    "name", ["-rf a 'b\" $(touch owned) `touch owned` ;touch owned&|", "--help", "new\nline %s {x}"]
)
def test_a_project_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    """Its path is given to workers, to git and to the records, and read by none of them."""
    folder = put_into_git(make_project(tmp_path / name))
    assert filiera("run", "hello", cwd=folder).code == 0
    assert filiera("prove", "hello-1", cwd=folder).code == 0
    assert list(tmp_path.rglob("owned")) == []


def test_no_shell_is_asked() -> None:
    """No module has a shell read a text; programs are started with a list of words."""
    found = set()
    texts = {path: path.read_text(encoding="utf-8") for path in MODULES}
    for path, text in texts.items():
        if not any(word in text for word in ("subprocess", "popen", "os.system", "shell")):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            is_shell = name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
            is_told = any(word.arg == "shell" for word in node.keywords)
            first = node.args[0] if node.args else None
            is_sh = isinstance(first, ast.List) and "/bin/sh" in ast.unparse(first)
            if is_shell or is_told or is_sh:
                found.add(short(path))
    assert found == SHELLS
