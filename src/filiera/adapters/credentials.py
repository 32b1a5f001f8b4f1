"""References in the catalog to environment variables and to the keyring: filled in when read, never recorded."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from urllib.parse import quote

from filiera.errors import ProjectError, did_you_mean

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYRING = "keyring:"


def filled_in(text: str) -> str:
    """Return *text* with each reference replaced by what it stands for.

    ``${NAME}`` is an environment variable, ``${keyring:SERVICE/USER}`` a password in the keyring of this user. Records,
    messages and fingerprints hold the text as it was, so that no credential gets there.

    Raises:
        ProjectError: There is no such variable or password, or the reference is malformed; the message has no value of
            any.

    >>> os.environ["SHOP"] = "north"
    >>> filled_in("data/${SHOP}/orders.csv")
    'data/north/orders.csv'
    """
    return _REFERENCE.sub(lambda found: _value(found[1], text), text)


def has_references(text: str) -> bool:
    """Tell whether *text* has a reference."""
    return bool(_REFERENCE.search(text))


def hidden(message: str, text: str) -> str:
    """Return *message* without what the references in *text* stand for, as others repeat it in their messages.

    >>> os.environ["KEY_OF_SHOP"] = "k1/2"
    >>> hidden("no answer from https://shop/k1/2", "https://shop/${KEY_OF_SHOP}")
    'no answer from https://shop/${KEY_OF_SHOP}'
    """
    for name in _REFERENCE.findall(text):
        value = ""
        with suppress(ProjectError):
            value = _value(name, text)
        for form in (value, quote(value, safe=""), quote(value)) if value else ():
            message = message.replace(form, "${" + name + "}")
    return message


def _value(name: str, text: str) -> str:
    if name.startswith(_KEYRING):
        return _password(name.removeprefix(_KEYRING), text)
    return _variable(name, text)


def _variable(name: str, text: str) -> str:
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"{'${' + name + '}'} in the catalog is no reference to an environment variable.",
            why=f"It stands in {text!r}.",
            do="Write ${NAME}, where NAME has letters, digits and '_' only, or ${keyring:SERVICE/USER}.",
        )
    value = os.environ.get(name)
    if value is None:
        raise ProjectError(
            f"The environment variable {name} is not set.",
            why=f"The catalog refers to it in {text!r}.{did_you_mean(name, os.environ)}",
            do=f"export {name}=…, then run again.",
        )
    return value


def _password(place: str, text: str) -> str:
    """Return a password of the keyring, each time anew: processes live longer than passwords do."""
    service, _, user = place.rpartition("/")
    if not service or not user:
        raise ProjectError(
            f"{'${' + _KEYRING + place + '}'} in the catalog is no reference to the keyring.",
            why=f"It stands in {text!r}.",
            do="Write ${keyring:SERVICE/USER}.",
        )
    try:
        import keyring
    except ImportError as error:
        what = f"The catalog refers to the keyring in {text!r}, which needs the package keyring."
        raise ProjectError(what, do="pip install 'filiera[keyring]'") from error
    try:
        found = keyring.get_password(service, user)
    except Exception as error:  # each keyring has errors of its own: locked, no service that keeps it, no rights
        raise ProjectError(
            f"The keyring cannot be asked for the password of {user} for {service}.",
            why=f"It says: {str(error).partition(chr(10))[0] or type(error).__name__}",
            do="Unlock it, or see `python -m keyring diagnose`; on a server an environment variable is simpler.",
        ) from error
    if found is None:
        raise ProjectError(
            f"The keyring has no password of {user} for {service}.",
            why=f"The catalog refers to it in {text!r}.",
            do=f"python -m keyring set {service} {user}",
        )
    return found
