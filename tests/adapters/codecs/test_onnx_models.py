"""ONNX models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.onnx_models import OnnxCodec
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact

np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx")


def doubled(weight: Any, name: str = "doubled") -> Any:
    helper = onnx.helper
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [None, 1]) for end in ("x", "y")]
    graph = helper.make_graph([node], name, ends[:1], ends[1:], initializer=[weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def inside() -> Any:
    return onnx.numpy_helper.from_array(np.array([[2.0]], dtype=np.float32), "w")


def in_a_file() -> Any:
    weight = inside()
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/hostname")
    return weight


class TestOnnxCodec(CodecContract):
    def make_codec(self) -> OnnxCodec:
        return OnnxCodec()

    def make_values(self) -> Sequence[Any]:
        return [doubled(inside()), doubled(inside(), "another")]

    def test_a_model_whose_weights_are_in_files_is_not_stored(self) -> None:
        """They would be lost; the message says how to read them."""
        with pytest.raises(CodecError, match="cannot be stored") as caught:
            OnnxCodec().encode(doubled(in_a_file()), MemoryArtifact(Path()))
        assert "onnx.load" in caught.value.do

    def test_a_model_that_names_files_is_not_loaded(self) -> None:
        """Whatever runs it would read files of this machine into its answers."""
        content = doubled(in_a_file()).SerializeToString()
        with pytest.raises(CodecError, match="names files"):
            OnnxCodec().decode(MemoryArtifact(Path(), content))

    def test_weights_inside_of_a_nodes_own_graph_count(self) -> None:
        """A file named deep inside is found, too."""
        branch = onnx.helper.make_graph([], "branch", [], [], initializer=[in_a_file()])
        model = doubled(inside())
        model.graph.node.append(onnx.helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
        with pytest.raises(CodecError, match="cannot be stored"):
            OnnxCodec().encode(model, MemoryArtifact(Path()))
