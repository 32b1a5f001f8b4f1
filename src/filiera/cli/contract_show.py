"""``filiera contract show``."""

from __future__ import annotations

import argparse

from filiera.cli.contract_sides import find_contract
from filiera.cli.output import print_json
from filiera.serving.contract import describe


def run(options: argparse.Namespace) -> int:
    """Print a model's contract: what ``contract diff``, ``mock`` and ``record`` take as a file."""
    print_json(describe(find_contract(options.model, options.profile)))
    return 0
