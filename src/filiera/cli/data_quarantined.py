"""``filiera data quarantined``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json, print_table
from filiera.errors import UsageError, did_you_mean
from filiera.project.project import Project
from filiera.project.tables import quarantine_of

_LONGEST_CELL = 40


def run(options: argparse.Namespace) -> int:
    """Print how many rows were set aside by which rule, and the first of them."""
    from filiera.data.set_aside import broken_by, census, without_values_of

    project = Project.open(profile=options.profile)
    table = quarantine_of(project, options.which)
    found = census(table.frame)
    aside = table.frame
    if options.rule:
        known = [rule for rule, _ in found.by_rule]
        if options.rule not in known:
            raise UsageError(
                f"No row of {table.name} broke a rule {options.rule!r}.",
                why=f"Rules that were broken: {', '.join(known) or 'none'}.{did_you_mean(options.rule, known)}",
            )
        aside = broken_by(aside, options.rule)
    first = without_values_of(table.sensitive, aside.head(options.limit)).collect()
    if options.json:
        rules = [{"rule": rule, "rows": rows} for rule, rows in found.by_rule]
        print_json({"version": table.name, "rows": found.rows, "rules": rules, "first": first.to_dicts()})
        return 0
    print(f"{table.name}: {found.rows:,} rows set aside")
    if found.by_rule:
        print()
        print_table(["rule", "rows"], [[rule, f"{rows:,}"] for rule, rows in found.by_rule], right=["rows"])
    if first.height:
        print()
        print_table(first.columns, [[_cell(value) for value in row] for row in first.iter_rows()])
    return 0


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
