"""A model version that answers: body to predictions, logged. HTTP and batch use share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import msgspec

from filiera.core.signature import Output, Signature
from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.ports import PredictionLog
from filiera.serving.answers import Answer, answers_of
from filiera.serving.batch import Batch, Outputs
from filiera.serving.contract import ModelContract
from filiera.serving.domain import json_value
from filiera.serving.oip_tensors import TensorDecoder
from filiera.serving.prediction_ids import PredictionIds
from filiera.serving.predictor import Predictor
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """What the model gave for the rows of one batch, in their order; a surface makes bytes of it."""

    ids: tuple[str, ...]  #: one name per row
    promised: tuple[Output, ...]
    outputs: Outputs

    def answers(self) -> list[Answer]:
        """Return one mapping per row: its id and the answer."""
        pairs = zip(self.ids, answers_of(self.promised, self.outputs), strict=True)
        return [{"id": name, **answer} for name, answer in pairs]


Question: TypeAlias = tuple[Batch, Callable[[Predictions], T]]
"""What a surface reads from a request: the rows, and how their predictions are written for this caller."""


class ServedModel:
    """Validates rows, predicts, names each prediction and logs it. One thread at a time."""

    def __init__(
        self, name: str, model: Any, *, version: int, signature: Signature, log: PredictionLog | None = None
    ) -> None:
        """Check that everything fits. Raises UsageError for the name or signature, PredictionFailed for the model."""
        self.contract = ModelContract(name=name, version=version, signature=signature)
        self.records = RowDecoder(signature)
        self.tensors = TensorDecoder(signature)
        self._predictor = Predictor(model, signature)
        self._ids = PredictionIds()
        self.log = log
        self._logged = [field.name for field in signature.inputs if not field.sensitive]
        self._signature_hash = signature.hash

    def answer(self, body: bytes) -> list[Answer]:
        """Return one prediction per row of a request *body*, each with its ``id``, after queueing them for the log.

        Raises:
            RequestRefused: The body breaks the contract.
            PredictionFailed: The model failed.
        """
        return self.predict(self.records.decode(body)).answers()

    def predict(self, batch: Batch) -> Predictions:
        """Return one prediction per row of *batch*, after queueing them for the log. Raises PredictionFailed."""
        outputs = self._predictor.predict(batch)
        ids = tuple(self._ids.next() for _ in range(batch.height))
        predictions = Predictions(ids=ids, promised=self.contract.signature.outputs, outputs=outputs)
        if self.log is not None:
            self.log.append(self._records(batch, predictions.answers()))
        return predictions

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
        """Answer the signature's examples once, without logging, so that the first caller does not wait.

        Raises:
            FilieraError: The model does not answer its own examples.
        """
        examples = self.contract.signature.examples[: self.contract.signature.max_rows]
        if not examples:
            return
        try:
            self._predictor.predict(self.records.decode(request_body(examples)))
        except RequestRefused as refusal:
            raise FilieraError(
                f"{self.contract.name}, version {self.contract.version}, does not take its own examples.",
                why=refusal.why,
                do="publish the model again with examples that follow its signature",
            ) from refusal

    def _records(self, batch: Batch, predictions: list[Answer]) -> list[dict[str, Any]]:
        at = time.time()
        inputs = batch.frame().select(self._logged).to_dicts() if self._logged else [{}] * batch.height
        return [
            {
                "id": prediction["id"],
                "at": at,
                "model": self.contract.name,
                "version": self.contract.version,
                "signature": self._signature_hash,
                "inputs": row,
                "outputs": {key: value for key, value in prediction.items() if key != "id"},
            }
            for row, prediction in zip(inputs, predictions, strict=True)
        ]


def request_body(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the body of a request with *rows*; dates, NaN and NumPy numbers become what JSON can say."""
    instances = [{name: json_value(value) for name, value in row.items()} for row in rows]
    return msgspec.json.encode({"instances": instances})
