"""Sets of digests that are kept on the disk."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from filiera.core.digest import blob_digest
from filiera.project.upkeep.marks import Marks, Parts

DIGESTS = st.lists(st.integers(0, 300).map(lambda number: blob_digest(b"%d" % number)))


@given(added=DIGESTS, more=DIGESTS, asked=DIGESTS)
def test_marks_are_a_set(added: list[str], more: list[str], asked: list[str]) -> None:
    """What was added is in it, also when more is added after it was asked; nothing else is."""
    with Marks(Path()) as marks:
        for digest in added:
            marks.add(digest)
        assert [digest in marks for digest in asked] == [digest in added for digest in asked]
        for digest in more:
            marks.add(digest)
        both = {*added, *more}
        assert [digest in marks for digest in sorted(asked)] == [digest in both for digest in sorted(asked)]


@given(added=DIGESTS)
def test_parts_come_in_the_order_of_their_first_digit(added: list[str]) -> None:
    """All records come back, each with what was added to it, by first digit, and within it as they were added."""
    with Parts(Path(), 33) as parts:
        for place, digest in enumerate(added):
            parts.add(digest, bytes([place % 256]))
        expected = sorted(((digest, place % 256) for place, digest in enumerate(added)), key=lambda it: it[0][0])
        for _ in range(2):
            assert [(record[:32].hex(), record[32]) for record in parts] == expected


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    """The files have no names: nothing has to be removed, not even when the process is killed."""
    with Marks(tmp_path) as marks:
        marks.add("0" * 64)
        assert list(tmp_path.iterdir()) == []
