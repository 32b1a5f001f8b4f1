from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask
from tests.cli.published import trusting


def test_who_signed_what(published: Path, ask: Ask) -> None:
    """Codes: 3 while no trusted key has signed, 0 when one has."""
    told = ask("verify", "m@1", cwd=published)
    assert (told.code, told.err) == (3, "")
    assert "m@1 is not signed by a trusted key; its bytes are as they were" in told.out
    trusting(published, ask("keys", "new", "--json", cwd=published).data["key"])
    ask("sign", "m@1", cwd=published)
    told = ask("verify", "m@1", cwd=published)
    assert told.code == 0
    assert "m@1 is signed by a trusted key; its bytes are as they were" in told.out
    assert "valid      Ada    ada@lab" in told.out


def test_a_flipped_bit_is_named(published: Path, ask: Ask) -> None:
    """The part whose bytes changed is named, and the store's code is the end."""
    for file in (published / ".filiera" / "blobs").rglob("*"):
        if file.is_file() and file.stat().st_size == 9_000:
            content = bytearray(file.read_bytes())
            content[77] ^= 4
            file.chmod(0o600)
            file.write_bytes(content)
    told = ask("verify", "m@1", "--json", cwd=published)
    assert told.code == 5
    assert [part["name"] for part in told.data["parts"] if part["fault"]] == ["files"]
    assert "damaged: files" in ask("verify", "m@1", cwd=published).out


def test_a_required_signature(published: Path, ask: Ask) -> None:
    """What is not signed cannot be promoted, predicted with, served or written to a file; it can be shown."""
    key = ask("keys", "new", "--json", cwd=published).data["key"]
    trusting(published, key, "require = true")
    for words in (
        ["promote", "m@1"],
        ["predict", "m@1", "-"],
        ["serve", "m@1"],
        ["monitor", "m@1"],
        ["show", "m@1", "--open", "file"],
    ):
        ask(*words, cwd=published).said(3, "The model m@1 is not signed", "filiera sign m@1")
    assert not (published / "file").exists()
    assert ask("show", "m@1", cwd=published).code == 0
    ask("sign", "m@1", cwd=published)
    assert ask("promote", "m@1", cwd=published).code == 0
