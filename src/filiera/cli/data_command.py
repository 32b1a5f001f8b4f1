"""``filiera data``: hands on to the module of its verb, ``cli/data_VERB.py``."""

from __future__ import annotations

import argparse
import importlib


def run(options: argparse.Namespace) -> int:
    """Do what one of the verbs behind ``filiera data`` asks for; without one, print which there are."""
    if options.data_verb is None:
        options.parser.print_help()
        return 0
    module = importlib.import_module(f"filiera.cli.data_{options.data_verb.replace('-', '_')}")
    return int(module.run(options))
