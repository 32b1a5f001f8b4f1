"""Imports the code of a template into this process, and forgets it afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "src/filiera/templates"


@contextmanager
def importable(template: Path) -> Iterator[None]:
    """Let modules in the folder *template* be imported within the block, writing no compiled files into it."""
    sys.path.insert(0, str(template))
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = dont_write
        sys.path.remove(str(template))
        own = {path.name for path in template.iterdir() if path.is_dir()} - {"tests"}
        for name in [name for name in sys.modules if name.split(".")[0] in own]:
            del sys.modules[name]
