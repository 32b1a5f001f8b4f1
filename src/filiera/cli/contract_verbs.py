"""What ``filiera contract`` can be asked: each verb with its arguments; ``cli/contract_VERB.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import Verbs

MODEL = "NAME@VERSION or NAME@ALIAS (default: @champion)"
SIDE = f"{MODEL}, or a file that contract show wrote"


def add_contract_verbs(verbs: Verbs) -> None:
    """Add the verbs behind ``filiera contract``."""
    sub = verbs.add("show", "print what applications may count on, as JSON")
    sub.add_argument("model", help=MODEL)
    sub = verbs.add_with_json("diff", "say what a new contract means for applications that keep to the old one")
    sub.add_argument("old", help=SIDE)
    sub.add_argument("new", help=SIDE)
