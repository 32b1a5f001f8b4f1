"""``filiera queue put``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator

from filiera.cli.output import print_json
from filiera.cli.queues import messages, named_queue
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.serving.supervising import tell_of_messages

_AT_ONCE = 1_000
"""So many messages are accepted together."""


def run(options: argparse.Namespace) -> int:
    """Put one message, or one per line of standard input; those before a line that is no JSON are put."""
    queue, project = named_queue(options), Project.open(profile=options.profile)
    count, ids = 0, []
    for bodies in _parts(_bodies(options.body)):
        some = queue.put(bodies, method=options.method)
        tell_of_messages(project)
        count += len(some)
        if options.json:
            ids += some
        elif options.body == "-":
            continue
        else:
            print(some[0])
    if options.json:
        print_json({"ids": ids})
    elif options.body == "-":
        print(f"put for {options.service}: {messages(count)}")
    return 0


def _bodies(text: str) -> Iterator[bytes]:
    if text != "-":
        yield _checked(text, "The message")
        return
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            yield _checked(line, f"Line {number}")


def _checked(text: str, what: str) -> bytes:
    try:
        json.loads(text)
    except ValueError as error:
        do = 'write it as the service takes it, such as \'{"path": "in/a.csv"}\''
        raise UsageError(f"{what} is no JSON.", why=f"{error}.", do=do) from error
    return text.strip().encode()


def _parts(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    try:
        for body in bodies:
            part.append(body)
            if len(part) == _AT_ONCE:
                yield part
                part = []
    except UsageError:
        if part:
            yield part
        raise
    if part:
        yield part
