"""References to environment variables in entries of the catalog: filled in when read, never recorded."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from filiera.errors import ProjectError, did_you_mean

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def filled_in(text: str) -> str:
    """Return *text* with each ``${NAME}`` replaced by that environment variable.

    Records, messages and fingerprints hold the text as it was, so that no credential gets there.

    Raises:
        ProjectError: There is no such variable, or the reference is malformed; the message has no value of any.

    >>> os.environ["SHOP"] = "north"
    >>> filled_in("data/${SHOP}/orders.csv")
    'data/north/orders.csv'
    """
    return _REFERENCE.sub(lambda found: _variable(found[1], text), text)


def has_references(text: str) -> bool:
    """Tell whether *text* has a ``${NAME}``."""
    return bool(_REFERENCE.search(text))


def hidden(message: str, text: str) -> str:
    """Return *message* without what the variables hold that *text* refers to, as others repeat it in their messages.

    >>> os.environ["KEY_OF_SHOP"] = "k1/2"
    >>> hidden("no answer from https://shop/k1/2", "https://shop/${KEY_OF_SHOP}")
    'no answer from https://shop/${KEY_OF_SHOP}'
    """
    for name in _REFERENCE.findall(text):
        value = os.environ.get(name)
        for form in (value, quote(value, safe=""), quote(value)) if value else ():
            message = message.replace(form, "${" + name + "}")
    return message


def _variable(name: str, text: str) -> str:
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"{'${' + name + '}'} in the catalog is no reference to an environment variable.",
            why=f"It stands in {text!r}.",
            do="Write ${NAME}, where NAME has letters, digits and '_' only.",
        )
    value = os.environ.get(name)
    if value is None:
        raise ProjectError(
            f"The environment variable {name} is not set.",
            why=f"The catalog refers to it in {text!r}.{did_you_mean(name, os.environ)}",
            do=f"export {name}=…, then run again.",
        )
    return value
