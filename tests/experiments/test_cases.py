"""The table of cases in README.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_the_table_names_tests_that_are_there() -> None:
    """Each test by its file and name; each row has one."""
    rows = [line for line in (HERE / "README.md").read_text().splitlines() if line.startswith("| ")][1:]
    named = {row: re.findall(r"`(test_\w+\.py)::(\w+)`", row) for row in rows}
    assert len(rows) > 20 and all(named.values())
    for file, name in sorted({each for found in named.values() for each in found}):
        assert re.search(rf"^(def|class) {name}\b|^{name} = ", (HERE / file).read_text(), re.MULTILINE), (file, name)
