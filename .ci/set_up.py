"""Make the virtual environment that all verbs of the Makefile use: ``python3 .ci/set_up.py .venv .venv/STAMP``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "filiera", "pytest", "xdist", "hypothesis", "mypy", "importlinter", "IPython", "polars", "sklearn", "granian",
    "cryptography", "lxml", "PIL", "obstore", "duckdb", "zstandard", "adbc_driver_sqlite", "adbc_driver_postgresql",
)  # fmt: skip


def main(folder: str, stamp: str) -> str:
    """Install into *folder* and leave *stamp* there; return why that was not possible, else ''."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python may well be what runs this file
        version = sys.version.split()[0]
        return f"Filiera needs Python 3.11 or newer; {sys.executable} is {version}.\nDo:  make PYTHON=python3.12"
    python = str(ROOT / folder / "bin" / "python")
    if not works(python, "import pip") and call(sys.executable, "-m", "venv", "--clear", folder):
        return "No virtual environment could be made.\nDo:  install your system's package python3-venv."
    print(f"set-up: installing into {folder}; the first time takes a minute or two", flush=True)
    pip = (python, "-m", "pip", "-qq", "--disable-pip-version-check", "install")
    if not call(*pip, "pip>=25.1") and not call(*pip, "--editable", ".[all]", "--group", "dev"):
        for old in (ROOT / folder).glob("set-up-*"):
            old.unlink()
        (ROOT / stamp).touch()
        return ""
    if works(python, f"import {', '.join(NEEDED)}"):
        print("set-up: nothing could be installed, but what is needed is there from before; going on", flush=True)
        return ""
    return "The packages could not be installed; see above.\nDo:  make setup, when the package index answers."


def call(*command: str) -> int:
    """Return the exit code of a command."""
    return subprocess.call(command, cwd=ROOT)


def works(python: str, code: str) -> bool:
    """Tell whether a Python is there and can run *code*."""
    try:
        return subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]) or None)
