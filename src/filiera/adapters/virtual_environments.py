"""Virtual environments made by ``venv`` and filled by ``uv`` when that is on PATH, by ``pip`` otherwise.

An environment is made where it stays, because installed scripts name their interpreter by its whole path: a folder made
elsewhere and renamed would hold scripts that do not start. What tells a finished one from one that a crash cut short is
a file written last, beside and renamed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filiera.adapters.local_disk import disk_error
from filiera.core.distributions import versions_in
from filiera.errors import ProjectError

Tell = Callable[[str], None]
"""Takes a line of progress, without its end."""

_FINISHED = "finished.json"
_KEPT_LINES = 200
_LONGEST_WHY = 8
_OFFLINE = (
    "Temporary failure in name resolution",
    "NewConnectionError",
    "Failed to establish",
    "Max retries",
    "dns error",
    "error sending request",
    "tcp connect",
)
_EXCLUSIVE = ("ResolutionImpossible", "conflicting dependencies", "requirements are unsatisfiable")
_ABSENT = ("No matching distribution", "Could not find a version", "there is no version of", "was not found in")
_ADVICE = (
    (
        _OFFLINE,
        "Connect this machine to the package index, or install from a folder of wheels: write --no-index and "
        "--find-links FOLDER into the file.",
    ),
    (
        ("no versions of", "no version of", *_ABSENT),
        "Correct the name or the version: it must exist for this Python here.",
    ),
    (_EXCLUSIVE, "Loosen one of the pins that exclude each other."),
    (("HASHES", "Hash mismatch"), "Make the lock file again: what is to be had is not what it names."),
)


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    """Return where the distributions of an environment are."""
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def is_finished(folder: Path) -> bool:
    """Tell whether an environment was made to its end, and has the interpreter that it was made with."""
    found = _finished(folder)
    return found is not None and found["interpreter"] == _stamp(python_of(folder))


def installed(folder: Path) -> list[str]:
    """Return ``name==version`` of what is in a finished environment, sorted; empty when it is not finished."""
    found = _finished(folder)
    return [] if found is None else [str(line) for line in found["installed"]]


def make(folder: Path, requirements: Path, *, tell: Tell, is_complete: bool = False) -> None:
    """Make the environment unless it is finished; comes back when it is, whichever process made it.

    Args:
        folder: Where it will be.
        requirements: A requirements file, ``pylock.toml`` or, with uv, ``uv.lock``.
        tell: Told what goes on.
        is_complete: The file names all there should be: nothing else is installed, whatever those ask for.

    Raises:
        ProjectError: What is asked for cannot be installed.
        StoreError: The folder cannot be written; StoreFull when no space is left.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, tell):
            if not is_finished(folder):
                _make(folder, requirements, tell, is_complete)
    except OSError as error:
        raise disk_error(error, folder) from error


def _make(folder: Path, requirements: Path, tell: Tell, is_complete: bool) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    try:
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], requirements, tell)
        tell(f"{requirements.name}: making its environment")
        tell(f"  installing with {installer()}")
        for command in _install(folder, requirements):
            _run([*command, *(["--no-deps"] if is_complete else [])], requirements, tell)
        _require_same_python(folder, requirements)
        _finish(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def installer() -> str:
    """Return ``uv`` when that program is on PATH, else ``pip``."""
    return "uv" if shutil.which("uv") else "pip"


def _install(folder: Path, requirements: Path) -> Iterator[Sequence[str]]:
    """Yield the commands that install what a file asks for."""
    python, file = str(python_of(folder)), str(requirements)
    if installer() == "uv":
        if requirements.name == "uv.lock":
            file = str(folder / "exported.txt")
            fixed = ["--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet", "--python", python]
            yield ["uv", "export", *fixed, "--project", str(requirements.parent), "--output-file", file]
        yield ["uv", "pip", "install", "--python", python, "--no-python-downloads", "--requirement", file]
        return
    if requirements.name == "uv.lock":
        raise ProjectError(
            f"{requirements} is read by uv, which is not on PATH.",
            do="Install uv, or write the lock in another form: uv export --output-file pylock.toml",
        )
    if importlib.util.find_spec("pip") is None:
        raise ProjectError(
            f"The environment of {requirements.name} cannot be made.",
            why="Neither the program uv nor the module pip is here.",
            do=f"Install one of them: {sys.executable} -m ensurepip",
        )
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--no-color"]
    yield [sys.executable, "-m", "pip", "--python", python, "install", *quiet, "--requirement", file]


def _run(command: Sequence[str], requirements: Path, tell: Tell) -> None:
    """Run one command in the folder of the file: its paths are relative to it. Raises ProjectError with its words."""
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command,
        cwd=requirements.parent,
        env=_variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                tell(f"  {lines[-1]}")
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _refused(requirements, list(lines), process.returncode)


def _variables() -> Mapping[str, str]:
    """Return this process's variables without those that would lead the installer to another environment."""
    misleading = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PYTHON", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    kept = {name: value for name, value in os.environ.items() if name not in misleading}
    return {**kept, "NO_COLOR": "1"}


def _refused(requirements: Path, lines: Sequence[str], code: int) -> ProjectError:
    said = "\n".join(lines)
    advice = next((do for words, do in _ADVICE if any(word in said for word in words)), f"Correct {requirements}.")
    first = next((at for at, line in enumerate(lines) if line.lower().startswith(("error:", "  ×"))), 0)
    complaints = [line.removeprefix("ERROR: ").strip() for line in lines[first:] if line.strip()]
    if any(word in said for word in _OFFLINE):
        complaints.insert(0, "The package index does not answer.")
    return ProjectError(
        f"The environment of {requirements.name} could not be made: {installer()} ended with {code}.",
        why="\n     ".join(complaints[:_LONGEST_WHY]),
        do=advice,
    )


def _require_same_python(folder: Path, requirements: Path) -> None:
    """Refuse an environment of another Python: driver and worker talk in bytes that only equal versions read alike."""
    show = "import sys; print(*sys.version_info[:3], sep='.')"
    done = subprocess.run([python_of(folder), "-I", "-c", show], capture_output=True, text=True, check=False)
    mine = ".".join(map(str, sys.version_info[:3]))
    if done.stdout.strip() != mine:
        raise ProjectError(
            f"The environment of {requirements.name} got Python {done.stdout.strip() or 'that does not start'}.",
            why=f"Steps run under the Python of the driver, which is {mine}.",
            do="Take away what asks for another one, such as UV_PYTHON or a .python-version file.",
        )


def _finish(folder: Path) -> None:
    found = {
        "interpreter": _stamp(python_of(folder)),
        "installed": versions_in([str(site_packages(folder))]),
        "installer": installer(),
    }
    partial = folder / f"{_FINISHED}.partial"
    partial.write_text(json.dumps(found, indent=1), encoding="utf-8")
    os.sync()  # thousands of files: one by one would take longer
    partial.rename(folder / _FINISHED)


def _finished(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / _FINISHED).read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _stamp(python: Path) -> list[object]:
    """Return what changes when the interpreter behind the link is replaced."""
    try:
        real = python.resolve(strict=True)
        stat = real.stat()
    except OSError:
        return []
    return [str(real), stat.st_size, stat.st_mtime_ns]


@contextmanager
def _only_one(folder: Path, tell: Tell) -> Iterator[None]:
    """Keep other processes and threads from making the same environment at once."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another process that makes this environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
