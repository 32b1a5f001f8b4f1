"""A break passes when somebody approved just that one, and until the day that was written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from filiera.errors import ProjectError
from filiera.serving.contracts.approval import FILE, Approval, judge, read_approvals
from filiera.serving.contracts.finding import Finding

BREAK = Finding(rule="input-removed", level="ERR", at="inputs.rate", text="requests that have it are refused")
OTHER = Finding(rule="input-removed", level="ERR", at="inputs.kind", text="requests that have it are refused")
NOTE = Finding(rule="slo-loosened", level="WARN", at="contract", text="p95 20 ms at 1 rows → no promised time")
UNTIL = dt.date(2026, 12, 31)
DAY = dt.timedelta(days=1)


def approval(until: dt.date = UNTIL, model: str = "flows", reason: str = "agreed") -> Approval:
    return Approval(model=model, fingerprint=BREAK.fingerprint, reason=reason, until=until)


@pytest.mark.parametrize(("today", "blocks"), [(UNTIL - DAY, False), (UNTIL, False), (UNTIL + DAY, True)])
def test_an_approval_counts_until_its_day(today: dt.date, blocks: bool) -> None:
    """On the last day it counts; then the break blocks again, and it is told why it did not before."""
    found = judge([BREAK, OTHER, NOTE], [approval()], model="flows", today=today)
    assert [one.blocks for one in found] == [blocks, True, False]
    assert found[0].standing == f"{'approval ended' if blocks else 'approved until'} 2026-12-31: agreed"
    assert found[1].standing == ""


def test_an_approval_is_for_one_model_and_the_longest_counts() -> None:
    """Equal changes of two models have one fingerprint, and are two decisions."""
    (found,) = judge([BREAK], [approval(model="other")], model="flows", today=UNTIL)
    assert found.blocks
    longer = approval(until=UNTIL + DAY, reason="once more")
    (found,) = judge([BREAK], [longer, approval()], model="flows", today=UNTIL + DAY)
    assert not found.blocks and found.approval == longer


def test_approvals_are_read(tmp_path: Path) -> None:
    """None without a file; each with its model, fingerprint, reason and day."""
    assert read_approvals(tmp_path) == ()
    (tmp_path / FILE).write_text(
        f'[[approved]]\nmodel = "flows"\nbreak = "{BREAK.fingerprint}"\nreason = " agreed "\nuntil = 2026-12-31\n'
    )
    assert read_approvals(tmp_path) == (approval(),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[approved]\n", "cannot be read"),
        ("approved = 3\n", "more than tables"),
        ("[other]\n", "more than tables"),
        ('[[approved]]\nmodel = "m"\n', "has model"),
        ('[[approved]]\nmodel = "m"\nbreak = "0"\nreason = "r"\nuntil = 2026-12-31\n', "no fingerprint"),
        ('[[approved]]\nmodel = "m"\nbreak = "0123456789ab"\nreason = " "\nuntil = 2026-12-31\n', "empty"),
        ('[[approved]]\nmodel = "m"\nbreak = "0123456789ab"\nreason = "r"\nuntil = "soon"\n', "ends at 'soon'"),
        ('[[approved]]\nmodel = "m"\nbreak = "0123456789ab"\nreason = "r"\nuntil = 2026-12-31T10:00:00\n', "ends at"),
    ],
)
def test_what_is_no_approval_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A file that is half understood approves nothing."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ProjectError) as caught:
        read_approvals(tmp_path)
    assert said in str(caught.value)
