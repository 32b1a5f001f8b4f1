"""The example application is the one of the how-to, and the contract beside it is what its tests record."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import done
from tests.docs.pages import DOCS, ROOT

DESK = ROOT / "examples" / "order-desk"
PAGE = (DOCS / "how-to" / "keep-a-contract.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["desk.py", "test_desk.py"])
def test_the_page_shows_the_application(name: str) -> None:
    """Who reads the page and who opens the folder see the same."""
    shown = re.search(rf"^```python {re.escape(name)}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert shown is not None and shown[1] == (DESK / name).read_text(encoding="utf-8")


def test_its_tests_record_its_contract(tmp_path: Path) -> None:
    """The contract in the folder was not written by hand, and is not out of date."""
    copy = shutil.copytree(DESK, tmp_path / "desk", ignore=shutil.ignore_patterns("contracts", "__pycache__"))
    tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    record = ("contract", "record", "spender.json", "--consumer", "desk@1.0", "--reads", "label", "--")
    assert "contracts/desk@1.0.json: 1 request of desk@1.0 to spender" in done(*record, *tests, cwd=copy).out
    name = Path("contracts") / "desk@1.0.json"
    assert read(copy / name) == read(DESK / name)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
