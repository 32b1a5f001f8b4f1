"""``filiera experiment compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.cli.experiment_names import named
from filiera.cli.output import print_json
from filiera.cli.previews import write_page
from filiera.core.document import for_terminal
from filiera.experiments.comparing import compare
from filiera.experiments.comparison_text import comparison_document
from filiera.experiments.place import Place
from filiera.experiments.sides import TARGET
from filiera.project.plugins import document_html


def run(options: argparse.Namespace) -> int:
    """Print experiments side by side; a single one beside its target."""
    place = Place(profile=options.profile)
    names = options.name or [named(place, "")]
    names = names if len(names) > 1 else [TARGET, *names]
    metrics = [name for name in options.metric.split(",") if name]
    found = compare(place, names, metrics=metrics, allow_different_data=options.allow_different_data)
    if options.html:
        write_page(document_html(comparison_document(found, is_page=True)), Path(options.html))
    elif options.json:
        print_json(found.data)
    else:
        print(for_terminal(comparison_document(found, is_page=False).markdown))
    return 0
