"""``filiera compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.cli.output import print_json
from filiera.cli.places import find_named
from filiera.cli.previews import write_page
from filiera.project.comparing import compare, comparison_document
from filiera.project.plugins import document_html
from filiera.project.project import Project
from filiera.project.serving.service_cards import compare_services


def run(options: argparse.Namespace) -> int:
    """Print versions of models, or of services, side by side."""
    project = Project.open(profile=options.profile)
    versions = [find_named(project, text) for text in options.model]
    if len(versions) > 1 and all(version.kind == "service" for version in versions):
        document, data = compare_services(project, versions)
    else:
        found = compare(project, versions)
        document, data = comparison_document(found), found.data
    if options.html:
        write_page(document_html(document), Path(options.html))
    elif options.json:
        print_json(data)
    else:
        print(document.markdown)
    return 0
