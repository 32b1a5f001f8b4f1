"""``filiera contract deployed``."""

from __future__ import annotations

import argparse

from filiera.core.products import check_name
from filiera.project.config import find_root
from filiera.project.serving.contracts import FOLDER
from filiera.serving.contracts.deployments import with_deployment
from filiera.serving.contracts.pact import check_consumer


def run(options: argparse.Namespace) -> int:
    """Note which version of an application runs in an environment: its contract counts from now on."""
    name, version = check_consumer(options.consumer)
    check_name(options.to, "environment")
    path = with_deployment(find_root(None) / FOLDER, options.to, name, version)
    print(f"{options.consumer} runs in {options.to}: {path}")
    return 0
