"""New projects from the templates that are shipped inside the package."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from filiera.core.products import check_name
from filiera.core.value import dataclass
from filiera.errors import StoreError, UsageError, did_you_mean

_FOLDER = Path(__file__).parents[1] / "templates"
_SUMMARY = "SUMMARY.txt"
_NAME_IN_TEMPLATE = "NAME-OF-THE-PROJECT"


@dataclass(frozen=True, slots=True)
class MadeProject:
    """A project just made, and the commands to try in it."""

    folder: Path
    next_commands: tuple[str, ...]


def templates() -> Mapping[str, str]:
    """Return what each template is, by its name."""
    found = {}
    for folder in sorted(_FOLDER.iterdir()):
        if (folder / _SUMMARY).is_file():
            found[folder.name.replace("_", "-")] = (folder / _SUMMARY).read_text(encoding="utf-8").partition("\n")[0]
    return found


def make_project(name: str, template: str) -> MadeProject:
    """Make a folder *name* from a template: all of it or, when anything fails, nothing.

    Raises:
        UsageError: There is no such template, or the folder is there already.
        StoreError: The folder cannot be written.
    """
    target = Path(os.path.abspath(name))  # noqa: PTH100 - without "..", and links are left as they are
    check_name(target.name, "project")
    known = templates()
    if template not in known:
        why = f"There are: {', '.join(known)}.{did_you_mean(template, known)}"
        raise UsageError(f"There is no template {template!r}.", why=why, do="filiera init --list")
    if target.exists():
        raise UsageError(f"{target} is there already.", do="Choose another name, or remove it first.")
    source = _FOLDER / template.replace("-", "_")
    lines = (source / _SUMMARY).read_text(encoding="utf-8").splitlines()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise StoreError(f"{target} cannot be made: {error.strerror}.") from error
    try:
        shutil.copytree(
            source, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", _SUMMARY)
        )
        _name(beside / "filiera.toml", target.name)
        beside.chmod(0o755)
        os.rename(beside, target)  # noqa: PTH104 - fails when the target has appeared meanwhile
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise StoreError(f"{target} cannot be made: {error.strerror}.") from error
    return MadeProject(target, tuple(line for line in lines[1:] if line))


def _name(config: Path, name: str) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(_NAME_IN_TEMPLATE, name), encoding="utf-8")
