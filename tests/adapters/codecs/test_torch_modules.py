"""Modules of PyTorch. Without it these tests are skipped: it is large, so development does not install it.

To run them: ``pip install torch safetensors --index-url https://download.pytorch.org/whl/cpu``, 200 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.adapters.codecs.torch_modules import TorchCodec
from filiera.core import plain
from filiera.errors import CodecError, UsageError
from filiera.testing.codec import CodecContract, MemoryArtifact

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
nn = torch.nn


class Net(nn.Module):  # type: ignore[misc]
    """A class of a project, with what modules may have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.name, self.rates = width, "net", (0.1, [1, 2])
        self.first, self.again = nn.Linear(3, width), nn.Linear(width, width)
        self.tied = nn.Linear(width, width)
        self.tied.weight = self.again.weight
        self.shared = self.first
        self.missing = None
        self.register_parameter("none", None)
        self.register_buffer("scale", torch.arange(3.0))
        self.register_buffer("passing", torch.ones(1), persistent=False)
        self.first.bias.requires_grad_(False)

    def forward(self, rows: Any) -> Any:
        return self.tied(self.again(torch.relu(self.first(rows * self.scale))))


def trained() -> Any:
    """Return a network after some steps of training."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    rows, labels = torch.randn(64, 3), torch.randint(0, 2, (64,))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows), labels).backward()
        optimizer.step()
    return model


class TestTorchCodec(CodecContract):
    def make_codec(self) -> TorchCodec:
        return TorchCodec()

    def make_values(self) -> Sequence[Any]:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        return [
            nn.Linear(3, 2),
            trained(),
            Net(5),
            nn.LSTM(3, 4, num_layers=2, bidirectional=True),
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).eval(),
            nn.ModuleDict({"layer": layer, "norm": nn.LayerNorm(4)}),
            nn.Embedding(5, 3, padding_idx=0).to(torch.bfloat16),
        ]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert str(decoded) == str(original)
        assert [name for name, _ in decoded.named_parameters()] == [name for name, _ in original.named_parameters()]
        for kind in ("named_parameters", "named_buffers"):
            pairs = zip(getattr(decoded, kind)(), getattr(original, kind)(), strict=True)
            for (name, one), (same, other) in pairs:
                assert (name, one.dtype, one.requires_grad) == (same, other.dtype, other.requires_grad)
                assert torch.equal(one, other)
        assert {n: m.training for n, m in decoded.named_modules()} == {
            n: m.training for n, m in original.named_modules()
        }

    def test_what_a_class_of_a_project_has_comes_back(self) -> None:
        """Plain attributes, tied weights, shared modules, and which buffers belong to the state."""
        original = Net(5)
        decoded = _decoded(_encoded(original))
        assert (decoded.width, decoded.name, decoded.rates, decoded.missing) == (5, "net", (0.1, [1, 2]), None)
        assert decoded.tied.weight is decoded.again.weight
        assert decoded.shared is decoded.first
        assert set(decoded.state_dict()) == set(original.state_dict())
        rows = torch.randn(4, 3)
        assert torch.equal(decoded(rows), original(rows))

    def test_recurrent_modules_answer_alike(self) -> None:
        """They hold their parameters in a list besides; it is made again."""
        original = nn.LSTM(3, 4, num_layers=2)
        rows = torch.randn(5, 2, 3)
        assert torch.equal(_decoded(_encoded(original))(rows)[0], original(rows)[0])


def _function_inside() -> Any:
    model = nn.Linear(2, 2)
    model.own = len
    return model


def _hooked() -> Any:
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: None)
    return model


def _nested_class() -> Any:
    class Inside(nn.Module):  # type: ignore[misc]
        pass

    return Inside()


def _object_inside() -> Any:
    model = nn.Linear(2, 2)
    model.__dict__["data"] = object()
    return model


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_function_inside, "builtins:len"),
        (_hooked, "hooks"),
        (_nested_class, "no module can be asked for"),
        (_object_inside, "not a plain value"),
        (lambda: torch.fx.symbolic_trace(nn.Linear(2, 2)), ""),
    ],
    ids=["function", "hooks", "nested class", "object", "graph of code"],
)
def test_what_has_no_faithful_bytes_is_refused(make: Callable[[], Any], why: str) -> None:
    """It is refused when the step returns it, with what to do."""
    with pytest.raises(CodecError, match="cannot be stored") as caught:
        _encoded(make())
    assert why in caught.value.why
    assert caught.value.do


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update({"class": "torch.fx.graph_module:GraphModule"}),
        lambda tree: tree.update({"class": "os:system"}),
        lambda tree: tree.update(attributes=plain.encode({"own": eval}).decode()),
        lambda tree: tree.update(attributes=plain.encode({"training": 1}).decode()),
        lambda tree: tree.update(parameters=[["weight", "nowhere", True]]),
        lambda tree: tree.update(parameters=[]),
        lambda tree: tree.update(modules=[["a", {"same": "elsewhere"}]]),
        lambda tree: tree.pop("class"),
    ],
)
def test_a_crafted_file_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    """Nothing is called or built but modules of torch.nn, and every tensor has its place."""
    content = _encoded(nn.Linear(2, 2))
    size = int.from_bytes(content[:8], "little")
    tree = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["module"])
    change(tree)
    with pytest.raises(CodecError):
        _decoded(safetensors.save(safetensors.load(content), metadata={"module": json.dumps(tree)}))


def test_a_class_whose_code_is_not_loaded_is_named() -> None:
    """A process without the project's code says which class it lacks, and what a service can load."""
    content = _encoded(Net(2)).replace(b"test_torch_modules:Net", b"test_torch_nowhere:Net")
    with pytest.raises(CodecError, match="code is not loaded here") as caught:
        _decoded(content)
    assert "Sequential" in caught.value.do


def test_a_model_of_a_module_answers_with_labels_in_a_clean_process(tmp_path: Path) -> None:
    """Softmax over scores, sigmoid of one score, numbers as they are; the training state does not matter."""
    from filiera.model.torch import from_torch

    table = pl.DataFrame({"a": [0.1, 2.0], "b": [1.0, -1.0], "c": [0.0, 3.0]})
    two = from_torch(trained(), features=["a", "b", "c"], classes=["no", "yes"])
    with torch.inference_mode():
        scores = two.module(torch.tensor(table.to_numpy(), dtype=torch.float32)).softmax(1).numpy()
    assert two.predict_proba(table) == pytest.approx(scores, abs=1e-6)
    assert two.predict(table).tolist() == [["no", "yes"][place] for place in scores.argmax(axis=1)]
    one = from_torch(nn.Linear(3, 1), features=["a", "b", "c"], classes=[False, True])
    assert one.predict_proba(table).sum(axis=1) == pytest.approx(1)
    assert from_torch(nn.Linear(3, 1), features=["a", "b", "c"]).predict(table).shape == (2,)
    with pytest.raises(UsageError, match="3 scores for 2"):
        from_torch(nn.Linear(3, 3), features=["a", "b", "c"], classes=[0, 1]).predict(table)
    with pytest.raises(UsageError, match=r"no torch\.nn\.Module"):
        from_torch(object(), features=["a"])
    file = tmp_path / "model"
    file.write_bytes(_encoded(two.module))
    code = (
        "import sys; from pathlib import Path; from filiera.adapters.codecs.torch_modules import TorchCodec;"
        "from filiera.testing.codec import MemoryArtifact; content = Path(sys.argv[1]).read_bytes();"
        "print(TorchCodec().decode(MemoryArtifact(Path(), content)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(two.module), done.stderr


def _encoded(value: Any) -> bytes:
    artifact = MemoryArtifact(Path())
    TorchCodec().encode(value, artifact)
    return artifact.bytes()


def _decoded(content: bytes) -> Any:
    return TorchCodec().decode(MemoryArtifact(Path(), content))
