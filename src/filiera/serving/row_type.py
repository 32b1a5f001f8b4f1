"""The class that msgspec reads a request of rows into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from filiera.core.signature import Field
from filiera.serving.domain import held


def request_type(fields: Sequence[Field], types: Sequence[Any]) -> Any | None:
    """Return a class with ``instances``, a list of rows whose values follow *fields* and are of *types*.

    None when msgspec cannot spell a field's name, which has a quote or a control sign.
    """
    names = {f"f{place}": field.name for place, field in enumerate(fields)}
    if any(ord(sign) < 32 or sign in '"\\' for name in names.values() for sign in name):
        return None
    typed: list[Any] = [(key, kind, *_default(field)) for key, kind, field in zip(names, types, fields, strict=True)]
    row = msgspec.defstruct("Row", typed, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)
    return msgspec.defstruct("Request", [("instances", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]


def _default(field: Field) -> tuple[Any, ...]:
    return (held(field.type, field.default),) if field.optional else ()
