"""``filiera contract diff``."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filiera.cli.contract_sides import find_contract
from filiera.cli.output import print_json, print_table
from filiera.errors import ProjectError, Rejected
from filiera.project.config import find_root
from filiera.project.serving.contracts import FOLDER
from filiera.serving.contract import ModelContract
from filiera.serving.contracts.approval import Judged, judge, read_approvals
from filiera.serving.contracts.differ import diff
from filiera.serving.contracts.finding import bump
from filiera.serving.contracts.operations import diff_operations, read_document


def run(options: argparse.Namespace) -> int:
    """Print the changes, breaks first; 3 when one breaks the contract and is not approved."""
    old, new = _document_in(options.old), _document_in(options.new)
    if old is not None and new is not None:
        sides, model, changes = ("old document", "new document"), _title(new), diff_operations(old, new)
    else:
        before, after = (find_contract(side, options.profile) for side in (options.old, options.new))
        sides, model = (_ref(before), _ref(after)), after.name
        changes = diff(before.signature, after.signature)
    today = dt.datetime.now(dt.UTC).date()
    found = judge(changes, read_approvals(_root() / FOLDER), model=model, today=today)
    if options.json:
        print_json(_document(sides, found))
    else:
        _print(sides, found)
    return Rejected.exit_code if any(one.blocks for one in found) else 0


def _document_in(side: str) -> dict[str, Any] | None:
    return read_document(Path(side)) if side.endswith(".json") else None


def _title(document: dict[str, Any]) -> str:
    return str(document.get("info", {}).get("title", ""))


def _ref(contract: ModelContract) -> str:
    return f"{contract.name}@{contract.version}"


def _root() -> Path:
    try:
        return find_root(None)
    except ProjectError:
        return Path.cwd()


def _document(sides: tuple[str, str], found: Sequence[Judged]) -> dict[str, Any]:
    return {
        "old": sides[0],
        "new": sides[1],
        "next": bump(one.finding for one in found),
        "is_blocked": any(one.blocks for one in found),
        "findings": [finding_document(one) for one in found],
    }


def finding_document(one: Judged) -> dict[str, Any]:
    """Return one finding for scripts."""
    approval = one.approval
    return {
        "level": one.finding.level,
        "rule": one.finding.rule,
        "at": one.finding.at,
        "text": one.finding.text,
        "fingerprint": one.finding.fingerprint,
        "blocks": one.blocks,
        "approved": None if approval is None else {"reason": approval.reason, "until": approval.until.isoformat()},
    }


def _print(sides: tuple[str, str], found: Sequence[Judged]) -> None:
    told = " → ".join(sides)
    if not found:
        print(f"{told}: the same contract")
        return
    rows = [[one.finding.level, *_cells(one)] for one in found]
    print_table(["level", "at", "change", "rule", "fingerprint", "approval"], rows)
    blocking = sum(one.blocks for one in found)
    step = bump(one.finding for one in found)
    verdict = f"{blocking} {'change breaks' if blocking == 1 else 'changes break'}" if blocking else "nothing breaks"
    print(f"\n{told}: {verdict} the contract; next is a {step} version of it")


def _cells(one: Judged) -> list[str]:
    return [one.finding.at, one.finding.text, one.finding.rule, one.finding.fingerprint, one.standing]
