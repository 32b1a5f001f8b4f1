"""When clocks trigger: compared with looking at every second, and over changes of summer time."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.supervision.schedule import Cron, Every, Tick, due

ROME = ZoneInfo("Europe/Rome")


def at(*when: int, zone: dt.tzinfo = ROME, fold: int = 0) -> float:
    """Return a time of a wall clock, in seconds since the epoch."""
    return dt.datetime(*when, tzinfo=zone, fold=fold).timestamp()  # type: ignore[misc,arg-type]


@given(every_s=st.sampled_from([0.5, 1.0, 7.0, 60.0]), last=st.integers(0, 400), passed=st.integers(0, 2_000))
def test_an_interval_is_due_at_its_multiples(every_s: float, last: int, passed: int) -> None:
    """The newest multiple after the last one, and how many others there were."""
    now = last + passed
    times = [k * every_s for k in range(int(3000 / every_s)) if last < k * every_s <= now]
    found = due(Every(every_s), last, now)
    if not times:
        assert found is None
    else:
        assert found is not None
        assert (found.at, found.missed) == (times[-1], min(len(times) - 1, 1_000))


@given(minute=st.integers(0, 59), step=st.integers(1, 30), start=st.integers(0, 10**9), passed=st.integers(0, 50_000))
def test_a_cron_expression_is_due_at_its_minutes(minute: int, step: int, start: int, passed: int) -> None:
    """As if every minute were looked at."""
    now = start + passed
    minutes = range(start // 60 + 1, now // 60 + 1)
    for expression, fits in (
        (f"{minute} * * * *", lambda m: m % 60 == minute),
        (f"*/{step} * * * *", lambda m: m % 60 % step == 0),
        (f"{minute} 6 * * *", lambda m: m % 60 == minute and m // 60 % 24 == 6),
    ):
        times = [m * 60 for m in minutes if fits(m)]
        expected = Tick(at=times[-1], missed=len(times) - 1) if times else None
        assert due(Cron(expression), start, now) == expected


def test_what_was_missed_for_long_is_one_time() -> None:
    """Years of an expression that comes each minute cost no more than a thousand of its times."""
    newest = at(2026, 11, 22, 17, 31, zone=dt.UTC)
    assert due(Cron("* * * * *"), 0.0, newest + 30) == Tick(at=newest, missed=1_000)
    assert due(Every(0.5), 0.0, newest + 0.7) == Tick(at=newest + 0.5, missed=1_000)


def test_an_hour_that_does_not_exist_is_made_up_for() -> None:
    """At the end of March 02:30 is skipped in Rome: the job of that day runs when the clock has jumped to three."""
    cron = Cron("30 2 * * *", "Europe/Rome")
    before = at(2026, 3, 28, 2, 30)
    assert cron.after(before) == at(2026, 3, 29, 3, 0)
    assert cron.after(at(2026, 3, 29, 3, 0)) == at(2026, 3, 30, 2, 30)


def test_an_hour_that_comes_twice_counts_once() -> None:
    """At the end of October 02:30 comes twice in Rome: the daily job runs once, one of every half hour each time."""
    daily = Cron("30 2 * * *", "Europe/Rome")
    first = daily.after(at(2026, 10, 25, 0, 0))
    assert first == at(2026, 10, 25, 2, 30)
    assert daily.after(first) == at(2026, 10, 26, 2, 30)
    often = Cron("*/30 * * * *", "Europe/Rome")
    times = [at(2026, 10, 25, 1, 30)]
    while times[-1] < at(2026, 10, 25, 3, 30):
        times.append(often.after(times[-1]))
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {1800.0}


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "a b c d e", "@daily", "* * * * * * *"]
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    """With an example of one."""
    with pytest.raises(UsageError, match=r"is no cron expression[\s\S]*five fields"):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Rom", "", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    """Paths too."""
    with pytest.raises(UsageError, match="no time zone"):
        Cron("* * * * *", zone)
