"""What the verbs of ``filiera queue`` share."""

from __future__ import annotations

import argparse
from typing import Any

from filiera.cli.output import print_json, shortened, when
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.serving.services import named_services
from filiera.project.serving.supervising import queue_of
from filiera.supervision.queue import Letter, MessageQueue

_LONGEST_BODY = 60


def named_queue(options: argparse.Namespace) -> MessageQueue:
    """Return the queue that the command line names. Raises UsageError: there is no such service."""
    project = Project.open(profile=options.profile)
    (service,) = named_services(project.config, [options.service])
    return queue_of(project, service.name)


def body_text(letter: Letter) -> str:
    """Return the method that a message calls, if it names one, and the beginning of its body."""
    return shortened(f"{letter.method} {letter.body.decode(errors='replace')}".lstrip(), _LONGEST_BODY)


def as_json(letter: Letter) -> dict[str, Any]:
    """Return a message for scripts."""
    return {
        "id": letter.id,
        "body": letter.body.decode(errors="replace"),
        "method": letter.method,
        "origin": letter.origin,
        "put_at": letter.put_at,
        "due_at": letter.due_at,
        "attempts": letter.attempts,
        "is_handled": letter.is_handled,
        "is_suspect": letter.is_suspect,
        "why": letter.why,
    }


def put_at(letter: Letter) -> str:
    """Return when a message was put."""
    return when(letter.put_at)


def say_done(options: argparse.Namespace, ids: list[str], done: list[str], words: str) -> None:
    """Print to how many messages *words* apply; raise UsageError when some of *ids* are no dead messages.

    What was done to the others stays.
    """
    unknown = [one for one in ids if one not in set(done)]
    if unknown:
        raise UsageError(
            f"{options.service} has no dead message {', '.join(unknown[:3])}.",
            why=f"{len(done):,} others were found." if done else "",
            do=f"filiera queue dead {options.service}",
        )
    if options.json:
        print_json({"ids": done})
    else:
        print(f"{words}: {messages(len(done))}")


def messages(count: int) -> str:
    """Return so many messages in words.

    >>> messages(1), messages(2_000)
    ('1 message', '2,000 messages')
    """
    return "1 message" if count == 1 else f"{count:,} messages"
