"""Calls a running service with nothing but the standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from filiera.errors import FilieraError, UsageError
from filiera.serving.served_model import request_body

_TIMEOUT_S = 30.0


class ServiceClient:
    """Talks to the service at one address."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        """Remember where the service is; nothing is sent yet. Raises UsageError for an address that is not HTTP."""
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise UsageError(f"{url!r} is not the address of a service.", do="give one such as http://127.0.0.1:8000")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s

    def models(self) -> list[str]:
        """Return the names of the models served. Raises FilieraError."""
        return [model["name"] for model in self._call("/v1/models")["models"]]

    def describe(self, model: str) -> dict[str, Any]:
        """Return version and signature of *model*. Raises FilieraError."""
        return self._call(f"/v1/models/{model}")

    def predict(self, rows: Iterable[Mapping[str, Any]], *, model: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield one prediction per row, in order; several requests when there are more rows than one may have.

        Args:
            rows: One mapping per row; dates and NaN are sent as JSON spells them.
            model: May be left out when the service has one.

        Raises:
            UsageError: The service refused a request as wrong.
            FilieraError: The service cannot be reached or failed.
        """
        name = model or self._only_model()
        size = self.describe(name)["max_rows"]
        rest = iter(rows)
        while chunk := list(islice(rest, size)):
            yield from self._call(f"/v1/models/{name}:predict", request_body(chunk))["predictions"]

    def _only_model(self) -> str:
        names = self.models()
        if len(names) != 1:
            raise UsageError("Which model shall predict?", why=f"The service has: {', '.join(names)}.")
        return names[0]

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = self._url + urllib.parse.quote(path, safe="/:")
        headers = {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(url, error) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise FilieraError(f"No answer from {url}.", why=f"{reason}.", do="filiera serve MODEL") from error


def _refused(url: str, error: urllib.error.HTTPError) -> FilieraError:
    kind = UsageError if 400 <= error.code < 500 else FilieraError
    try:
        problem = json.load(error)
        places = [f"{broken['at']} {broken['rule']}" for broken in problem.get("errors", ())]
        return kind(f"{problem['title']} ({error.code}, {url}).", why="; ".join([problem["detail"], *places]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return kind(f"{url} answered with status {error.code}.", why="It does not seem to be a Filiera service.")
