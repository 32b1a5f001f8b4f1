"""ONNX models as their own files, self-contained and checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filiera.adapters.codecs.refusal import is_loaded, needs, reading, unreadable, unstorable
from filiera.ports import ArtifactReader, ArtifactWriter


class OnnxCodec:
    """An ``onnx.ModelProto`` whose weights are all inside of it."""

    name = "onnx/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "onnx", "ModelProto")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        if _names_files(value):
            raise unstorable(
                value,
                why="Some of its weights are in files beside it, which would be lost.",
                do="Load it with onnx.load(path), which reads them, and return that.",
            )
        writer.stream.write(value.SerializeToString(deterministic=True))

    def decode(self, reader: ArtifactReader) -> Any:
        onnx = needs("onnx")
        content = reader.bytes()
        with reading(self.name):
            found = onnx.ModelProto.FromString(content)
            if _names_files(found):
                raise unreadable(self.name, "a model that names files of this machine")
            onnx.checker.check_model(found)
            return found


def _names_files(model: Any) -> bool:
    """Tell whether a model names files for its weights: what runs it would read them, whatever they are."""
    return any(tensor.external_data or tensor.data_location for tensor in _tensors(model))


def _tensors(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                if type(item).__name__ == "TensorProto":
                    yield item
                else:
                    yield from _tensors(item)
