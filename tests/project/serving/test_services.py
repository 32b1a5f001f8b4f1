"""What ``[service.NAME]`` may say, and how it is told what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.broker import BrokerAddress
from filiera.errors import FilieraError, ProjectError, UsageError
from filiera.project.config import load
from filiera.project.serving.services import declared_services, named_services
from filiera.supervision.service import Service, Triggers, WorkerLimits


def services(tmp_path: Path, text: str, *names: str) -> list[Service]:
    """Return what is declared."""
    (tmp_path / "filiera.toml").write_text(text, encoding="utf-8")
    return named_services(load(tmp_path), names)


def test_a_service_needs_only_what_it_serves(tmp_path: Path) -> None:
    """It listens on a free port of this machine, sleeps when idle, and has one worker at most."""
    found = services(tmp_path, '[service.mail]\nfunction = "jobs.mail:send"\n')
    assert found == [Service(name="mail", function="jobs.mail:send")]
    assert (found[0].host, found[0].port, found[0].workers.least, found[0].workers.most) == ("127.0.0.1", 0, 0, 1)


def test_all_that_can_be_said_is_read(tmp_path: Path) -> None:
    """Numbers, texts and tables arrive where they belong."""
    text = """
    [service.spend]
    function = "jobs:Spend"
    method = "day"
    host = "0.0.0.0"
    port = 8001
    workers = {min = 1, max = 4, in_flight = 16}
    idle_s = 60
    cron = "0 6 * * 1-5"
    timezone = "Europe/Rome"
    every_s = 0.5
    files = "in/**/*.csv"
    messages = "kafkas://app:${PASSWORD}@one,two:9094/orders?group=spend&mechanism=SCRAM-SHA-256&ca=our.pem"
    attempts = 2
    timeout_s = 9
    access_log = "access.jsonl"
    cache_s = 60
    """
    assert services(tmp_path, text) == [
        Service(
            name="spend",
            function="jobs:Spend",
            method="day",
            host="0.0.0.0",
            port=8001,
            workers=WorkerLimits(least=1, most=4, in_flight=16, idle_s=60.0),
            triggers=Triggers(
                cron="0 6 * * 1-5",
                timezone="Europe/Rome",
                every_s=0.5,
                files="in/**/*.csv",
                messages=BrokerAddress(
                    scheme="kafkas",
                    hosts="one,two:9094",
                    name="orders",
                    user="app",
                    password="${PASSWORD}",
                    group="spend",
                    mechanism="SCRAM-SHA-256",
                    ca="our.pem",
                ),
            ),
            attempts=2,
            timeout_s=9.0,
            access_log="access.jsonl",
            cache_s=60,
        )
    ]


def test_services_are_chosen_by_name(tmp_path: Path) -> None:
    """In the order asked for; without names, all in the order of the file; a mistyped name is told with the others."""
    text = "".join(f'[service.{name}]\nfunction = "m:f"\n' for name in ("b", "a", "c"))
    assert [service.name for service in services(tmp_path, text)] == ["b", "a", "c"]
    assert [service.name for service in services(tmp_path, text, "c", "b")] == ["c", "b"]
    with pytest.raises(UsageError, match=r"no service 'd'[\s\S]*b, a, c"):
        services(tmp_path, text, "d")


def test_a_project_without_services_says_how_to_have_one(tmp_path: Path) -> None:
    """Where it was asked to run some; where they are listed, there are none."""
    (tmp_path / "filiera.toml").write_text("")
    assert declared_services(load(tmp_path)) == []
    with pytest.raises(UsageError, match=r"has no service[\s\S]*Add \[service.NAME\] with model"):
        named_services(load(tmp_path), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must say either what model or what function"),
        ('function = "m:f"\nmodel = "m"', "must say either what model or what function"),
        ('function = "m.f"', "function in .* must be as module:name, not 'm.f'"),
        ('function = "m:f.g"', "as module:name"),
        ('function = "../m:f"', "as module:name"),
        ('model = "m"\ncron = "* * * * *"', "serves a model, and has cron[\\s\\S]*a function that asks the model"),
        ('model = "m"\nmethod = "f"\nfiles = "*"', "serves a model, and has method, files"),
        ("model = 3", "model in .* must be a text, not 3"),
        ('function = "m:f"\nprot = 8000', "has 'prot', which means nothing[\\s\\S]*Did you mean 'port'"),
        ('function = "m:f"\nport = 70000', "whole number from 0 to 65535, not 70000"),
        ('function = "m:f"\nport = true', "not True"),
        ('function = "m:f"\nworkers = 3', "must be a table such as"),
        ('function = "m:f"\nworkers = {most = 3}', "workers in .* has 'most', which means nothing"),
        ('function = "m:f"\nworkers = {min = 3, max = 2}', "a min of 3 above its max of 2"),
        ('function = "m:f"\nworkers = {max = 0}', "max in workers .* whole number from 1"),
        ('function = "m:f"\nidle_s = -1', "number of seconds from 0.1"),
        ('function = "m:f"\nidle_s = nan', "number of seconds from 0.1"),
        ('function = "m:f"\ntimeout_s = inf', "number of seconds from 0.1"),
        ('function = "m:f"\nevery_s = "1m"', "number of seconds from 0.1 on, not '1m'"),
        ('function = "m:f"\ncron = "61 * * * *"', "service.x.*61 .* is no cron expression[\\s\\S]*five fields"),
        ('function = "m:f"\ncron = "* * * * *"\ntimezone = "Rome"', "no time zone 'Rome'"),
        ('function = "m:f"\ntimezone = "Europe/Rome"', "a timezone and no cron"),
        ('function = "m:f"\nfiles = "../*.csv"', "leads out of the project"),
        ('function = "m:f"\nfiles = "/etc/*"', "leads out of the project"),
        ('function = "m:f"\nattempts = 0', "whole number from 1 to 1000"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    """With the place, what may stand there, and no traceback."""
    with pytest.raises(ProjectError, match=said) as caught:
        services(tmp_path, f"[service.x]\n{text}\n")
    assert "[service.x]" in str(caught.value)


@pytest.mark.parametrize("text", ["service = 3", "[service]\nx = 3", '[service."a/b"]\nmodel = "m"'])
def test_what_is_no_table_is_told(tmp_path: Path, text: str) -> None:
    """And what can be no name."""
    with pytest.raises(FilieraError, match="service"):
        services(tmp_path, text)
