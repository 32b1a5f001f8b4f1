"""``filiera services``."""

from __future__ import annotations

import argparse
from typing import Any

from filiera.cli.output import print_json, print_table
from filiera.project.project import Project
from filiera.project.serving.services import declared_services, named_services
from filiera.project.serving.supervising import queue_standings, renew, standing_services

_COLUMNS = ("service", "state", "workers", "requests", "restarts", "messages", "waiting", "dead", "address")
_NUMBERS = ("requests", "restarts", "waiting", "dead")


def run(options: argparse.Namespace) -> int:
    """List services, also when no supervisor runs; or have the workers of one replaced."""
    project = Project.open(profile=options.profile)
    if options.renew:
        (service,) = named_services(project.config, [options.renew])
        renew(project, service.name)
        print(f"the workers of {service.name} are being replaced")
        return 0
    if options.healthy:
        return _look(project)
    rows = _rows(project)
    if options.json:
        print_json(rows)
    elif not rows:
        print("no services: add [service.NAME] to filiera.toml")
    else:
        # How messages of brokers come is said where there are brokers only.
        columns = [column for column in _COLUMNS if column != "messages" or any(row["messages"] for row in rows)]
        print_table(columns, [[row[column] for column in columns] for row in rows], right=_NUMBERS)
    return 0


def _look(project: Project) -> int:
    """Say how the services stand that a supervisor runs; return 0 when each answers, or will when it is woken."""
    standing = standing_services(project)
    if standing is None:
        print("no services are up")
        return 1
    failing = [row["name"] for row in standing if row["state"] == "failing"]
    print(f"failing: {', '.join(failing)}" if failing else f"up: {', '.join(row['name'] for row in standing)}")
    return int(bool(failing))


def _rows(project: Project) -> list[dict[str, Any]]:
    found = standing_services(project)
    up = {row["name"]: row for row in found or ()}
    queues = queue_standings(project)
    rows = []
    for service in declared_services(project.config):
        standing, queue = up.get(service.name, {}), queues.get(service.name)
        limits = service.workers
        most = f"{limits.least}–{limits.most}" if limits.least != limits.most else str(limits.most)
        rows.append(
            {
                "service": service.name,
                "state": standing.get("state", "down"),
                "workers": f"{standing.get('workers', 0)} of {most}",
                "pids": standing.get("pids", []),
                "requests": standing.get("requests", 0),
                "in_flight": standing.get("in_flight", 0),
                "restarts": standing.get("restarts", 0),
                "messages": standing.get("messages", "") or ("down" if service.triggers.messages else ""),
                "waiting": queue.waiting + queue.handled if queue else 0,
                "dead": queue.dead if queue else 0,
                "address": standing.get("url", ""),
                "target": service.target,
            }
        )
    return rows
