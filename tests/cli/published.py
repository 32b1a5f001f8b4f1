"""What the tests of signing do to a project."""

from __future__ import annotations

from pathlib import Path


def trusting(folder: Path, key: str, *rules: str) -> None:
    """Let the project trust a key, and have further rules."""
    text = "\n".join(["[signing]", f'trusted = ["{key} Ada"]', *rules, ""])
    (folder / "filiera.toml").write_text(f'[project]\nname = "small"\n{text}')
