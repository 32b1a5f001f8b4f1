"""Checks that are wrong themselves, in the project of any world: of columns that are not there, or that raise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

from tests.faults.sources.world import CHECK, PROJECT, Caught, Place, Spoil

RULES = """
from filiera import Check


def raises(col):
    raise ValueError("out of luck")


def of_nothing(col):
    return col.nowhere > 1


def no_condition(col):
    return 7


def of_texts(col):
    return col.TEXT.str.to_date("%Y") > 1


ODD = [CHECK]
"""

CHECKS: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    "check of a column that is not there": ('Check.not_null("nowhere")', CHECK, ("nowhere not null: no column",)),
    "rule that raises": ('Check.rule("luck", raises)', CHECK, ("block: luck: ", "ValueError", "out of luck")),
    "warning that raises": ('Check.rule("luck", raises, severity="warn")', CHECK, ("warn: luck: ", "out of luck")),
    "rule of a column that is not there": ('Check.rule("luck", of_nothing)', CHECK, ("block: luck: ", "nowhere")),
    "rule that is no condition": ('Check.rule("luck", no_condition)', CHECK, ("block: luck: ",)),
    "rule that fails on the rows": ('Check.rule("luck", of_texts)', CHECK, ("block: luck: ",)),
    "range of a text": ('Check.in_range("TEXT", 0, 9)', CHECK, ("TEXT in 0..9: ",)),
    "pattern that is none": ('Check.matches("TEXT", "(")', CHECK, ("TEXT", "(")),
    "range that is none": ('Check.in_range("TEXT", 9, 0)', PROJECT, ("in_range",)),
    "other table that is not there": ('Check.foreign_key("TEXT", "nowhere@latest")', 2, ("nowhere",)),
}  # fmt: skip


def _wrong(kind: str, module: str, text: str, place: Place, dice: random.Random) -> Caught:
    check, code, words = CHECKS[kind]
    path = place / module
    lines = path.read_text(encoding="utf-8")
    head, checks, tail = lines.rpartition("checks=")
    odd = RULES.replace("ODD = [CHECK]", f"ODD = [{check}]").replace("TEXT", text)
    start = head.rindex("@pipeline")
    path.write_text(f"{head[:start]}{odd}\n\n{head[start:]}{checks}ODD + {tail}", encoding="utf-8")
    told = tuple(word.replace("TEXT", text) for word in words)
    return Caught(by="the check itself", code=code, words=told, own_process=True)


def faults(module: str, text: str) -> dict[str, Spoil]:
    """Return the faults for a project whose *module* publishes a table with a column *text*."""
    return {kind: partial(_wrong, kind, module, text) for kind in CHECKS}
