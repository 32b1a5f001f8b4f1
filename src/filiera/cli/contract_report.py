"""What verifying a contract found, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from filiera.cli.contract_diff import finding_document
from filiera.cli.output import print_table
from filiera.serving.contracts.part import Part
from filiera.serving.contracts.verification import Verification


def print_verification(found: Verification) -> None:
    """Print the parts in their order, and the verdict."""
    print_parts(found.parts)
    against = f" of {found.deployed}" if found.deployed else ""
    verdict = "does not keep" if found.blocks else "keeps"
    print(f"\n{found.candidate} {verdict} the contract{against}")


def print_parts(parts: Iterable[Part]) -> None:
    """Print parts with what they found."""
    rows: list[list[str]] = []
    for part in parts:
        rows.append([part.name, part.state, part.reason])
        rows += [["", "", f"  {line}"] for line in part.details]
    print_table(["part", "state", "found"], rows)


def print_warnings(found: Verification) -> None:
    """Print what of the change does not block, and is worth knowing; ``contract verify`` shows all."""
    for part in found.parts:
        if part.state == "warned" and part.name in ("diff", "shift"):
            print("\n".join([f"{part.name}: {part.reason}", *(f"  {line}" for line in part.details)]))


def verification_document(found: Verification) -> dict[str, Any]:
    """Return all of it for scripts."""
    return {
        "candidate": found.candidate,
        "deployed": found.deployed or None,
        "is_blocked": found.blocks,
        "parts": [asdict(part) for part in found.parts],
        "findings": [finding_document(one) for one in found.findings],
    }
