"""``filiera client``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from filiera.cli.places import find_model
from filiera.errors import UsageError
from filiera.project.project import Project


def run(options: argparse.Namespace) -> int:
    """Print a Python module that asks a model, or write it to a file."""
    from filiera.serving.client_module import client_module
    from filiera.serving.contract import ModelContract

    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    signature = project.value(version.attachments["signature"])
    text = client_module(ModelContract(name=version.name, version=version.number, signature=signature))
    if options.to is None:
        sys.stdout.write(text)
        return 0
    file = Path(options.to)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written.", why=error.strerror or str(error)) from error
    print(f"client of {version.ref} written to {file}")
    return 0
