"""``filiera queue list``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json, print_table
from filiera.cli.queues import as_json, body_text, named_queue, put_at
from filiera.project.project import Project
from filiera.project.serving.services import declared_services
from filiera.project.serving.supervising import queue_standings
from filiera.supervision.queue import Letter


def run(options: argparse.Namespace) -> int:
    """List how the queues stand; of one service, its messages, those first that are due first."""
    if not options.service:
        return _list_queues(options)
    letters = named_queue(options).letters(dead=False, most=options.limit)
    if options.json:
        print_json([as_json(letter) for letter in letters])
        return 0
    rows = [[letter.id, put_at(letter), letter.origin, _state(letter), body_text(letter)] for letter in letters]
    print_table(("id", "put", "by", "state", "body"), rows)
    return 0


def _state(letter: Letter) -> str:
    state = f"attempt {letter.attempts}" if letter.is_handled else "waiting"
    if letter.attempts and not letter.is_handled:
        state += f", tried {letter.attempts} times"
    return f"{state}, alone" if letter.is_suspect else state


def _list_queues(options: argparse.Namespace) -> int:
    project = Project.open(profile=options.profile)
    standings = queue_standings(project)
    names = dict.fromkeys([*(service.name for service in declared_services(project.config)), *standings])
    rows = [
        {"service": name, "waiting": one.waiting, "handled": one.handled, "dead": one.dead}
        if (one := standings.get(name))
        else {"service": name, "waiting": 0, "handled": 0, "dead": 0}
        for name in names
    ]
    if options.json:
        print_json(rows)
    else:
        columns = ("service", "waiting", "handled", "dead")
        print_table(columns, [[row[column] for column in columns] for row in rows], right=columns[1:])
    return 0
