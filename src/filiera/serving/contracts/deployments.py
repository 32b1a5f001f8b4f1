"""Which version of an application runs in which environment: ``deployments.json`` among the contracts.

{"prod": {"shop": "1.4"}, "staging": {"shop": "1.5"}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from filiera.errors import ProjectError

FILE = "deployments.json"
Deployments = Mapping[str, Mapping[str, str]]
"""Versions of applications by name, by environment."""


def read_deployments(folder: Path) -> Deployments | None:
    """Return what runs where, or None when nobody has written it down. Raises ProjectError."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectError(f"{path} cannot be read.", why=str(error)) from error
    if not _is_right(found):
        raise ProjectError(
            f"{path} does not say which versions run where.", do='Write {"prod": {"shop": "1.4"}}, or remove the file.'
        )
    deployed: Deployments = found
    return deployed


def with_deployment(folder: Path, environment: str, consumer: str, version: str) -> Path:
    """Write that a version of an application runs in an environment now, in one piece, and return the file."""
    known = read_deployments(folder) or {}
    changed = {**known, environment: {**known.get(environment, {}), consumer: version}}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    beside = path.with_name(f".{FILE}.part")
    beside.write_text(json.dumps(changed, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def _is_right(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(each, dict) and all(isinstance(version, str) for version in each.values()) for each in found.values()
    )
