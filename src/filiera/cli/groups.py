"""Verbs that have verbs of their own, such as ``filiera data profile``."""

from __future__ import annotations

import argparse
import importlib


def run(options: argparse.Namespace) -> int:
    """Do what the verb behind the first one asks for; without one, print which there are."""
    verb = getattr(options, f"{options.module}_verb")
    if verb is None:
        options.parser.print_help()
        return 0
    module = importlib.import_module(f"filiera.cli.{options.module}_{verb.replace('-', '_')}")
    return int(module.run(options))
