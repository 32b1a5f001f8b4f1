"""A model behind an address: rows in, predictions out."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from filiera.serving.contract import ModelContract, api_part, describe
from filiera.serving.endpoint import Endpoint
from filiera.serving.follower import Follower
from filiera.serving.http import Request, Response, json_response
from filiera.serving.mount import ApiPart, Route
from filiera.serving.oip_api import inference_api
from filiera.serving.oip_routes import inference_routes
from filiera.serving.predictor import PredictionFailed
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.served_model import Predictions, Question, ServedModel
from filiera.serving.worker import Busy, Worker

_log = logging.getLogger("filiera.serving")
MAX_WAITING = 64


class ModelMount:
    """Serves one model, in the version that its endpoint says; predictions run in one thread."""

    kind = "models"

    def __init__(self, endpoint: Endpoint, *, follower: Follower | None = None, max_waiting: int = MAX_WAITING) -> None:
        """Prepare to serve what *endpoint* holds.

        Args:
            endpoint: Holds the version that answers.
            follower: Replaces it while the service runs; None: it stays.
            max_waiting: So many requests may wait for it, more are refused with 503.
        """
        self.name = endpoint.name
        self._endpoint = endpoint
        self._follower = follower
        self._worker = Worker(max_waiting=max_waiting)

    def routes(self) -> Mapping[str, Route]:
        """Return its description, its predict path, and those of the Open Inference Protocol."""
        path = f"/v1/models/{self.name}"
        return {
            path: Route(method="GET", handler=self._describe),
            f"{path}:predict": Route(method="POST", handler=self._predict, counts=True),
            **inference_routes(self.name, lambda: self._endpoint.stable.contract, self.answer),
        }

    def listed(self) -> Mapping[str, Any]:
        """Return name and version."""
        return {"name": self.name, "version": self._endpoint.stable.contract.version}

    def api(self) -> ApiPart:
        """Return paths and schemas of the model."""
        contract = self._endpoint.stable.contract
        records, tensors = api_part(contract), inference_api(contract)
        return ApiPart(paths={**records.paths, **tensors.paths}, schemas={**records.schemas, **tensors.schemas})

    def start(self) -> None:
        """Let the model answer its examples. Raises FilieraError."""
        self._endpoint.stable.warm_up()
        if self._follower is not None:
            self._follower.start()

    async def stop(self) -> None:
        """End the predicting thread and flush the log."""
        if self._follower is not None:
            self._follower.stop()
        self._worker.stop()
        log = self._endpoint.stable.log
        if log is not None:
            await asyncio.to_thread(log.flush)

    def gauges(self) -> Mapping[str, float]:
        """Return how many requests wait and how many predictions the log lost."""
        log = self._endpoint.stable.log
        return {
            "filiera_requests_waiting": self._worker.waiting,
            "filiera_log_dropped_total": log.dropped() if log is not None else 0,
            "filiera_version_failures_total": self._follower.failures if self._follower is not None else 0,
        }

    async def _describe(self, request: Request) -> Response:
        return json_response(describe(self._endpoint.stable.contract))

    async def _predict(self, request: Request) -> Response:
        body = await request.body("application/json")
        return await self.answer(lambda model: (model.records.decode(body), partial(_as_records, model.contract)))

    async def answer(self, read: Callable[[ServedModel], Question[Response]]) -> Response:
        """Return the response to a question, which is read, answered and written in the predicting thread.

        Raises:
            RequestRefused: The question breaks the contract, too many wait, or the model failed.
        """
        with self._endpoint.answering() as model:
            try:
                return await self._worker.run(partial(_answered, model, read))
            except Busy:
                problem = Problem(kind="busy", detail="Try again in a second.", headers={"Retry-After": "1"})
                raise RequestRefused(problem) from None
            except PredictionFailed as failure:
                _log_failure(model, failure)
                raise RequestRefused(Problem(kind="prediction-failed", detail="See the service's log.")) from failure


def _answered(model: ServedModel, read: Callable[[ServedModel], Question[Response]]) -> Response:
    batch, write = read(model)
    return write(model.predict(batch))


def _as_records(contract: ModelContract, predictions: Predictions) -> Response:
    answers = predictions.answers()
    body = {"model": contract.name, "version": contract.version, "predictions": answers}
    return Response(content=msgspec.json.encode(body), rows=len(answers))


def _log_failure(model: ServedModel, failure: PredictionFailed) -> None:
    """Log what happened; messages of exceptions may quote the rows, so with sensitive fields only the frames."""
    who = f"{model.contract.name}, version {model.contract.version}"
    if any(field.sensitive for field in model.contract.signature.inputs):
        cause = failure.__cause__
        frames = "".join(traceback.format_tb(cause.__traceback__)) if cause is not None else ""
        _log.error("%s failed to predict: %s\n%s", who, failure.why, frames)
    else:
        _log.error("%s failed to predict", who, exc_info=failure)
