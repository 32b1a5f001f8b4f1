"""``filiera queue drop``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.cli.queue_retry import report_unknown
from filiera.cli.queues import messages, named_queue


def run(options: argparse.Namespace) -> int:
    """Remove dead messages."""
    queue = named_queue(options)
    ids = [letter.id for letter in queue.letters(dead=True, most=1_000_000)] if options.id == ["all"] else options.id
    done = queue.drop(ids)
    report_unknown(ids, done, options.service)
    if options.json:
        print_json({"ids": done})
    else:
        print(f"dropped of {options.service}: {messages(len(done))}")
    return 0
