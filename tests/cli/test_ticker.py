from __future__ import annotations

import pytest

from filiera.cli import ticker


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Short work prints nothing; long work a line every two seconds, to standard error."""
    now = 100.0
    monkeypatch.setattr(ticker.time, "monotonic", lambda: now)
    tell = ticker.Ticker()
    for now in (100.5, 101.9, 102.1, 102.2, 104.0, 104.2):
        tell(f"at {now}")
    assert capsys.readouterr() == ("", "  at 102.1\n  at 104.2\n")
