"""A decoded answer that notes which of its fields are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class WatchedDict(dict[str, Any]):
    """A JSON object; what is asked of it is noted by place, such as ``predictions[*].label``."""

    def __init__(self, content: dict[str, Any], at: str, reads: set[str]) -> None:
        self._at, self._reads = at, reads
        super().__init__({key: watched(value, f"{at}.{key}".lstrip("."), reads) for key, value in content.items()})

    def _note(self, key: object) -> None:
        if isinstance(key, str):
            self._reads.add(f"{self._at}.{key}".lstrip("."))

    def _note_all(self) -> None:
        for key in dict.keys(self):
            self._note(key)

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return as ``dict.get`` does."""
        self._note(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Return as ``dict.pop`` does."""
        self._note(key)
        return super().pop(key, *default)

    def __iter__(self) -> Iterator[str]:
        self._note_all()
        return super().__iter__()

    def keys(self) -> Any:
        """Return as ``dict.keys`` does."""
        self._note_all()
        return super().keys()

    def values(self) -> Any:
        """Return as ``dict.values`` does."""
        self._note_all()
        return super().values()

    def items(self) -> Any:
        """Return as ``dict.items`` does."""
        self._note_all()
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._note_all()
        return super().__eq__(other)

    __hash__ = None


def watched(value: Any, at: str, reads: set[str]) -> Any:
    """Return a decoded JSON *value* whose reads are noted in *reads*; elements of lists are all at ``[*]``.

    >>> reads = set()
    >>> watched({"predictions": [{"label": "a", "id": "1"}]}, "", reads)["predictions"][0]["label"]
    'a'
    >>> sorted(reads)
    ['predictions', 'predictions[*].label']
    """
    if isinstance(value, dict):
        return WatchedDict(value, at, reads)
    if isinstance(value, list):
        return [watched(item, f"{at}[*]", reads) for item in value]
    return value
