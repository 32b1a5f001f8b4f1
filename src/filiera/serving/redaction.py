"""Keeps sensitive values out of the prediction log: of models and functions alike, before anything reaches the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from filiera.core.redaction import LEAST_SECRET, SECRET_VARIABLE, Redaction, hashed
from filiera.core.signature import Field
from filiera.errors import ProjectError

_DROP = Redaction(how="drop")


def of_fields(fields: Sequence[Field]) -> dict[str, Redaction]:
    """Return what is said of the sensitive ones among the inputs of a model."""
    return {field.name: field.redaction or _DROP for field in fields if field.sensitive}


class Redactor:
    """Makes of values what may be logged."""

    def __init__(self, redactions: Mapping[str, Redaction]) -> None:
        """Follow *redactions*, by column or parameter.

        Raises:
            ProjectError: One hashes, and the environment has no secret for that.
        """
        self.dropped = {name for name, each in redactions.items() if each.how == "drop"}
        self.changed = {name: each for name, each in redactions.items() if each.how != "drop"}
        hashing = sorted(name for name, each in self.changed.items() if each.how == "hash")
        self._secret = os.environ.get(SECRET_VARIABLE, "")
        if hashing and len(self._secret) < LEAST_SECRET:
            raise ProjectError(
                f"Values of {hashing[0]!r} are to be logged as hashes, and there is no secret to hash them with.",
                why=f"The environment's {SECRET_VARIABLE} is {'too short' if self._secret else 'not set'}.",
                do=f"Set it to at least {LEAST_SECRET} random characters, and keep it: another gives other hashes.",
            )

    def column(self, name: str, values: Any) -> Any:
        """Return what is logged of the *values* of a column that is not dropped: themselves, or a list of texts."""
        if name not in self.changed:
            return values
        return [self._changed(name, value) for value in (values.tolist() if hasattr(values, "tolist") else values)]

    def row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is logged of *values* by name."""
        return {
            name: self._changed(name, value) if name in self.changed else value
            for name, value in values.items()
            if name not in self.dropped
        }

    def _changed(self, name: str, value: Any) -> str | None:
        redaction = self.changed[name]
        if value is None or value != value:
            return None
        if redaction.how == "bins":
            return redaction.binned(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 3 and 3.0 are one value to callers
        return hashed(name, msgspec.to_builtins(value), self._secret)
