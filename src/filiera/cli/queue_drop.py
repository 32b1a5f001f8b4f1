"""``filiera queue drop``."""

from __future__ import annotations

import argparse

from filiera.cli.queues import named_queue, say_done


def run(options: argparse.Namespace) -> int:
    """Remove dead messages."""
    queue = named_queue(options)
    ids = [letter.id for letter in queue.letters(dead=True, most=1_000_000)] if options.id == ["all"] else options.id
    say_done(options, ids, queue.drop(ids), f"dropped of {options.service}")
    return 0
