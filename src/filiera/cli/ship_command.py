"""``filiera ship``."""

from __future__ import annotations

import argparse
from pathlib import Path

from filiera.project.project import Project
from filiera.project.shipping.forms import FORMS
from filiera.project.shipping.ship import ship


def run(options: argparse.Namespace) -> int:
    """Write what services need to run somewhere else into a new folder."""
    project = Project.open(profile=options.profile)
    folder = Path(options.to)
    wheels = Path(options.wheels) if options.wheels is not None else None
    shipment = ship(project, options.names, to=folder, form=options.form, wheels=wheels)
    print(f"shipped {', '.join(shipment.together.served)} to {folder}")
    for line in shipment.about[1:]:
        print(f"  {line}")
    for number, line in enumerate((f"cd {folder}", *FORMS[options.form].next(shipment))):
        print(f"  {'next' if not number else '':<4}  {line}")
    return 0
