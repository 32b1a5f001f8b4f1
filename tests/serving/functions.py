"""Functions and classes to serve, for the tests of functions."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import httpx
import msgspec

from filiera import Refused, Sensitive
from filiera.core.service import ServiceOptions
from filiera.serving.app import App
from filiera.serving.function_mount import FunctionMount
from filiera.serving.keeping import Keeping
from tests.serving.offers import talk


@dataclasses.dataclass
class Parcel:
    """Something sent."""

    weight: Annotated[float, msgspec.Meta(ge=0)]
    speed: Literal["slow", "fast"] = "slow"

    def __post_init__(self) -> None:
        if self.weight == 13:
            raise ValueError(f"unlucky {self.weight}")


def price(
    parcel: Parcel, count: int = 1, *, email: Annotated[str, Sensitive] = "", on: dt.date | None = None
) -> dict[str, Any]:
    """What sending costs.

    More lines are for readers of the code.
    """
    if count == 99:
        raise Refused("There is no carriage for 99 parcels.", do="Send 98.")
    if count == 66:
        raise ValueError(f"no price for {email}")
    return {"total": parcel.weight * count, "on": on}


def count_to(end: int) -> Iterator[int]:
    """Numbers from 1."""
    for number in range(1, end + 1):
        if number == 500:
            raise ValueError("500 is too far")
        yield number


async def double(number: int) -> int:
    """Twice a number."""
    await asyncio.sleep(0)
    return 2 * number


async def letters(word: str) -> AsyncIterator[str]:
    """The letters of a word."""
    for letter in word:
        await asyncio.sleep(0)
        yield letter


class Till:
    """Adds up, from 100, which ``start`` puts in."""

    def __init__(self) -> None:
        self.total = 0
        self.thread = threading.get_ident()
        self.is_closed = False
        made.append(self)

    async def start(self) -> None:
        self.total = 100

    def pay(self, amount: int) -> int:
        """Put in an amount."""
        assert threading.get_ident() == self.thread
        self.total += amount
        return self.total

    async def peek(self) -> int:
        return self.total

    def _hidden(self, anything):  # type: ignore[no-untyped-def]
        raise AssertionError

    def close(self) -> None:
        self.is_closed = True


made: list[Till] = []
"""The objects that services have made of ``Till``."""


def app_of(*served: Any, log: Any = None, token: str | None = None, start: bool = True, **options: Any) -> App:
    """Return a started app that serves each of *served* with the same options."""
    chosen = ServiceOptions(**options)
    app = App(
        [FunctionMount(each, chosen, version="1.2", keeping=log and Keeping(log)) for each in served], token=token
    )
    if start:
        app.start()
    return app


def call(app: App, path: str, /, accept: str = "*/*", **arguments: Any) -> httpx.Response:
    """Return the answer to a call."""
    return call_bytes(app, path, msgspec.json.encode(arguments), accept=accept)


def call_bytes(app: App, path: str, body: bytes, accept: str = "*/*") -> httpx.Response:
    """Return the answer to a call with this body."""
    headers = {"content-type": "application/json", "accept": accept}
    return talk(app, lambda client: client.post(f"/v1/functions/{path}:call", content=body, headers=headers))
