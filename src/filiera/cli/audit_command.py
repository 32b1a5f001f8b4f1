"""``filiera audit``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import print_json, print_table, shortened, when
from filiera.core.digest import is_digest
from filiera.errors import UsageError, did_you_mean
from filiera.project import audit
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Print who did what, newest first; or check that nothing of it was changed."""
    if options.action and options.action not in audit.ACTIONS:
        why = f"There are: {', '.join(audit.ACTIONS)}.{did_you_mean(options.action, audit.ACTIONS)}"
        raise UsageError(f"There is no action {options.action!r}.", why=why)
    if not 1 <= options.limit <= 10_000:
        raise UsageError(f"--limit takes 1 to 10000, not {options.limit}.")
    records = Project.open(profile=options.profile).records
    if options.verify is not None:
        found = audit.verify(records, noted=options.verify)
        if options.json:
            print_json(asdict(found))
        audit.must_hold(found)
        if not options.json:
            last = f"; the last one's digest is {found.head}" if found.rows else ""
            print(f"{found.rows:,} rows, all as they were written{last}")
        return 0
    before = options.before if options.before is not None else audit.NEWEST
    rows = audit.find(
        records, subject=options.subject, action=options.action, actor=options.actor, page=(before, options.limit)
    )
    if options.json:
        print_json([asdict(row) for row in rows])
    else:
        _print(rows, options.limit)
    return 0


def _print(rows: list[audit.Entry], limit: int) -> None:
    if not rows:
        print("Nothing was noted.")
        return
    header = ["no", "when", "who", "did", "to", "more"]
    print_table(header, [_line(row) for row in rows], right=("no",))
    if len(rows) == limit and rows[-1].number > 1:
        print(f"\nolder: --before {rows[-1].number}")


def _line(row: audit.Entry) -> list[str]:
    more = ", ".join(f"{name} = {_brief(value)}" for name, value in row.detail.items() if value not in ("", None))
    return [str(row.number), when(row.at), row.actor, row.action, shortened(row.subject, 60), shortened(more, 80)]


def _brief(value: object) -> str:
    text = str(value)
    return text[:12] if is_digest(text) else text
