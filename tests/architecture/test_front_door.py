"""What ``import filiera`` gives, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import filiera

GOLDEN = {"import filiera": "bare_import.txt", "from filiera import *": "whole_front_door.txt"}
RENEW = "FILIERA_RENEW=1 pytest tests/architecture/test_front_door.py"


def modules_after(code: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after *code*."""
    command = [sys.executable, "-I", "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_front_door_is_small() -> None:
    """The package exports these names and no others."""
    assert filiera.__all__ == [
        "Cache",
        "Check",
        "Contract",
        "Conversion",
        "Dataset",
        "Evaluation",
        "Files",
        "Gate",
        "Html",
        "In",
        "Markdown",
        "Metric",
        "Metrics",
        "Model",
        "Out",
        "Refused",
        "Resources",
        "Sensitive",
        "Source",
        "approve",
        "checkpoint",
        "command_step",
        "graphs",
        "log_metric",
        "loop",
        "pipeline",
        "pipeline_of",
        "service",
        "shell_step",
        "step",
        "when",
    ]
    assert all(hasattr(filiera, name) for name in filiera.__all__)


@pytest.mark.parametrize("statement", GOLDEN)
def test_import_loads_what_its_list_names(statement: str) -> None:
    """An import loads the modules of ours that its golden list names, of other packages at most blake3."""
    golden = Path(__file__).with_name(GOLDEN[statement])
    loaded = modules_after(statement) - modules_after("")
    ours = sorted(name for name in loaded if name.partition(".")[0] == "filiera")
    if os.environ.get("FILIERA_RENEW"):
        golden.write_text("\n".join(ours) + "\n", encoding="utf-8")
    theirs = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"filiera"}
    assert theirs <= {"blake3"}
    assert ours == golden.read_text(encoding="utf-8").split(), f"if that is meant: {RENEW}"


def test_help_loads_no_project_code() -> None:
    """``filiera --help`` loads the parser and nothing that does the work."""
    code = "import contextlib, os, filiera.cli.main as m\nwith open(os.devnull, 'w') as n, "
    code += "contextlib.redirect_stdout(n): m.main(['--help'])"
    rings = {name.split(".")[1] for name in modules_after(code) if name.startswith("filiera.")}
    assert rings <= {"cli", "core", "errors"}
