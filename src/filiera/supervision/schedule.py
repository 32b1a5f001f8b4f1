"""When the clock triggers a service: cron expressions and intervals, and what was missed while nobody looked."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from filiera.core.value import dataclass
from filiera.errors import UsageError

_MOST_COUNTED = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A time at which a trigger is due."""

    at: float  #: seconds since the epoch
    missed: int = 0  #: how many earlier times have passed without a message; 1,000 may be more


class Cron:
    """The times of a cron expression: minute, hour, day of month, month, day of week, perhaps seconds first.

    Where clocks are changed, as cron does: a time that does not exist is made up for right after the change, one that
    comes twice counts once.
    """

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        """Raise UsageError for an expression or a time zone that is none."""
        from cronsim import CronSim, CronSimError

        try:
            self._zone: dt.tzinfo = dt.UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            do = "name one such as Europe/Rome, or UTC"
            raise UsageError(f"There is no time zone {timezone!r}.", do=do) from error
        self._expression = expression
        try:
            next(CronSim(expression, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))
        except (CronSimError, StopIteration) as error:
            why = str(error) or "there is no such day"
            do = 'write five fields: minute, hour, day, month, weekday, such as "*/5 * * * *"'
            raise UsageError(f"{expression!r} is no cron expression.", why=f"{why}.", do=do) from error

    def after(self, at: float) -> float:
        """Return the first time after *at*, both in seconds since the epoch.

        >>> Cron("30 6 * * *").after(0.0) / 3600
        6.5
        """
        from cronsim import CronSim

        return next(CronSim(self._expression, dt.datetime.fromtimestamp(at, self._zone))).timestamp()


class Every:
    """The whole multiples of an interval, counted from the epoch: the same after a restart."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s

    def after(self, at: float) -> float:
        """Return the first time after *at*, both in seconds since the epoch.

        >>> Every(60.0).after(60.0), Every(60.0).after(61.0)
        (120.0, 120.0)
        """
        count = int(at // self._every_s) + 1
        return count * self._every_s if count * self._every_s > at else (count + 1) * self._every_s


def due(times: Cron | Every, last: float, now: float) -> Tick | None:
    """Return the newest time after *last* that has come by *now*, and how many others have before it; None: none has.

    So that a service which was down for a day is not called a thousand times when it comes back, but once.

    >>> due(Every(60.0), 0.0, 59.0), due(Every(60.0), 0.0, 60.0)
    (None, Tick(at=60.0, missed=0))
    >>> due(Every(60.0), 0.0, 190.0)
    Tick(at=180.0, missed=2)
    """
    at, count = times.after(last), 0
    if at > now:
        return None
    while (following := times.after(at)) <= now:
        at, count = following, count + 1
        if count == _MOST_COUNTED:
            return Tick(at=_newest(times, at, now), missed=count)
    return Tick(at=at, missed=count)


def _newest(times: Cron | Every, at: float, now: float) -> float:
    """Return the newest time by *now*, without asking for each one since *at*: looked for backwards in longer steps."""
    back_s = 1.0
    while now - back_s > at:
        newest = times.after(now - back_s)
        if newest <= now:
            while (following := times.after(newest)) <= now:
                newest = following
            return newest
        back_s *= 2.0
    return at
