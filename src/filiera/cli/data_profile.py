"""``filiera data profile``."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.output import print_json
from filiera.errors import UsageError
from filiera.project.profiles import profile_of
from filiera.project.project import Project
from filiera.project.tables import NamedTable, files_in, find_table

if TYPE_CHECKING:
    from filiera.core.files import Files
    from filiera.data.profile import Profile


def run(options: argparse.Namespace) -> int:
    """Print what a table looks like."""
    from filiera.cli.profile_text import profile_text
    from filiera.data.profile import profile_data
    from filiera.data.report import profile_html

    project = Project.open(profile=options.profile)
    table = find_table(project, options.table)
    if not options.target and not options.associate:
        files = files_in(project, table)
        if files is not None and _has_images(files):
            return _run_images(files, table.name, options)
    profile = _look(project, table, options)
    if options.html:
        _write(Path(options.html), profile_html(profile).text)
    if options.json:
        print_json(profile_data(profile))
    else:
        print(profile_text(profile))
    return 0


def _has_images(files: Files) -> bool:
    from filiera.data.images import FACTS

    return set(FACTS) <= set(files.table.columns)


def _run_images(files: Files, title: str, options: argparse.Namespace) -> int:
    from filiera.data.images import explore_images
    from filiera.data.images_report import images_html, images_text

    profile = explore_images(files, title=title)
    if options.html:
        _write(Path(options.html), images_html(profile).text)
    if options.json:
        print_json(asdict(replace(profile, sheet=())))
    else:
        print(images_text(profile))
    return 0


def _look(project: Project, table: NamedTable, options: argparse.Namespace) -> Profile:
    if not options.target and not options.associate:
        return profile_of(project, table)
    from filiera.data.explore import explore

    names = table.frame.collect_schema().names() if options.associate == "all" else _names(options.associate)
    asked = {"target": options.target, "associate": names, "sensitive": table.sensitive}
    return explore(table.frame, title=table.name, **asked)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
