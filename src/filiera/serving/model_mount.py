"""A model behind an address: rows in, predictions out."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from filiera.serving import arrow_bodies
from filiera.serving.answer_cache import COUNTS, REFUSED, AnswerCache, wants_fresh
from filiera.serving.batch import Batch, Outputs
from filiera.serving.batcher import Batcher, TooLate
from filiera.serving.contract import ModelContract, api_part, describe
from filiera.serving.course import NodeDied, NodeDown, NodeLate
from filiera.serving.endpoint import Asking, Endpoint
from filiera.serving.feedback import Feedback
from filiera.serving.follower import Follower
from filiera.serving.http import Request, Response, json_response
from filiera.serving.keeping import Keeping, Trouble
from filiera.serving.mount import ApiPart, Route
from filiera.serving.oip_api import inference_api
from filiera.serving.oip_routes import inference_routes
from filiera.serving.predictor import PredictionFailed
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.served_model import Predictions, Question, ServedModel
from filiera.serving.threads import Threads
from filiera.serving.waiting import REASONS, Bounds, Busy

_log = logging.getLogger("filiera.serving")
_LARGE_BYTES = 64 * 1024
"""Reading a smaller body takes less than handing it to a thread and back."""
_MAX_READING = 64
"""So many large bodies may wait to be read."""
_TOLD_EVERY_S = 10.0
"""That a node is not there is logged as often."""


class ModelMount:
    """Serves one model, in the version that its endpoint says."""

    kind = "models"

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        follower: Follower | None = None,
        feedback: Feedback | None = None,
        bounds: Bounds | None = None,
        keeping: Keeping | None = None,
        cache_s: float = 0.0,
    ) -> None:
        """Prepare to serve what *endpoint* holds.

        Args:
            endpoint: Holds the version that answers.
            follower: Replaces it while the service runs; None: it stays.
            feedback: Takes what callers tell of predictions later; None: nobody does.
            bounds: How many rows may wait for it; more are refused with 503.
            keeping: What the log of the endpoint's versions promises; None: nothing is waited for or refused.
            cache_s: How long answers of a version are kept for who asks the same; 0: not at all. A version whose
                signature says that it is not deterministic is always asked.
        """
        self.name = endpoint.name
        self._endpoint = endpoint
        self._follower = follower
        self._feedback = feedback
        self._bounds = bounds or Bounds()
        self._keeping = keeping
        self._threads = Threads(max_waiting=_MAX_READING)
        self._next_told = 0.0
        self._batchers: weakref.WeakKeyDictionary[ServedModel, Batcher] = weakref.WeakKeyDictionary()
        self._cache_s = cache_s
        self._caches: weakref.WeakKeyDictionary[ServedModel, AnswerCache[Outputs]] = weakref.WeakKeyDictionary()
        self._cache_counts: Counter[str] = Counter()

    def routes(self) -> Mapping[str, Route]:
        """Return its description, its predict path, and those of the Open Inference Protocol."""
        path = f"/v1/models/{self.name}"
        return {
            path: Route(method="GET", handler=self._describe),
            f"{path}:predict": Route(method="POST", handler=self._predict, counts=True),
            **inference_routes(self.name, lambda: self._endpoint.stable.contract, self.answer),
            **(self._feedback.routes() if self._feedback is not None else {}),
        }

    def listed(self) -> Mapping[str, Any]:
        """Return name and version."""
        return {"name": self.name, "version": self._endpoint.stable.contract.version}

    def api(self) -> ApiPart:
        """Return paths and schemas of the model."""
        contract = self._endpoint.stable.contract
        records, tensors = api_part(contract), inference_api(contract)
        told = self._feedback.api().paths if self._feedback is not None else {}
        paths = {**records.paths, **tensors.paths, **told}
        return ApiPart(paths=paths, schemas={**records.schemas, **tensors.schemas})

    def start(self) -> None:
        """Let the model answer its examples. Raises FilieraError."""
        self._endpoint.stable.warm_up()
        if self._follower is not None:
            self._follower.start()

    async def stop(self) -> None:
        """End the predicting thread and flush the log."""
        if self._follower is not None:
            await asyncio.to_thread(self._follower.stop)
        self._threads.stop()
        await asyncio.to_thread(self._endpoint.let_all_go)
        log = self._endpoint.stable.log
        if log is not None:
            await asyncio.to_thread(log.flush)
        if self._feedback is not None:
            await asyncio.to_thread(self._feedback.close)

    def trouble(self) -> Trouble | None:
        """Return what hinders logging now."""
        return self._keeping.trouble() if self._keeping is not None else None

    def gauges(self) -> Mapping[str, float]:
        """Return how many requests wait and how many predictions the log lost."""
        log, trying = self._endpoint.stable.log, self._endpoint.trying
        batchers = list(self._batchers.values())
        counts = sum((each.counts for each in batchers), Counter[str]())
        return {
            "filiera_rows_waiting": sum(each.rows_waiting for each in batchers),
            **{f'filiera_batches_total{{reason="{reason}"}}': counts[reason] for reason in REASONS},
            "filiera_batch_rows_total": counts["rows"],
            "filiera_queue_seconds_total": counts["queue_s"],
            **{name: self._cache_counts[what] for name, what in COUNTS.items()},
            "filiera_cache_bytes": sum(each.size_bytes for each in list(self._caches.values())),
            "filiera_log_dropped_total": log.dropped() if log is not None else 0,
            "filiera_log_troubled": int(log is not None and log.trouble() != ""),
            "filiera_version_failures_total": self._follower.failures if self._follower is not None else 0,
            "filiera_shadow_left_out": trying.left_out if trying is not None else 0,
            **dict(getattr(self._endpoint.stable.predictor, "samples", tuple)()),
        }

    async def _describe(self, request: Request) -> Response:
        return json_response(describe(self._endpoint.stable.contract))

    async def _predict(self, request: Request) -> Response:
        body = await request.body("application/json", arrow_bodies.MEDIA_TYPE)
        question = partial(_question, body, request.media_type, request.headers.get("accept", ""))
        return await self.answer(question, Asking.of(request, size_bytes=len(body)))

    async def answer(self, read: Callable[[ServedModel], Question[Response]], asking: Asking) -> Response:
        """Return the response to a question.

        Args:
            read: Makes rows of the question, as a version takes them; in the predicting thread if that is large.
            asking: Who asks, and what for.

        Raises:
            RequestRefused: The question breaks the contract, too many wait, the model failed, or the log did and no
                answer is to go without.
        """
        with self._endpoint.answering(asking.key, asking.version) as asked:
            asking.trail.version = asked.model.contract.version
            before = self._keeping.admit() if self._keeping is not None else 0
            try:
                if asking.size_bytes > _LARGE_BYTES:
                    batch, write = await self._threads.run(partial(read, asked.model))
                else:
                    batch, write = read(asked.model)
                batch = _with_headers(batch, asked.model, asking.headers)
                if self._cache_s and asked.model.contract.signature.deterministic:
                    predictions, told = await self._from_cache(asked.model, batch, asking)
                else:
                    predictions, told = await self._predicted(asked.model, batch, asking), {}
            except Busy as busy:
                detail = f"Try again in {busy.retry_after_s} s."
                problem = Problem(kind="busy", detail=detail, headers={"Retry-After": str(busy.retry_after_s)})
                raise RequestRefused(problem) from None
            except TooLate:
                detail = f"It was to be answered within {asking.timeout_s:g} s, and waited longer."
                raise RequestRefused(Problem(kind="too-late", detail=detail)) from None
            except NodeLate as late:
                raise RequestRefused(Problem(kind="too-late", detail=late.what)) from None
            except NodeDown as down:
                self._tell(down)
                kind = "node-died" if isinstance(down, NodeDied) else "node-down"
                problem = Problem(kind=kind, detail=f"{down.what} Try again.", headers={"Retry-After": "1"})
                raise RequestRefused(problem) from None
            except PredictionFailed as failure:
                _log_failure(asked.model, failure)
                node = getattr(failure, "node", "")
                detail = f"The node {node!r} failed: see the service's log." if node else "See the service's log."
                raise RequestRefused(Problem(kind="prediction-failed", detail=detail)) from failure
            if self._keeping is not None:
                await self._keeping.kept(before)
            asked.answered(read, predictions)
            return write(predictions).with_headers(told) if told else write(predictions)

    def _tell(self, down: NodeDown) -> None:
        """Log that a node is not there, for its outage and not for each of the requests that meet it."""
        now = time.monotonic()
        if now >= self._next_told:
            self._next_told = now + _TOLD_EVERY_S
            _log.warning("%s", down)

    async def _predicted(self, model: ServedModel, batch: Batch, asking: Asking) -> Predictions:
        return await self._batcher(model).predict(batch, timeout_s=asking.timeout_s, trail=asking.trail)

    async def _from_cache(
        self, model: ServedModel, batch: Batch, asking: Asking
    ) -> tuple[Predictions, Mapping[str, str]]:
        """Return what is kept for these rows, or made now, under ids of their own and logged; and headers that say so.

        What is kept belongs to the version in memory, and goes with it: no other one answers with it.
        """
        if wants_fresh(asking.headers):
            return await self._predicted(model, batch, asking), REFUSED
        cache = self._caches.get(model)
        if cache is None:
            cache = self._caches[model] = AnswerCache(self._cache_s, counts=self._cache_counts)
        key = batch.key()
        found = cache.find(key)
        made: list[Predictions] = []
        if found is None:

            async def make() -> Outputs:
                made.append(await self._predicted(model, batch, asking))
                # What came together with other rows is a view of all of them, which would be kept along.
                return tuple(values.copy() for values in made[0].outputs)

            try:
                found = await cache.made(key, make, _size, timeout_s=asking.timeout_s)
            except TimeoutError:
                raise TooLate from None
        if not made:
            asking.trail.mark("cache", batch.height)
            made = model.named([batch], found.value)
            asking.trail.mark("log")
        return made[0], found.headers()

    def _batcher(self, model: ServedModel) -> Batcher:
        found = self._batchers.get(model)
        if found is None:
            found = Batcher(model, in_thread=self._threads.run, bounds=self._bounds)
            self._batchers[model] = found
        return found


def _question(body: bytes, media_type: str, accept: str, model: ServedModel) -> Question[Response]:
    """Return the rows of a body of either type; the answer is of the same, unless the other is what is accepted."""
    is_arrow = media_type == arrow_bodies.MEDIA_TYPE
    batch = arrow_bodies.read(model.columns, body) if is_arrow else model.records.decode(body)
    if arrow_bodies.MEDIA_TYPE in accept or (is_arrow and "application/json" not in accept):
        return batch, partial(_as_table, model.contract)
    return batch, partial(_as_records, model.contract)


def _size(outputs: Outputs) -> int:
    """Return about how many bytes outputs take; texts are taken for short ones."""
    return sum(values.nbytes + (64 * values.size if values.dtype.hasobject else 0) for values in outputs)


def _with_headers(batch: Batch, model: ServedModel, headers: Mapping[str, str]) -> Batch:
    """Return the rows with what the request's headers say of inputs, for graphs that choose by them."""
    for name, header in getattr(model.predictor, "headers", {}).items():
        if header in headers:
            batch = batch.filled(name, headers[header])
    return batch


def _as_table(contract: ModelContract, predictions: Predictions) -> Response:
    content = arrow_bodies.write(contract, predictions)
    return Response(content=content, media_type=arrow_bodies.MEDIA_TYPE, rows=len(predictions.ids))


def _as_records(contract: ModelContract, predictions: Predictions) -> Response:
    head = b'{"model":"%b","version":%d,"predictions":' % (contract.name.encode(), contract.version)
    return Response(content=b"%b%b}" % (head, predictions.json()), rows=len(predictions.ids))


def _log_failure(model: ServedModel, failure: PredictionFailed) -> None:
    """Log what happened; messages of exceptions may quote the rows, so with sensitive fields only the frames."""
    who = f"{model.contract.name}, version {model.contract.version}"
    if any(field.sensitive for field in model.contract.signature.inputs):
        cause = failure.__cause__
        frames = "".join(traceback.format_tb(cause.__traceback__)) if cause is not None else ""
        _log.error("%s failed to predict: %s\n%s", who, failure.why, frames)
    else:
        _log.error("%s failed to predict", who, exc_info=failure)
