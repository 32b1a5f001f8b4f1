"""The services that ``filiera.toml`` declares: the tables ``[service.NAME]``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from filiera.core.broker import BrokerAddress
from filiera.core.products import check_name
from filiera.errors import ProjectError, UsageError, did_you_mean
from filiera.project.config import FILE_NAME, ProjectConfig
from filiera.supervision.schedule import Cron
from filiera.supervision.service import Service, Triggers, WorkerLimits

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_LAST_PORT = 65_535

Check = tuple[Callable[[Any], bool], str]
"""Whether a value may stand there, and what may, in words."""


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _whole(least: int, most: int) -> Check:
    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return fits, f"a whole number from {least} to {most}"


def _seconds(least: float) -> Check:
    def fits(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf

    return fits, f"a number of seconds from {least:g} on"


_A_TEXT: Check = (_text, "a text")
_WORKERS: Mapping[str, Check] = {"min": _whole(0, 1024), "max": _whole(1, 1024), "in_flight": _whole(1, 100_000)}
_KEYS: Mapping[str, Check] = {
    "model": _A_TEXT,
    "function": (lambda value: _text(value) and _FUNCTION.fullmatch(value) is not None, "as module:name"),
    "method": _A_TEXT,
    "host": _A_TEXT,
    "port": _whole(0, _LAST_PORT),
    "workers": (lambda value: isinstance(value, dict), "a table such as {min = 0, max = 4}"),
    "idle_s": _seconds(0.1),
    "cron": _A_TEXT,
    "timezone": _A_TEXT,
    "every_s": _seconds(0.1),
    "files": _A_TEXT,
    "messages": _A_TEXT,
    "attempts": _whole(1, 1_000),
    "timeout_s": _seconds(0.1),
    "cache_s": _seconds(0),
    "access_log": _A_TEXT,
}

_PLAIN = ("model", "function", "method", "host", "port", "attempts", "timeout_s", "access_log", "cache_s")
_FOR_FUNCTIONS = ("method", "cron", "every_s", "files")


def declared_services(config: ProjectConfig) -> list[Service]:
    """Return the services of ``filiera.toml``, in the order of the file. Raises ProjectError."""
    return [_service(name, table, f"[service.{name}] of {config.root / FILE_NAME}") for name, table in _tables(config)]


def named_services(config: ProjectConfig, names: Collection[str]) -> list[Service]:
    """Return the services of these names, or all of them when none is named. Raises ProjectError, UsageError."""
    services = {service.name: service for service in declared_services(config)}
    for name in names:
        if name not in services:
            why = f"There are: {', '.join(services) or 'none'}.{did_you_mean(name, services)}"
            raise UsageError(f"{config.root / FILE_NAME} has no service {name!r}.", why=why, do=_advice(name))
    if not services:
        raise UsageError(f"{config.root / FILE_NAME} has no service.", do=_advice("NAME"))
    return [services[name] for name in names] if names else list(services.values())


def _advice(name: str) -> str:
    return f'Add [service.{name}] with model = "NAME@champion", or function = "module:name".'


def _tables(config: ProjectConfig) -> list[tuple[str, Mapping[str, Any]]]:
    for name, table in config.services.items():
        if not isinstance(table, dict):
            raise ProjectError(f"{name!r} in {config.root / FILE_NAME} must be a table, as in [service.{name}].")
    return list(config.services.items())


def _service(name: str, table: Mapping[str, Any], where: str) -> Service:
    try:
        check_name(name, "service")
        _fit(table, _KEYS, where)
        if ("model" in table) == ("function" in table):
            raise ProjectError(
                f"{where} must say either what model or what function it serves.",
                do='Write model = "NAME@champion", or function = "module:name".',
            )
        if "model" in table and (unfit := [key for key in _FOR_FUNCTIONS if key in table]):
            raise ProjectError(
                f"{where} serves a model, and has {', '.join(unfit)}.",
                why="A model takes rows, which a clock or the name of a file is not; and it has no methods.",
                do="Remove it, or serve a function that asks the model.",
            )
        given = {key: table[key] for key in _PLAIN if key in table}
        return Service(name=name, workers=_workers(table, where), triggers=_triggers(table, where), **given)
    except UsageError as error:
        raise ProjectError(f"{where}: {error.what}", why=error.why, do=error.do) from error


def _workers(table: Mapping[str, Any], where: str) -> WorkerLimits:
    given = table.get("workers", {})
    _fit(given, _WORKERS, f"workers in {where}")
    least = given.get("min", 0)
    limits = WorkerLimits(
        least=least,
        most=given.get("max", max(least, 1)),
        in_flight=given.get("in_flight", WorkerLimits().in_flight),
        idle_s=float(table.get("idle_s", WorkerLimits().idle_s)),
    )
    if limits.least > limits.most:
        raise ProjectError(f"workers in {where} has a min of {limits.least} above its max of {limits.most}.")
    return limits


def _triggers(table: Mapping[str, Any], where: str) -> Triggers:
    if "timezone" in table and "cron" not in table:
        raise ProjectError(f"{where} has a timezone and no cron, which it would be for.", do="Correct or remove it.")
    found = Triggers(
        cron=table.get("cron", ""),
        timezone=table.get("timezone", "UTC"),
        every_s=float(table.get("every_s", 0.0)),
        files=table.get("files", ""),
        messages=BrokerAddress.parse(table["messages"]) if "messages" in table else None,
    )
    if found.cron:
        Cron(found.cron, found.timezone)
    if found.files.startswith("/") or ".." in found.files.split("/"):
        raise ProjectError(
            f"files in {where} leads out of the project.", do="Name a pattern below it, such as in/*.csv."
        )
    return found


def _fit(table: Mapping[str, Any], known: Mapping[str, Check], where: str) -> None:
    for key, value in table.items():
        if key not in known:
            why = f"Known are: {', '.join(known)}.{did_you_mean(key, known)}"
            raise ProjectError(f"{where} has {key!r}, which means nothing.", why=why, do="Correct or remove it.")
        fits, words = known[key]
        if not fits(value):
            raise ProjectError(f"{key} in {where} must be {words}, not {value!r}.")
