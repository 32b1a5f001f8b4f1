"""References to environment variables are filled in where a source is read."""

from __future__ import annotations

import pytest

from filiera.core.credentials import filled_in, has_references
from filiera.errors import ProjectError


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
