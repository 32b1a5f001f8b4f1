"""A model version that answers: body to predictions, logged. HTTP and batch use share it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import msgspec

from filiera.core.signature import Output, Signature
from filiera.errors import FilieraError
from filiera.ports import PredictionLog
from filiera.serving.answers import Answer, answers_json, answers_of
from filiera.serving.batch import Batch, Outputs, together
from filiera.serving.columns import ColumnDecoder
from filiera.serving.contract import ModelContract
from filiera.serving.domain import json_value
from filiera.serving.known_answers import other_answers
from filiera.serving.logged_columns import answer_columns, request_columns
from filiera.serving.oip_tensors import TensorDecoder
from filiera.serving.prediction_ids import PredictionIds
from filiera.serving.predictor import Predictor, Predicts
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.redaction import Redactor, of_fields
from filiera.serving.waiting import Cost

_WARM_UPS = 3
_SHOWN = 3
_INFINITIES = (msgspec.Raw(b"-1e999"), msgspec.Raw(b"1e999"))
_LONG_S = 0.1
"""A warm-up that takes longer is not repeated."""
_MANY = 16
"""Of fewer rows a mapping each is made faster than columns of texts."""

T = TypeVar("T")


class Predictions:
    """What the model gave for the rows of one batch, in their order; a surface makes bytes of it."""

    __slots__ = ("_answers", "_json", "ids", "outputs", "promised")

    def __init__(self, *, ids: tuple[str, ...], promised: tuple[Output, ...], outputs: Outputs) -> None:
        self.ids = ids  #: one name per row
        self.promised = promised
        self.outputs = outputs
        self._answers: list[Answer] | None = None
        self._json: bytes | None = None

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return the predictions of all *parts* of a request, in their order."""
        ids = tuple(name for part in parts for name in part.ids)
        return cls(ids=ids, promised=parts[0].promised, outputs=together([part.outputs for part in parts]))

    def split(self, heights: Sequence[int]) -> list[Predictions]:
        """Return the predictions of batches of these *heights*, which were predicted together."""
        parts, start = [], 0
        for height in heights:
            stop = start + height
            outputs = tuple(values[start:stop] for values in self.outputs)
            part = Predictions(ids=self.ids[start:stop], promised=self.promised, outputs=outputs)
            part._answers = None if self._answers is None else self._answers[start:stop]
            parts.append(part)
            start = stop
        return parts

    def answers(self) -> list[Answer]:
        """Return one mapping per row: its id and the answer."""
        if self._answers is None:
            self._answers = answers_of(self.promised, self.outputs, self.ids)
        return self._answers

    def json(self) -> bytes:
        """Return the answers as a JSON list; made once, for who asked and for the log."""
        if self._json is None:
            if self._answers is None and len(self.ids) >= _MANY:
                self._json = answers_json(self.promised, self.outputs, self.ids)
            else:
                self._json = msgspec.json.encode(self.answers())
        return self._json


Question: TypeAlias = tuple[Batch, Callable[[Predictions], T]]
"""What a surface reads from a request: the rows, and how their predictions are written for this caller."""


class ServedModel:
    """Validates rows, predicts, names each prediction and logs it. One thread at a time."""

    def __init__(
        self,
        name: str,
        model: Any,
        *,
        version: int,
        signature: Signature,
        log: PredictionLog | None = None,
        edition: int = 0,
    ) -> None:
        """Check that everything fits.

        Args:
            name: Part of the path.
            model: An object with ``predict``, or a predictor made of one.
            version: Number of the version.
            signature: What it takes and gives.
            log: Where predictions are kept, if anywhere.
            edition: What tells it from others of its version; 0: the version itself.

        Raises:
            UsageError: For the name or the signature.
            ProjectError: Values are to be logged as hashes, and there is no secret for that.
            PredictionFailed: For the model.
        """
        self.contract = ModelContract(name=name, version=version, signature=signature)
        self.records = RowDecoder(signature)
        self.columns = ColumnDecoder(signature)
        self.tensors = TensorDecoder(self.columns, signature)
        self.predictor: Predicts = model if hasattr(model, "is_brief") else Predictor(model, signature)
        self.cost = Cost()  #: how long it takes
        self.effort = Cost()  #: how much time of a processor it takes
        self._ids = PredictionIds()
        self.log = log
        self.edition = edition or version
        self._redactor = Redactor(of_fields(signature.inputs) if log is not None else {})
        fields = enumerate(signature.inputs)
        self._logged = [place for place, field in fields if field.name not in self._redactor.dropped]
        self._about = {"model": name, "version": version, "signature": signature.hash}

    def answer(self, body: bytes) -> list[Answer]:
        """Return one prediction per row of a request *body*, each with its ``id``, after logging them.

        Raises:
            RequestRefused: The body breaks the contract.
            PredictionFailed: The model failed.
        """
        return self.predict(self.records.decode(body)).answers()

    def predict(self, batch: Batch) -> Predictions:
        """Return one prediction per row of *batch*, after logging them. Raises PredictionFailed."""
        return self.named([batch], self.predictor.predict(batch))[0]

    def named(self, batches: Sequence[Batch], outputs: Outputs) -> list[Predictions]:
        """Return what the model gave for *batches*, one after another, under fresh ids, after logging it."""
        heights = [batch.height for batch in batches]
        ids = self._ids.take(sum(heights))
        if self.log is None:
            return Predictions(ids=ids, promised=self.contract.signature.outputs, outputs=outputs).split(heights)
        log_nodes = getattr(self.predictor, "log_nodes", None)
        if log_nodes is not None:
            log_nodes(outputs, ids)
        return self.keep(batches, outputs, ids)

    def keep(self, batches: Sequence[Batch], outputs: Outputs, ids: tuple[str, ...]) -> list[Predictions]:
        """Return what the model gave for *batches* under these *ids*, after logging it."""
        assert self.log is not None
        heights = [batch.height for batch in batches]
        together = Predictions(ids=ids, promised=self.contract.signature.outputs, outputs=outputs)
        if not all(batch.is_columnar for batch in batches):
            together.answers()
        parts = together.split(heights)
        requests, answers = [], []
        asked: list[memoryview] = []
        told: list[memoryview] = []
        for batch, part in zip(batches, parts, strict=True):
            request, pieces = self._logged_rows(batch)
            requests.append(request)
            asked += pieces
            answer, pieces = answer_columns(part) if batch.is_columnar else (part.json(), ())
            answers.append(answer)
            told += pieces
        about = {"at": time.time(), **self._about}
        self.log.append_requests(about, requests, answers, count=len(ids), raw=asked + told)
        return parts

    def let_go(self) -> None:
        """End what it has started: nobody asks it any more."""
        stop = getattr(self.predictor, "stop", None)
        if stop is not None:
            stop()

    def predict_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
        """Yield one prediction per row, in order, as ``answer`` does, in requests of as many rows as one may have.

        Raises:
            RequestRefused: A row breaks the contract; rows of earlier requests are answered by then.
            PredictionFailed: The model failed.
        """
        rest = iter(rows)
        while chunk := list(islice(rest, self.contract.signature.max_rows)):
            yield from self.answer(request_body(chunk))

    def warm_up(self) -> None:
        """Answer the signature's examples, without logging, so that the first caller does not wait.

        All together, then the first of them by itself: how long both take is what is known of the model's speed until
        there are requests.

        Raises:
            FilieraError: The model does not answer its own examples, or otherwise than when it was published.
        """
        examples = self.contract.signature.examples[: self.contract.signature.max_rows]
        if not examples:
            return
        try:
            batch = self.records.decode(request_body(examples))
            began_s = time.perf_counter()
            outputs = self.predictor.predict(batch)
            took_s = time.perf_counter() - began_s
            self._require_known(outputs)
            if took_s < _LONG_S:
                for each in (batch, batch.part(0, 1)) * _WARM_UPS:
                    began_s, effort_s = time.perf_counter(), time.thread_time()
                    self.predictor.predict(each)
                    self.cost.observe(each.height, time.perf_counter() - began_s)
                    self.effort.observe(each.height, time.thread_time() - effort_s)
        except RequestRefused as refusal:
            raise FilieraError(
                f"{self.contract.name}, version {self.contract.version}, does not take its own examples.",
                why=refusal.why,
                do="publish the model again with examples that follow its signature",
            ) from refusal

    def _require_known(self, outputs: Outputs) -> None:
        others = other_answers(self.contract.signature, outputs)
        if others:
            more = f"; {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            raise FilieraError(
                f"{self.contract.name}, version {self.contract.version}, answers otherwise than when it was published.",
                why=f"{'; '.join(others[:_SHOWN])}{more}.",
                do="Serve it with the libraries that it was published with, or publish it again with these. "
                "A model that draws its answers by lot says so by Contract(deterministic=False).",
            )

    def _logged_rows(self, batch: Batch) -> tuple[bytes, Sequence[memoryview]]:
        """Return the rows as the body of a request, or as columns if they came so, sensitive fields redacted."""
        changed = self._redactor.changed
        if batch.is_columnar and self._logged:
            return request_columns(self._redacted(batch) if changed else batch, self._logged)
        if batch.source is not None and not changed and len(self._logged) == len(batch.fields):
            return batch.source, ()
        names = [batch.fields[place].name for place in self._logged]
        columns = [
            _as_list(self._redactor.column(name, batch.column(place)))
            for name, place in zip(names, self._logged, strict=True)
        ]
        if not names:
            return msgspec.json.encode({"instances": [{}] * batch.height}), ()
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return msgspec.json.encode({"instances": rows}), ()

    def _redacted(self, batch: Batch) -> Batch:
        """Return the batch as it may be logged, but for what is dropped."""
        pairs = zip(batch.fields, batch.columns, strict=True)
        columns = [self._redactor.column(field.name, column) for field, column in pairs]
        return Batch(fields=batch.fields, columns=columns, height=batch.height)


def request_body(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the body of a request with *rows*; dates, NaN and NumPy numbers become what JSON can say.

    An infinity becomes a number that no float64 holds: the service refuses it as it does one of another surface, where
    null would be taken for a value that is missing.

    >>> request_body([{"x": float("-inf"), "y": float("nan")}])
    b'{"instances":[{"x":-1e999,"y":null}]}'
    """
    instances = [{name: _spelled(value) for name, value in row.items()} for row in rows]
    return msgspec.json.encode({"instances": instances})


def _spelled(value: object) -> object:
    if isinstance(value, float) and math.isinf(value):
        return _INFINITIES[value > 0]
    return json_value(value)


def _as_list(column: Any) -> list[Any]:
    return list(column.tolist() if hasattr(column, "tolist") else column)
