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


def run(options: argparse.Namespace) -> int:
    """Print versions of models side by side."""
    project = Project.open(profile=options.profile)
    found = compare(project, [find_named(project, text) for text in options.model])
    if options.html:
        write_page(document_html(comparison_document(found)), Path(options.html))
    elif options.json:
        print_json(found.data)
    else:
        print(comparison_document(found).markdown)
    return 0
