"""Records what an application needs of a model, while its own tests run against a mock.

>>> import json
>>> from filiera.core.signature import Field, Output, Signature
>>> from filiera.serving.contract import ModelContract
>>> signature = Signature(
...     task="regression",
...     inputs=(Field(name="x", type="float64"),),
...     outputs=(Output(name="value", type="float64", semantics="value"),),
... )
>>> with Recorder(ModelContract(name="prices", version=1, signature=signature), "shop@1.4") as recorder:
...     answer = recorder.predict([{"x": 1.0}])[0]
...     total = 3 * answer["value"]
>>> recorder.recorded().reads
('predictions', 'predictions[*].value')
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import Any

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.serving.contract import ModelContract
from filiera.serving.contracts.mock import mock_app
from filiera.serving.contracts.pact import (
    Interaction,
    Recorded,
    check_consumer,
    check_parts,
    pruned,
    rules_of,
    write_pact,
)
from filiera.serving.contracts.watched import watched
from filiera.serving.in_process import InProcess
from filiera.serving.plain_caller import Reply
from filiera.serving.served_model import request_body

_JSON = {"content-type": "application/json"}


@dataclass(slots=True)
class _Asked:
    path: str
    request: Any
    status: int
    response: Any
    reads: set[str] = field(default_factory=set)


class Recorder:
    """A mock of a model, in this process, that notes what it is asked and what is read of its answers."""

    def __init__(
        self, contract: ModelContract, consumer: str, *, thresholds: Mapping[str, float] | None = None
    ) -> None:
        """Prepare to record.

        Args:
            contract: What the model promises, such as ``read_contract`` returns.
            consumer: The application, as ``NAME@VERSION``.
            thresholds: What the application compares numbers with, by place in an answer: ``probabilities.attack``.

        Raises:
            UsageError: *consumer* names no version, or a threshold no part of predictions.
        """
        check_parts(contract.signature, thresholds or ())
        self._name, self._version = check_consumer(consumer)
        self._contract = contract
        self._thresholds = dict(thresholds or {})
        self._service = InProcess(mock_app(contract))
        self._asked: list[_Asked] = []

    def __enter__(self) -> Recorder:
        self._service.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service.close()

    def predict(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one prediction per row, as a client of the service does; what is read of them is noted.

        Raises:
            UsageError: The rows break the contract.
        """
        path = self._contract.predict_path
        answered, asked = self._ask("POST", path, request_body(rows), _JSON)
        if answered.status != 200 or asked is None:
            problem = json.loads(answered.body)
            places = "; ".join(f"{error['at']} {error['rule']}" for error in problem.get("errors", ()))
            raise UsageError(f"{problem['title']} (status {answered.status}).", why=places or problem["detail"])
        predictions: list[dict[str, Any]] = watched(asked.response, "", asked.reads)["predictions"]
        return predictions

    def httpx_transport(self) -> Any:
        """Return a transport for ``httpx.Client(transport=…, base_url="http://service")``; needs httpx."""
        import httpx

        class Response(httpx.Response):
            reads: set[str] | None = None

            def json(self, **options: Any) -> Any:
                found = super().json(**options)
                return found if self.reads is None else watched(found, "", self.reads)

        def answer(request: httpx.Request) -> httpx.Response:
            headers = dict(request.headers.items())
            answered, asked = self._ask(request.method, request.url.path, request.content, headers)
            response = Response(answered.status, headers=dict(answered.headers), content=answered.body)
            response.reads = asked.reads if asked is not None else None
            return response

        return httpx.MockTransport(answer)

    def answer(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Return the mock's answer to a request whose reader is not seen: all of the answer counts as read."""
        answered, asked = self._ask(method, path, body, headers)
        if asked is not None:
            _read_all(asked.response, "", asked.reads)
        return answered

    def recorded(self, *, only: Iterable[str] | None = None) -> Recorded:
        """Return what was recorded; with *only*, as if just these parts of predictions were read, such as ``label``."""
        chosen = None if only is None else {"predictions", *(place for name in only for place in _places(name))}
        interactions, reads = [], set()
        for asked in self._asked:
            mine = asked.reads if chosen is None or asked.status != 200 else chosen & _all_places(asked.response)
            reads |= mine
            interactions.append(
                Interaction(
                    path=asked.path,
                    request=asked.request,
                    status=asked.status,
                    response=pruned(asked.response, mine),
                    rules=rules_of(self._contract.signature, mine) | _tensors(asked.response, mine),
                )
            )
        unique = {json.dumps([one.request, one.status, one.response], sort_keys=True): one for one in interactions}
        return Recorded(
            consumer=self._name,
            consumer_version=self._version,
            model=self._contract.name,
            interactions=tuple(unique.values()),
            reads=tuple(sorted(reads)),
            thresholds=self._thresholds,
        )

    def write(self, folder: Path | str) -> Path:
        """Write ``NAME@VERSION.json`` to *folder* and return the file. Raises UsageError when nothing was asked."""
        recorded = self.recorded()
        require_requests(recorded)
        return write_pact(recorded, Path(folder))

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[Reply, _Asked | None]:
        answered = self._service.ask(method, path, body, headers)
        try:
            request, response = json.loads(body), json.loads(answered.body)
        except ValueError:
            return answered, None
        if method != "POST":
            return answered, None
        asked = _Asked(path, request, answered.status, response)
        self._asked.append(asked)
        return answered, asked


def require_requests(recorded: Recorded) -> None:
    """Refuse a contract of an application that asked for nothing. Raises UsageError."""
    if not recorded.interactions:
        raise UsageError(
            f"{recorded.who} has asked the mock of {recorded.model} nothing.",
            why="A contract without requests promises nothing.",
            do="Let its tests call the address in $FILIERA_URL, or the client that the recorder gives.",
        )


def _tensors(answer: Any, reads: set[str]) -> dict[str, Any]:
    """Return that there must be as many tensors as were read, for an answer of the Open Inference Protocol."""
    if "outputs" not in reads:
        return {}
    return {"$.outputs": {"combine": "AND", "matchers": [{"match": "type", "min": len(answer["outputs"])}]}}


def _places(name: str) -> list[str]:
    parts = name.split(".")
    return ["predictions[*]." + ".".join(parts[: end + 1]) for end in range(len(parts))]


def _all_places(answer: Any) -> set[str]:
    found: set[str] = set()
    _read_all(answer, "", found)
    return found


def _read_all(answer: Any, at: str, reads: set[str]) -> None:
    if isinstance(answer, dict):
        for key, value in answer.items():
            place = f"{at}.{key}".lstrip(".")
            reads.add(place)
            _read_all(value, place, reads)
    elif isinstance(answer, list):
        for item in answer:
            _read_all(item, f"{at}[*]", reads)
