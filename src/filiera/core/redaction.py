"""What stands in the prediction log in place of a sensitive value."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

from filiera.core.value import dataclass

SECRET_VARIABLE = "FILIERA_REDACTION_SECRET"  # noqa: S105 - the name of the variable, not a secret
LEAST_SECRET = 16  #: characters
_DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """How values are logged: not at all, as a keyed hash, or as the bin that they are in.

    >>> Redaction.said([18, 65]).binned(70), Redaction.said([18, 65]).binned(18)
    ('65 and more', '18 to below 65')
    """

    how: Literal["drop", "hash", "bins"]
    edges: tuple[float, ...] = ()  #: of bins, ascending: each is the least of what lies in the bin above it

    def __post_init__(self) -> None:
        ascends = all(low < high for low, high in pairwise(self.edges)) and all(map(math.isfinite, self.edges))
        if bool(self.edges) != (self.how == "bins") or not ascends:
            raise ValueError(f"a value is dropped, hashed, or put into bins with ascending edges, not {self!r}")

    @classmethod
    def said(cls, words: str | Iterable[float]) -> Redaction:
        """Return what a person said: ``"drop"``, ``"hash"``, or the edges of bins. Raises ValueError."""
        if isinstance(words, str):
            if words not in ("drop", "hash"):
                raise ValueError(f'a value is logged as "drop", "hash" or the edges of bins say, not {words!r}')
            return cls(how="drop" if words == "drop" else "hash")
        return cls(how="bins", edges=tuple(float(edge) for edge in words))

    def binned(self, value: Any) -> str | None:
        """Return the bin that a number is in, in words; None for what is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            return None
        place = bisect_right(self.edges, value)
        if place == 0:
            return f"below {self.edges[0]:g}"
        if place == len(self.edges):
            return f"{self.edges[-1]:g} and more"
        return f"{self.edges[place - 1]:g} to below {self.edges[place]:g}"


def hashed(name: str, value: Any, secret: str) -> str:
    """Return 32 hex digits that stand for a value of the column *name*: the same for the same value and secret.

    Who does not know the secret can neither find the value nor try values out. One value has another hash in a column
    of another name, so that none tells of another.

    Args:
        name: Of the column.
        value: What JSON can hold.
        secret: Any text; its strength is that of the hashes.

    Source:
        BLAKE2b with a key, RFC 7693.

    >>> len(hashed("client", "Ada", "0123456789abcdef")), hashed("client", "Ada", "another secret!!")[:4]
    (32, '89c2')
    """
    import hashlib  # here: signatures are read more often than values are hashed
    import json

    key = hashlib.blake2b(secret.encode(), digest_size=32).digest()
    content = json.dumps([name, value], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(content.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()
