"""``filiera data profile``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.output import print_json
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.tables import NamedTable, find_table

if TYPE_CHECKING:
    from filiera.data.profile import Profile


def run(options: argparse.Namespace) -> int:
    """Print what a table looks like."""
    from filiera.cli.profile_text import profile_text
    from filiera.data.profile import profile_data

    project = Project.open(profile=options.profile)
    profile = _look(project, find_table(project, options.table), options)
    if options.html:
        _write(Path(options.html), profile)
    if options.json:
        print_json(profile_data(profile))
    else:
        print(profile_text(profile))
    return 0


def _look(project: Project, table: NamedTable, options: argparse.Namespace) -> Profile:
    kept = table.version.attachments.get("profile") if table.version else None
    if kept is not None and not options.target and not options.associate:
        found: Profile = project.value(kept)
        return replace(found, title=table.name)
    from filiera.data.explore import explore

    names = table.frame.collect_schema().names() if options.associate == "all" else _names(options.associate)
    return explore(table.frame, title=table.name, target=options.target, associate=names)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _write(file: Path, profile: Profile) -> None:
    from filiera.data.report import profile_html

    try:
        file.write_text(profile_html(profile).text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
