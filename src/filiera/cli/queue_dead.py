"""``filiera queue dead``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json, print_table, shortened
from filiera.cli.queues import as_json, body_text, named_queue, put_at

_LONGEST_WHY = 80


def run(options: argparse.Namespace) -> int:
    """List the messages that a service could not handle, the oldest first."""
    letters = named_queue(options).letters(dead=True, most=options.limit)
    if options.json:
        print_json([as_json(letter) for letter in letters])
        return 0
    rows = [
        [letter.id, put_at(letter), letter.attempts, body_text(letter), shortened(letter.why, _LONGEST_WHY)]
        for letter in letters
    ]
    print_table(("id", "put", "attempts", "body", "why"), rows, right=("attempts",))
    return 0
