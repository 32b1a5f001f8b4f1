"""Callers of a service of the shop."""

from __future__ import annotations

import http.client
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from typing import Self

ROWS: list[dict[str, object]] = [{"pieces": 9, "price": 40.0}]


class Asking(ABC):
    """Several threads that ask something again and again, for a block."""

    def __init__(self, count: int) -> None:
        self.is_over = threading.Event()
        self._threads = [threading.Thread(target=self.ask) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join()

    @abstractmethod
    def ask(self) -> None:
        """Ask until ``is_over``."""


class Callers(Asking):
    """Ask a service again and again, each over one connection, and note which version began to answer when."""

    def __init__(self, url: str, count: int) -> None:
        super().__init__(count)
        self.answers: list[tuple[float, int, int]] = []  #: when asked, status, version
        self._url = url
        self._changed = threading.Condition()

    def until(self, is_over: Callable[[], bool]) -> None:
        """Come back when the answers so far make *is_over* true; fail when nobody asks any more."""
        with self._changed:
            while not is_over():
                assert self._changed.wait(30), "no answers come any more"

    def ask(self) -> None:
        """Ask for one prediction after another."""
        body = json.dumps({"instances": ROWS}).encode()
        with closing(http.client.HTTPConnection(self._url.removeprefix("http://"))) as connection:
            # A hundred requests a second: as many as can be would take the processors from what the test is about.
            while not self.is_over.wait(0.01):
                began = time.monotonic()
                connection.request("POST", "/v1/models/spender:predict", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.load(response)
                with self._changed:
                    self.answers.append((began, response.status, answer.get("version", 0)))
                    self._changed.notify_all()
