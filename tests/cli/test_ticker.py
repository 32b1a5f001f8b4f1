from __future__ import annotations

import pytest

from filiera.cli import ticker


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Short work prints nothing; long work a line every two seconds, to standard error."""
    now = 100.0
    monkeypatch.setattr(ticker.time, "monotonic", lambda: now)
    tell = ticker.Ticker()
    for now in (100.5, 109.9, 110.1, 110.2, 112.0, 112.2):
        tell(f"at {now}")
    assert capsys.readouterr() == ("", "  at 110.1\n  at 112.2\n")
