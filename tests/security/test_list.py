"""The list of attacks names tests that exist, and all tests of this folder are in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!class|-)([^|]+) \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)


@cache
def named_in(file: str) -> set[str]:
    """Return the names of a file's tests; none when there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_attack_is_tried() -> None:
    """Each class has tests, and each of them is there under that name."""
    assert len(ROWS) >= 18
    for name, what, tests in ROWS:
        named = re.findall(r"`([\w/.]+)::(\w+)`", tests)
        assert what.strip() and named, name
        assert [each for each in named if each[1] not in named_in(each[0])] == [], name


def test_every_test_of_this_folder_is_in_the_list() -> None:
    """So that the list is what is tried, all of it."""
    here = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")} - {
        "tests/security/test_list.py"
    }
    missing = {f"{file}::{name}" for file in here for name in named_in(file) if f"`{file}::{name}`" not in README}
    assert missing == set()
