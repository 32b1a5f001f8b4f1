"""Examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.architecture.tree import MODULES, SRC, short

# Templates are projects: their own tests run with their own import path.
WITH_EXAMPLES = [
    path for path in MODULES if ">>> " in path.read_text(encoding="utf-8") and "templates" not in path.parts
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=short)
def test_docstring(path: Path) -> None:
    """What a docstring shows is what Python prints."""
    name = ".".join(path.relative_to(SRC.parent).with_suffix("").parts)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
