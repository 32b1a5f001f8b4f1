"""Evaluations: what was measured as JSON, then the rows as Parquet, in one file.

Eight bytes say how long the JSON is (little-endian), so that the rows can be read where they lie.
"""

from __future__ import annotations

import io
from typing import Any

from filiera.adapters.codecs.polars_frames import parquet_of
from filiera.adapters.codecs.refusal import reading
from filiera.core import plain
from filiera.core.evaluation import EVALUATION_CODEC, Evaluation
from filiera.ports import ArtifactReader, ArtifactWriter

_LENGTH_BYTES = 8


class EvaluationCodec:
    """``filiera.Evaluation``."""

    name = EVALUATION_CODEC

    def handles(self, value: object) -> bool:
        return type(value) is Evaluation

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        head, rows = plain.encode(value.head), parquet_of(value.rows)
        writer.stream.write(len(head).to_bytes(_LENGTH_BYTES, "little"))
        writer.stream.write(head)
        writer.stream.write(rows)

    def decode(self, reader: ArtifactReader) -> Evaluation:
        import polars as pl

        content = memoryview(reader.bytes())
        with reading(self.name):
            end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
            metrics, slices, fairness, clusters = plain.decode(bytes(content[_LENGTH_BYTES:end]))
            rows = pl.read_parquet(io.BytesIO(content[end:]))
            return Evaluation(metrics=metrics, slices=slices, fairness=fairness, clusters=clusters, rows=rows)
