"""``filiera data look``."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from pathlib import Path

from filiera.cli.output import how_big, print_json, print_table, shortened
from filiera.core.markup import MarkupPath, suggested_entry
from filiera.project.plugins import markup_of

_EXAMPLES_CHARS = 50


def run(options: argparse.Namespace) -> int:
    """Print the paths of an XML file, and a catalog entry to begin with."""
    markup = markup_of(Path(options.file))
    entry = suggested_entry(markup, name=_name(options.file), path=options.file)
    if options.json:
        print_json({**asdict(markup), "entry": entry})
        return 0
    rows = [[_indented(found), f"{found.count:,}", f"{found.most:,}", _examples(found)] for found in markup.paths]
    print_table(["path", "count", "most", "for example"], rows, right=("count", "most"))
    if not markup.is_whole:
        print(f"\nThese are the first {how_big(markup.size_bytes)} of the file.")
    print(f"\nTo begin with, for filiera.toml:\n\n{entry}")
    return 0


def _indented(found: MarkupPath) -> str:
    return found.path if found.depth == 1 else f"{'  ' * (found.depth - 1)}{found.path.rpartition('/')[2]}"


def _examples(found: MarkupPath) -> str:
    return shortened(", ".join(" ".join(example.split()) for example in found.examples), _EXAMPLES_CHARS)


def _name(file: str) -> str:
    name = re.sub(r"\W+", "_", Path(file).name.partition(".")[0], flags=re.ASCII).strip("_").lower()
    return name or "source"
