from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.cli.published import trusting


def test_a_version_is_signed(published: Path, ask: Ask) -> None:
    """The line says what was signed, with which key, and that it does not count yet."""
    key = ask("keys", "new", "--json", cwd=published).data["key"]
    told = ask("sign", "m@1", cwd=published)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("signed m@1  ")
    assert told.out.endswith(f"by ada@lab with {key}; not trusted here yet: filiera keys show\n")
    trusting(published, key)
    assert ask("sign", "m@1", cwd=published).out.endswith(f"{key}\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["m@1"], 4, ["There is no key in", "filiera keys new"]),
        (["m@9"], 2, ["no model m@9"]),
        (["n@1"], 2, ["no dataset, model or service 'n'"]),
    ],
)
def test_what_cannot_be_signed(words: list[str], code: int, said: list[str], published: Path, ask: Ask) -> None:
    """The message says what is missing, and nothing is noted."""
    ask("sign", *words, cwd=published).said(code, *said)
    assert ask("audit", "--action", "sign", "--json", cwd=published).data == []


def test_damaged_bytes_are_not_signed(published: Path, ask: Ask) -> None:
    """Nobody vouches for what is broken."""
    ask("keys", "new", cwd=published)
    (blob,) = [file for file in (published / ".filiera" / "blobs").rglob("*") if file.stat().st_size == 10_000]
    blob.chmod(0o600)
    blob.write_bytes(b"x" * 10_000)
    ask("sign", "m@1", cwd=published).said(5, "m@1 was not signed: its artifact is damaged", "filiera doctor")
