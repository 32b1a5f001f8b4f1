"""``filiera contract show`` and ``diff``: from a model's contract to what a change of it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Ask


@pytest.fixture
def kept(shop: Path, ask: Ask, tmp_path: Path) -> Callable[..., str]:
    """Return what writes the contract of the shop's model to a file, after a change."""
    shown = ask("contract", "show", "spender", cwd=shop)
    assert shown.code == 0

    def write(name: str, change: Callable[[dict[str, Any]], object] = lambda signature: None) -> str:
        document = json.loads(shown.out)
        change(document["signature"])
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        return str(path)

    return write


def narrowed(signature: dict[str, Any]) -> None:
    signature["inputs"][0]["maximum"] = 9
    signature["max_rows"] = 5


def test_a_break_is_refused_with_its_reasons(kept: Callable[..., str], ask: Ask, tmp_path: Path) -> None:
    """Breaks stand first, each with a fingerprint; the exit code is that of gates. No project is needed for files."""
    old, new = kept("old"), kept("new", narrowed)
    said = ask("contract", "diff", old, new, cwd=tmp_path)
    assert said.code == 3
    lines = said.out.splitlines()
    assert lines[1].startswith("ERR    inputs.pieces  at most 9223372036854775807 → at most 9")
    assert "batch-limit-lowered" in lines[2] and lines[2].startswith("WARN")
    assert lines[-1] == "spender@1 → spender@1: 1 change breaks the contract; next is a major version of it"
    data = ask("contract", "diff", old, new, "--json", cwd=tmp_path).data
    assert (data["next"], data["is_blocked"], [one["level"] for one in data["findings"]]) == (
        "major",
        True,
        ["ERR", "WARN"],
    )


def test_what_is_approved_passes_until_its_day(kept: Callable[..., str], ask: Ask, tmp_path: Path) -> None:
    """The fingerprint goes into contracts/approved.toml; an approval whose day is past blocks again."""
    old, new = kept("old"), kept("new", narrowed)
    found = ask("contract", "diff", old, new, "--json", cwd=tmp_path).data["findings"]
    (tmp_path / "contracts").mkdir()
    for until, code, said in (("2999-01-01", 0, "approved until"), ("2020-01-01", 3, "approval ended")):
        approved = f'model = "spender"\nbreak = "{found[0]["fingerprint"]}"\nreason = "agreed"\nuntil = {until}\n'
        (tmp_path / "contracts" / "approved.toml").write_text(f"[[approved]]\n{approved}")
        answer = ask("contract", "diff", old, new, cwd=tmp_path)
        assert answer.code == code and f"{said} {until}: agreed" in answer.out


def test_what_applications_do_not_notice_passes(kept: Callable[..., str], ask: Ask, tmp_path: Path, shop: Path) -> None:
    """More is taken, or nothing changed; a version and a file can be compared."""
    wider = kept("wider", lambda signature: signature.update(max_rows=2_000))
    said = ask("contract", "diff", "spender@1", wider, cwd=shop)
    assert (said.code, said.out.splitlines()[-1]) == (
        0,
        "spender@1 → spender@1: nothing breaks the contract; next is a minor version of it",
    )
    same = ask("contract", "diff", "spender@1", kept("same"), cwd=shop)
    assert (same.code, same.out) == (0, "spender@1 → spender@1: the same contract\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "holds no signature"),
        ("[]", "holds no signature"),
        ('{"model": "m", "version": 1}', "It has no 'signature'"),
        ('{"model": "m", "version": 1, "signature": {"task": "x"}}', "holds no signature"),
        ('{"model": "m", "version": 1, "signature": {"task": "regression", "inputs": [], "outputs": []}}', "no inputs"),
    ],
)
def test_what_is_no_contract_is_told(content: str | None, said: str, ask: Ask, tmp_path: Path) -> None:
    """A file that is missing or holds something else, with how to get one that does."""
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    ask("contract", "diff", "x.json", "x.json", cwd=tmp_path).said(2, said)


def test_documents_of_services_are_compared(ask: Ask, tmp_path: Path) -> None:
    """What a service does is compared, too: an operation that is gone breaks."""
    paths = {"/v1/models/m:predict": {"post": {"responses": {"200": {}}}}}
    for name, content in (("old", paths), ("new", {})):
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"openapi": "3.1.0", "info": {"title": "m"}, "paths": content})
        )
    said = ask("contract", "diff", "old.json", "new.json", cwd=tmp_path)
    assert said.code == 3 and "ERR    POST /v1/models/m:predict  nothing answers there any more" in said.out
    assert ask("contract", "diff", "new.json", "old.json", cwd=tmp_path).code == 0
