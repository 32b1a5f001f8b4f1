"""Compact JSON text, written with the one encoder that the standard library makes anew for each call."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder
from typing import Any


def compact_writer(*, ascii_only: bool) -> Callable[[Any], str]:
    """Return a function that writes plain JSON values without blanks, as ``json.dumps`` would.

    It refuses what JSON cannot say: NaN and infinities with ValueError, objects with TypeError.

    >>> compact_writer(ascii_only=True)({"a": [1, 2.5, None, "é"]})
    '{"a":[1,2.5,null,"\\\\u00e9"]}'
    """
    usual = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), check_circular=False)
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without the compiled encoder
        return usual.encode
    texts = encoder.encode_basestring_ascii if ascii_only else encoder.encode_basestring
    # As JSONEncoder.iterencode calls it for every value: making it takes longer than writing a small one.
    chunks = make(None, usual.default, texts, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))
