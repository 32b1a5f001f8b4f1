"""A keyring for tests: passwords in a JSON file, so that other processes find them, too."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

BACKEND = "tests.kept_passwords.KeptPasswords"
FILE_VARIABLE = "KEPT_PASSWORDS"


class KeptPasswords(KeyringBackend):
    """Passwords in the file that ``KEPT_PASSWORDS`` names; without that variable the keyring is locked."""

    priority = 1.0  # type: ignore[assignment]  # a class property there

    def get_password(self, service: str, username: str) -> str | None:
        """Return what was kept, or None."""
        found: str | None = self._kept().get(f"{service}\n{username}")
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""
        kept = {**self._kept(), f"{service}\n{username}": password}
        Path(os.environ[FILE_VARIABLE]).write_text(json.dumps(kept))

    def _kept(self) -> dict[str, str]:
        if FILE_VARIABLE not in os.environ:
            raise KeyringLocked("the keyring is locked")
        file = Path(os.environ[FILE_VARIABLE])
        return dict(json.loads(file.read_text())) if file.exists() else {}
