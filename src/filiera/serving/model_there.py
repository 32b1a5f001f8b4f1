"""A model of a running service, asked for the predictions of files: as many rows at a time as a request may have."""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from filiera.core.signature import Output
from filiera.errors import FilieraError
from filiera.serving import exchanges
from filiera.serving.answers import outputs_of
from filiera.serving.arrow_bodies import MEDIA_TYPE
from filiera.serving.client import ServiceClient
from filiera.serving.http import KEY_HEADER
from filiera.serving.plain_caller import Reply
from filiera.serving.served_model import Predictions, request_body

if TYPE_CHECKING:
    import polars as pl

_ARROW = {
    "Content-Type": MEDIA_TYPE,
    "Accept": "application/json",
}  # answers are short, and say which version gave them


class ModelThere:
    """A model of a service; all its answers are of one version, or it raises.

    Tables are sent as Arrow, or as JSON to a service without pyarrow. While a version is being tried, the service
    answers all requests of one such object by the same one.
    """

    def __init__(self, client: ServiceClient, name: str, *, version: int | None = None) -> None:
        """Ask what the model takes and gives.

        Args:
            client: Of the service.
            name: Of the model there.
            version: The one that is to answer; None: whichever answers first.

        Raises:
            UsageError: The service does not let us ask, or has no such model.
            FilieraError: The service cannot be reached or failed.
        """
        described = client.describe(name)
        try:
            self.inputs = tuple(field["name"] for field in described["signature"]["inputs"])
            self.max_rows = int(described["signature"]["max_rows"])
            self._outputs = msgspec.convert(described["signature"]["outputs"], tuple[Output, ...])
        except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            raise self._stranger(client.url, name) from error
        self.name = name
        self.version = version  #: that answers; None: it has not been asked yet
        self._client = client
        self._path = f"/v1/models/{name}:predict"
        self._key = {KEY_HEADER: uuid.uuid4().hex}
        self._takes_arrow = True

    @property
    def shown(self) -> str:
        """Return which version of which service answers."""
        version = "" if self.version is None else f"@{self.version}"
        return f"{self.name}{version} at {self._client.url}"

    def of_frame(self, frame: pl.DataFrame) -> Predictions:
        """Return one prediction per row. Raises UsageError, FilieraError."""
        if not self._takes_arrow:
            return self.of_rows(frame.rows(named=True))
        stream = io.BytesIO()
        frame.write_ipc_stream(stream, compression="uncompressed")
        answered = self._client.post(self._path, stream.getvalue(), {**_ARROW, **self._key})
        if answered.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            self._takes_arrow = False
            return self.of_frame(frame)
        if self._is_too_large(answered, frame.height):
            return Predictions.joined([self.of_frame(part) for part in frame.iter_slices(self.max_rows)])
        return self._predictions(answered, frame.height)

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Predictions:
        """Return one prediction per row. Raises UsageError, FilieraError."""
        answered = self._client.post(self._path, request_body(rows), {**exchanges.JSON, **self._key})
        if self._is_too_large(answered, len(rows)):
            size = self.max_rows
            return Predictions.joined([self.of_rows(rows[at : at + size]) for at in range(0, len(rows), size)])
        return self._predictions(answered, len(rows))

    def _is_too_large(self, answered: Reply, height: int) -> bool:
        """Tell whether half of the rows may be taken where all were not, and ask for fewer from now on."""
        if answered.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or height == 1:
            return False
        self.max_rows = (height + 1) // 2
        return True

    def _predictions(self, answered: Reply, height: int) -> Predictions:
        answer = exchanges.answer_of(self._client.url, answered.status, answered.body)
        try:
            version, answers = answer["version"], answer["predictions"]
            ids = tuple(each["id"] for each in answers)
            outputs = outputs_of(self._outputs, answers)
        except (KeyError, TypeError, ValueError) as error:
            raise self._stranger(self._client.url, self.name) from error
        if len(ids) != height:
            raise FilieraError(f"{self._client.url} gave {len(ids)} predictions for {height} rows.")
        if self.version is None:
            self.version = version
        if version != self.version:
            raise FilieraError(
                f"{self._client.url} answered by {self.name}@{version}, not {self.name}@{self.version}.",
                why="Its alias was moved, or another version is being tried.",
                do="ask again: all rows are to be answered by one version",
            )
        return Predictions(ids=ids, promised=self._outputs, outputs=outputs)

    @staticmethod
    def _stranger(url: str, name: str) -> FilieraError:
        return FilieraError(f"What {url} says of {name} cannot be understood.", why="It may be of another release.")
