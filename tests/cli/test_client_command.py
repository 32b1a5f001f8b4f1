from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask


def test_the_client_of_a_model_is_printed_or_written(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """A module with the fields of the model's signature; the same text either way."""
    file = tmp_path / "spender_client.py"
    assert ask("client", "spender", "--to", str(file), cwd=shop).out == f"client of spender@1 written to {file}\n"
    text = file.read_text()
    compile(text, str(file), "exec")
    assert "    price: float" in text
    assert ask("client", "spender@1", cwd=shop).out == text


def test_what_no_client_can_be_written_of(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """A model that is not there, a folder that is not there."""
    ask("client", "spendr", cwd=shop).said(2, "no model spendr@champion")
    ask("client", "spender", "--to", str(tmp_path / "no" / "client.py"), cwd=shop).said(2, "cannot be written")
