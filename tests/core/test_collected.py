"""What is recorded of collecting a source is plain data."""

from filiera.core import plain
from filiera.core.collected import Collected


def test_a_record_is_plain_data() -> None:
    """It is stored and comes back whole, whatever a type of source adds to it."""
    collected = Collected(entry={"type": "sql", "uri": "${SHOP}"}, rows=3, size_bytes=9, more={"watermark": "2026"})
    assert plain.decode(plain.encode(collected)) == collected
