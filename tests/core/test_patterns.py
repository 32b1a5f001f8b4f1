"""Patterns mean the same in Python, in ECMA-262 as JSON Schema takes it, and in Rust."""

from __future__ import annotations

import re
from typing import Annotated

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.patterns import portable
from filiera.errors import UsageError

GOOD = [
    r"^\d+$", r"^[a-z][a-z0-9_-]{0,9}$", r"^(?:tcp|udp)$", r"^.{2,3}$", r"\.csv$", r"^[^\d]*$", r"a?b*c+?", r"^\w\W\D$",
    r"^\/[\]\[]+$", "^é{2}$", r"^\-\_$", r"^(a+)?$", r"[a\-z]", "^$", "",
]  # fmt: skip
BAD = {
    r"(?i)a": r"\(\? only",
    r"(?<=a)b": r"\(\? only",
    r"(?P<n>a)": r"\(\? only",
    r"\bword": "not shared",
    r"\s": "not shared",
    r"\1": "not shared",
    "a{": "only behind",
    "}": "only behind",
    "]": "only behind",
    "(a": "not closed",
    "a)": "not opened",
    "*a": "nothing to repeat",
    "a**": "nothing to repeat",
    "a++": "nothing to repeat",
    "^*": "nothing to repeat",
    "(a+)+": "without end is repeated",
    "(?:a*b){2,}": "without end is repeated",
    "(a+){9}": "without end is repeated",
    "[": "not closed",
    "[]": "empty",
    "[a&&b]": "not shared",
    "[a-\\d]": "ends in a set",
    "[z-a]": "range",
    "a{3,1}": "below",
    "\\": "not shared",
    "a{99999}": "only behind",
}
SIGNS = st.text(st.sampled_from("ab19_-. \n\r\u2028é\U0001f600٣/]["), max_size=6)


@given(pattern=st.sampled_from(GOOD), text=SIGNS)
def test_dialects_agree(pattern: str, text: str) -> None:
    """A pattern is found in a text by Python, by msgspec and by an ECMA-262 engine, or by none of them."""
    spelled = portable(pattern)
    by_python = re.search(spelled, text) is not None
    assert jsonschema_rs.validator_for({"pattern": spelled}).is_valid(text) == by_python
    try:
        msgspec.convert(text, Annotated[str, msgspec.Meta(pattern=spelled)])
        by_msgspec = True
    except msgspec.ValidationError:
        by_msgspec = False
    assert by_msgspec == by_python


@given(text=SIGNS)
def test_signs_mean_what_ecma_says(text: str) -> None:
    """The end is the end, not a place before a line end; a digit is one of ten; a dot is no line end."""
    assert (re.search(portable("^a$"), text) is not None) == (text == "a")
    assert (re.search(portable(r"^\d$"), text) is not None) == (text in set("19") and len(text) == 1)
    assert (re.search(portable("^.$"), text) is not None) == (len(text) == 1 and text not in "\n\r\u2028\u2029")


@pytest.mark.parametrize("pattern", BAD)
def test_what_dialects_do_not_share_is_refused(pattern: str) -> None:
    """The message says what it is."""
    with pytest.raises(UsageError, match="cannot stand in a contract") as caught:
        portable(pattern)
    assert re.search(BAD[pattern], caught.value.why)
