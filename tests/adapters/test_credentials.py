"""References to environment variables are filled in where a source is read."""

from __future__ import annotations

import sys
from pathlib import Path

import keyring
import keyring.core
import pytest

from filiera.adapters.credentials import filled_in, has_references, hidden
from filiera.errors import ProjectError
from tests.kept_passwords import FILE_VARIABLE, KeptPasswords


def test_references_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reference is replaced once; what a variable holds is not looked through again."""
    monkeypatch.setenv("USER_OF_SHOP", "ada")
    monkeypatch.setenv("PASSWORD_OF_SHOP", "${USER_OF_SHOP}")
    assert filled_in("db://${USER_OF_SHOP}:${PASSWORD_OF_SHOP}@host") == "db://ada:${USER_OF_SHOP}@host"


@pytest.mark.parametrize("text", ["", "plain", "$HOME", "$5", "{HOME}", "${HOME"])
def test_other_texts_stay(text: str) -> None:
    """Only ``${NAME}`` is a reference."""
    assert filled_in(text) == text
    assert not has_references(text)


@pytest.mark.parametrize("text", ["${}", "${A B}", "${1}", "${A-B}"])
def test_malformed_references_are_refused(text: str) -> None:
    """What looks like a reference and names nothing is an error, not text."""
    with pytest.raises(ProjectError, match="no reference"):
        filled_in(text)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and says what to do; it holds the value of none."""
    monkeypatch.setenv("SHOP_PASSWORD", "secret")
    monkeypatch.delenv("SHOP_PASWORD", raising=False)
    with pytest.raises(ProjectError, match="SHOP_PASWORD is not set") as caught:
        filled_in("db://${SHOP_PASSWORD}@${SHOP_PASWORD}")
    assert "Did you mean 'SHOP_PASSWORD'?" in caught.value.why
    assert "secret" not in str(caught.value)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptPasswords:
    """Return a keyring in a file."""
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "passwords.json"))
    monkeypatch.setattr(keyring.core, "_keyring_backend", KeptPasswords())
    return KeptPasswords()


@pytest.mark.parametrize(("service", "user"), [("shop", "app"), ("https://db.example.org/shop", "app@corp")])
def test_passwords_come_from_the_keyring(kept: KeptPasswords, service: str, user: str) -> None:
    """What stands behind the last slash is the user; the password of now counts, not that of before."""
    for password in ("s3cret/@:word", "${HOME}"):
        kept.set_password(service, user, password)
        assert filled_in(f"db://x:${{keyring:{service}/{user}}}@host") == f"db://x:{password}@host"


def test_passwords_of_the_keyring_are_hidden(kept: KeptPasswords) -> None:
    """As those of the environment, also when somebody else's message has them quoted."""
    kept.set_password("shop", "app", "k1/2")
    assert hidden("no k1/2 nor k1%2F2", "${keyring:shop/app}") == "no ${keyring:shop/app} nor ${keyring:shop/app}"
    assert hidden("no k1/2", "${keyring:shop/other} ${NOT_SET}") == "no k1/2"


@pytest.mark.parametrize("text", ["${keyring:}", "${keyring:shop}", "${keyring:/app}", "${keyring:shop/}"])
def test_malformed_references_to_the_keyring_are_refused(text: str) -> None:
    """A service and a user are needed, and that is said."""
    with pytest.raises(ProjectError, match="no reference to the keyring") as caught:
        filled_in(text)
    assert "SERVICE/USER" in caught.value.do


def test_a_password_that_nobody_kept_is_named(kept: KeptPasswords) -> None:
    """The command that keeps it is told; others stay untold."""
    kept.set_password("shop", "ada", "secret")
    with pytest.raises(ProjectError, match="no password of app for shop") as caught:
        filled_in("${keyring:shop/ada}${keyring:shop/app}")
    assert caught.value.do == "python -m keyring set shop app"
    assert "secret" not in str(caught.value)


def test_a_locked_keyring_is_told(kept: KeptPasswords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises is one clear message."""
    monkeypatch.delenv(FILE_VARIABLE)
    with pytest.raises(ProjectError, match="cannot be asked") as caught:
        filled_in("${keyring:shop/app}")
    assert "the keyring is locked" in caught.value.why


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keyring is an extra."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ProjectError, match="needs the package keyring") as caught:
        filled_in("${keyring:shop/app}")
    assert "filiera[keyring]" in caught.value.do
