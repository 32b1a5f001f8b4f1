"""Contracts that people name on the command line: of a model version, or in a file."""

from __future__ import annotations

from pathlib import Path

from filiera.cli.places import find_model
from filiera.errors import UsageError
from filiera.project.project import Project
from filiera.project.serving.contracts import contract_of
from filiera.serving.contract import ModelContract
from filiera.serving.contracts.mock_server import Ask, MockServer
from filiera.serving.contracts.signature_file import read_contract


def find_contract(text: str, profile: str | None) -> ModelContract:
    """Return the contract that *text* names; a project is needed for a model, not for a file. Raises UsageError."""
    if text.endswith(".json"):
        return read_contract(Path(text))
    project = Project.open(profile=profile)
    return contract_of(project, find_model(project, text))


def listening(ask: Ask, port: int) -> MockServer:
    """Return a server of a mock at an address of this machine. Raises UsageError for a port that is taken."""
    try:
        return MockServer(ask, port=port)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on 127.0.0.1, port {port}.",
            why=getattr(error, "strerror", None) or str(error),
            do="choose another port, or 0 for any free one",
        ) from error
