"""The messages of the Open Inference Protocol's gRPC surface, as classes of the protobuf library.

Written from the protocol's ``open_inference_grpc.proto`` (github.com/kserve/open-inference-protocol, Apache-2.0), field
by field: names, numbers and types are its. They are made when the module is loaded, so that no generated code has to
fit the library's version, and in a pool of their own, so that a client's classes of the same names can live beside
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"
_PACKAGE = "inference"
_KINDS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3

_TENSOR = ["name string", "datatype string", "shape *int64"]
_PARAMETERS = "parameters @InferParameter"
_DATA = [*_TENSOR, _PARAMETERS, "contents InferTensorContents"]
_NAMED = ["name string", "version string"]

_MESSAGES: Mapping[str, list[str]] = {
    "ServerLiveRequest": [],
    "ServerLiveResponse": ["live bool"],
    "ServerReadyRequest": [],
    "ServerReadyResponse": ["ready bool"],
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": ["ready bool"],
    "ServerMetadataRequest": [],
    "ServerMetadataResponse": ["name string", "version string", "extensions *string"],
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": [
        "name string",
        "versions *string",
        "platform string",
        "inputs *ModelMetadataResponse.TensorMetadata",
        "outputs *ModelMetadataResponse.TensorMetadata",
    ],
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelInferRequest": [
        "model_name string",
        "model_version string",
        "id string",
        _PARAMETERS,
        "inputs *ModelInferRequest.InferInputTensor",
        "outputs *ModelInferRequest.InferRequestedOutputTensor",
        "raw_input_contents *bytes",
    ],
    "ModelInferRequest.InferInputTensor": _DATA,
    "ModelInferRequest.InferRequestedOutputTensor": ["name string", _PARAMETERS],
    "ModelInferResponse": [
        "model_name string",
        "model_version string",
        "id string",
        _PARAMETERS,
        "outputs *ModelInferResponse.InferOutputTensor",
        "raw_output_contents *bytes",
    ],
    "ModelInferResponse.InferOutputTensor": _DATA,
    "InferParameter": [
        "bool_param ?bool",
        "int64_param ?int64",
        "string_param ?string",
        "double_param ?double",
        "uint64_param ?uint64",
    ],
    "InferTensorContents": [
        "bool_contents *bool",
        "int_contents *int32",
        "int64_contents *int64",
        "uint_contents *uint32",
        "uint64_contents *uint64",
        "fp32_contents *float",
        "fp64_contents *double",
        "bytes_contents *bytes",
    ],
}
"""Fields in the order of their numbers, which begin at 1. ``*`` is repeated, ``?`` one of the choices of a parameter,
``@`` a map from names to such messages."""


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="open_inference_grpc.proto", package=_PACKAGE, syntax="proto3")
    described: dict[str, Any] = {}
    for name, fields in _MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        message = described[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        described[name] = message
        for number, text in enumerate(fields, start=1):
            _add_field(message, name, number, text)
    return file


def _add_field(message: Any, name: str, number: int, text: str) -> None:
    field_name, kind = text.split(" ")
    mark, plain = (kind[0], kind[1:]) if kind[0] in "*?@" else ("", kind)
    field = message.field.add(name=field_name, number=number, label=_REPEATED if mark in ("*", "@") else _OPTIONAL)
    if mark == "@":
        entry = message.nested_type.add(name=f"{field_name.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_OPTIONAL, type=_KINDS["string"])
        entry.field.add(name="value", number=2, label=_OPTIONAL, type=_MESSAGE, type_name=f".{_PACKAGE}.{plain}")
        plain = f"{name}.{entry.name}"
    if mark == "?":
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if plain in _KINDS:
        field.type = _KINDS[plain]
    else:
        field.type, field.type_name = _MESSAGE, f".{_PACKAGE}.{plain}"


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_described())
MESSAGES: Mapping[str, Any] = {
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
}
"""The classes, by the protocol's names."""
