"""A model of a graph that another service answers for: the same version, in a process of its own."""

from __future__ import annotations

import http.client
import threading
import urllib.parse

import msgspec

from filiera.core.signature import Signature
from filiera.errors import FilieraError, ProjectError
from filiera.serving.answers import outputs_of
from filiera.serving.batch import Batch, Outputs, together
from filiera.serving.course import NodeDied, NodeDown, NodeLate, course
from filiera.serving.domain import json_value
from filiera.serving.http import TIMEOUT_HEADER
from filiera.serving.predictor import PredictionFailed
from filiera.serving.tracing import outgoing

_TIMEOUT_S = 30.0
_SHORTEST_S = 0.001


class AbsentModel:
    """Stands for a model that only another process of the graph loads."""

    is_brief = False
    runtime = "process"

    def predict(self, batch: Batch) -> Outputs:
        """Raise PredictionFailed: nobody asks it."""
        raise PredictionFailed("The model is not in this process.")


class RemoteModel:
    """Asks a service for the answers of one model version, row for row what that would answer here.

    One connection is kept. An answer of another version than the graph has is no answer: the alias that the service
    follows has moved.
    """

    is_brief = False
    runtime = "service"

    def __init__(self, url: str, name: str, *, version: int, signature: Signature, token: str | None = None) -> None:
        """Take the service at *url* for this version. Nothing is sent yet. Raises ProjectError for no address."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ProjectError(f"{url!r} is not the address of a service.", do="Give one such as http://127.0.0.1:8101")
        self._made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place, self._url = parts.netloc, url.rstrip("/")
        self._path = f"{parts.path.rstrip('/')}/v1/models/{urllib.parse.quote(name)}"
        self._version, self._signature = version, signature
        self._shown = f"{name}@{version}"
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._connections = threading.local()

    def require(self) -> None:
        """Raise ProjectError unless the service is there and has this version with this signature."""
        wanted = self._shown
        try:
            status, content = self._exchange("GET", self._path, None)
            found = msgspec.json.decode(content) if status == http.HTTPStatus.OK else {}
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise ProjectError(
                f"{self._url} does not answer for {wanted}.", why=str(error), do=f"filiera serve {wanted}"
            ) from error
        there = f"version {found['version']}" if "version" in found else f"nothing of that name (status {status})"
        if found.get("version") != self._version or found["signature"]["hash"] != self._signature.hash:
            raise ProjectError(
                f"{self._url} does not serve {wanted}.",
                why=f"It has {there}.",
                do=f"Serve it there: filiera serve {wanted}",
            )

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output of the signature. Raises PredictionFailed, also when the service is not there."""
        size = self._signature.max_rows
        if batch.height <= size:
            return self._predicted(batch)
        parts = [self._predicted(batch.part(start, start + size)) for start in range(0, batch.height, size)]
        return together(parts)

    def _predicted(self, batch: Batch) -> Outputs:
        try:
            status, content = self._exchange("POST", f"{self._path}:predict", _body(batch))
            if status == http.HTTPStatus.BAD_GATEWAY:
                raise NodeDied(self._shown, f"{self._url} answered: status {status}")
            if status == http.HTTPStatus.GATEWAY_TIMEOUT:
                raise NodeLate(self._shown)
            if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise NodeDown(self._shown, f"{self._url} answered: status {status}")
            if status != http.HTTPStatus.OK:
                raise FilieraError(f"status {status}")
            found = msgspec.json.decode(content)
            if found["version"] != self._version:
                raise FilieraError(f"version {found['version']} instead of {self._version}")
            return outputs_of(self._signature.outputs, found["predictions"])
        except TimeoutError:
            raise NodeLate(self._shown) from None
        except (OSError, http.client.HTTPException) as error:
            raise NodeDown(self._shown, f"{self._url}: {error!r}") from error
        except PredictionFailed:
            raise
        except (msgspec.DecodeError, KeyError, FilieraError) as error:
            why = f"{self._url} answered: {error}" if isinstance(error, FilieraError) else f"{self._url}: {error!r}"
            raise PredictionFailed(f"{self._shown} did not answer.", why=why) from error

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Return status and content; a connection that the service closed while it was idle is opened once more."""
        kept = getattr(self._connections, "open", None)
        for connection in (kept, None) if kept is not None else (None,):
            used = connection or self._made(self._place, timeout=_TIMEOUT_S)
            try:
                used.request(method, path, body, {**self._headers, **outgoing(), **_patient(used)})
                response = used.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                used.close()
                self._connections.open = None
                if connection is None or not isinstance(error, ConnectionError):  # RemoteDisconnected is one
                    raise
            else:
                self._connections.open = used
                return response.status, content
        raise AssertionError  # the last of the two has returned or raised


def _patient(connection: http.client.HTTPConnection) -> dict[str, str]:
    """Let a connection wait as long as an answer is of use, and return the header that says so."""
    left_s = course().left_s
    connection.timeout = _TIMEOUT_S if left_s is None else max(_SHORTEST_S, min(_TIMEOUT_S, left_s))
    if connection.sock is not None:
        connection.sock.settimeout(connection.timeout)
    return {} if left_s is None else {TIMEOUT_HEADER: str(int(left_s * 1000))}


def _body(batch: Batch) -> bytes:
    names = [field.name for field in batch.fields]
    columns = [column.tolist() if hasattr(column, "tolist") else column for column in batch.columns]
    rows = [
        {name: json_value(value) for name, value in zip(names, row, strict=True)} for row in zip(*columns, strict=True)
    ]
    return msgspec.json.encode({"instances": rows})
