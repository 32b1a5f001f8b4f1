"""``filiera card``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.cli.places import find_named
from filiera.cli.previews import write_page
from filiera.project.cards import card
from filiera.project.plugins import document_html
from filiera.project.project import Project
from filiera.project.serving.service_cards import service_card


def run(options: argparse.Namespace) -> int:
    """Print the card of a version of a model or service, or write it as a page."""
    project = Project.open(profile=options.profile)
    version = find_named(project, options.model)
    found = service_card(project, version) if version.kind == "service" else card(project, version)
    if options.html:
        write_page(document_html(found), Path(options.html))
        return 0
    print(found.markdown)
    return 0
