"""``filiera contract verify``."""

from __future__ import annotations

import argparse

from filiera.cli.contract_report import print_verification, verification_document
from filiera.cli.output import print_json
from filiera.cli.places import find_model
from filiera.errors import Rejected
from filiera.project.project import Project
from filiera.project.serving.contracts import contract_of, verify_service, verify_version
from filiera.project.serving.token import token_given


def run(options: argparse.Namespace) -> int:
    """Print what each part of the gate says of a version; 3 when one blocks."""
    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    contract_of(project, version)
    if options.url:
        found = verify_service(project, version, options.url, token=token_given())
    else:
        found = verify_version(project, version, options.alias)
    if options.json:
        print_json(verification_document(found))
    else:
        print_verification(found)
    return Rejected.exit_code if found.blocks else 0
