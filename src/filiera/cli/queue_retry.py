"""``filiera queue retry``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.cli.queues import messages, named_queue
from filiera.errors import UsageError


def run(options: argparse.Namespace) -> int:
    """Let dead messages wait again."""
    queue = named_queue(options)
    ids = options.id or [letter.id for letter in queue.letters(dead=True, most=1_000_000)]
    done = queue.revive(ids)
    report_unknown(ids, done, options.service)
    if options.json:
        print_json({"ids": done})
    else:
        print(f"to be handled by {options.service} again: {messages(len(done))}")
    return 0


def report_unknown(ids: list[str], done: list[str], service: str) -> None:
    """Raise UsageError when some of *ids* are no dead messages; what was done to the others stays."""
    unknown = [one for one in ids if one not in set(done)]
    if unknown:
        raise UsageError(
            f"{service} has no dead message {', '.join(unknown[:3])}.",
            why=f"{len(done):,} others were found." if done else "",
            do=f"filiera queue dead {service}",
        )
