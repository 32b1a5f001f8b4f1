"""``filiera queue retry``."""

from __future__ import annotations

import argparse

from filiera.cli.queues import named_queue, say_done


def run(options: argparse.Namespace) -> int:
    """Let dead messages wait again."""
    queue = named_queue(options)
    ids = options.id or [letter.id for letter in queue.letters(dead=True, most=1_000_000)]
    say_done(options, ids, queue.revive(ids), f"to be handled by {options.service} again")
    return 0
