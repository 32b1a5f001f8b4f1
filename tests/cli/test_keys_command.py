from __future__ import annotations

import stat
import tomllib
from pathlib import Path

from tests.cli.conftest import Ask


def test_a_key_is_made_outside_the_project(published: Path, ask: Ask) -> None:
    """What is printed can be put into filiera.toml as it is; then nothing more is advised."""
    told = ask("keys", "new", cwd=published)
    file = published.parent / "config" / "filiera" / "keys" / "small.pem"
    assert f"file  {file}" in told.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    advice = told.out[told.out.index("[signing]") :]
    assert list(tomllib.loads(advice)["signing"]) == ["trusted"]
    (published / "filiera.toml").write_text(f'[project]\nname = "small"\n{advice}')
    shown = ask("keys", "show", cwd=published).out
    assert "[signing]" not in shown
    assert "TRUSTED" in shown
    assert ask("keys", "show", "--json", cwd=published).data["trusted"].popitem()[1] == "small"


def test_a_key_is_not_replaced(published: Path, ask: Ask) -> None:
    """A second key is made somewhere else, or not at all."""
    ask("keys", "new", cwd=published)
    ask("keys", "new", cwd=published).said(4, "There is a key in")
    assert len(ask("audit", "--action", "key", "--json", cwd=published).data) == 1


def test_a_key_in_the_project_is_warned_of(published: Path, ask: Ask) -> None:
    """A private key does not belong into version control."""
    (published / "filiera.toml").write_text('[signing]\nkey = "key.pem"\n')
    assert "keep it out of version control" in ask("keys", "new", cwd=published).out


def test_there_is_no_key_to_show(published: Path, ask: Ask) -> None:
    """Showing makes none."""
    ask("keys", "show", cwd=published).said(4, "There is no key in", "filiera keys new")
    ask("keys", "make", cwd=published).said(2, "'make'")
