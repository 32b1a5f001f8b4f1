"""PyTorch modules as one safetensors file: the tensors, and as its metadata the tree of modules that hold them.

A module is made again without its ``__init__``: an instance of its class gets its attributes, parameters, buffers and
modules. Classes of ``torch.nn`` are found anywhere; those of a project only where its code is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from filiera.adapters.codecs.refusal import is_loaded, needs, reading, unreadable, unstorable
from filiera.core import plain
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

_CLASSES = "torch.nn.modules."
"""Others of torch, such as graphs of torch.fx, hold code."""
_FUNCTIONS = ("torch.nn.modules.", "torch.nn.functional:", "torch._C._nn:", "torch:", "torch._C._VariableFunctions:")
_MADE_AGAIN = ("_flat_weights", "_flat_weight_refs")
"""Attributes of recurrent modules that lead to their parameters once more."""
_MAX_DEPTH = 100

Tree = dict[str, Any]


class TorchCodec:
    """A ``torch.nn.Module``; it comes back on the CPU. Hooks, and attributes that are not plain, are refused."""

    name = "torch/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "torch.nn", "Module")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        safetensors = needs("safetensors.torch")
        tree = _Writer()
        described = tree.describe(value, "", 0)
        metadata = {"module": json.dumps(described, sort_keys=True, separators=(",", ":"))}
        writer.stream.write(safetensors.save(tree.tensors, metadata=metadata))

    def decode(self, reader: ArtifactReader) -> Any:
        needs("torch")
        safetensors = needs("safetensors.torch")
        content = reader.bytes()
        with reading(self.name):
            tensors = safetensors.load(content)
            size = int.from_bytes(content[:8], "little")
            tree = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["module"])
            builder = _Reader(tensors)
            found = builder.build(tree, "", 0)
            if builder.used != set(tensors):
                raise unreadable(self.name, "tensors that no module holds")
            return found


class _Writer:
    """Describes modules, and collects their tensors, each once."""

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}
        self._places: dict[int, str] = {}
        self._kept: list[Any] = []

    def describe(self, module: Any, place: str, depth: int) -> Tree:
        import torch

        if depth > _MAX_DEPTH:
            raise unstorable(module, why="Its modules are nested too deep, or contain themselves.", do="Flatten it.")
        if id(module) in self._places:
            return {"same": self._places[id(module)]}
        self._places[id(module)] = place
        self._kept.append(module)
        internal = set(torch.nn.Module().__dict__)
        state = module.__dict__
        hooks = [name for name in internal if name.endswith("hooks") and state.get(name)]
        if hooks:
            raise unstorable(module, why=f"It has hooks ({', '.join(sorted(hooks))}).", do="Remove them first.")
        own = {name: value for name, value in state.items() if name not in internal and name not in _MADE_AGAIN}
        return {
            "class": plain.name_of(_findable(module)),
            "training": module.training,
            "attributes": _encoded(module, own),
            "parameters": self._described(state["_parameters"], place, lambda _, tensor: tensor.requires_grad),
            "buffers": self._described(
                state["_buffers"], place, lambda name, _: name not in state["_non_persistent_buffers_set"]
            ),
            "modules": [
                [name, None if one is None else self.describe(one, _joined(place, name), depth + 1)]
                for name, one in state["_modules"].items()
            ],
        }

    def _described(self, tensors: Mapping[str, Any], place: str, said: Callable[[str, Any], bool]) -> list[list[Any]]:
        """Return for each tensor its name, where it lies, and what is *said* of it; null for one that is not there."""
        found: list[list[Any]] = []
        for name, tensor in tensors.items():
            if tensor is None:
                found.append([name, None, False])
                continue
            where = self._places.setdefault(id(tensor), _joined(place, name))
            self._kept.append(tensor)
            self.tensors.setdefault(where, tensor.detach().cpu().contiguous().clone())
            found.append([name, where, said(name, tensor)])
        return found


class _Reader:
    """Makes modules of their description."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors
        self._parameters: dict[str, Any] = {}
        self._modules: dict[str, Any] = {}
        self.used: set[str] = set()

    def build(self, tree: Tree, place: str, depth: int) -> Any:
        import torch

        if depth > _MAX_DEPTH:
            raise ValueError("modules nested too deep")
        if "same" in tree:
            return self._modules[tree["same"]]
        kind = _class_named(tree["class"])
        module = kind.__new__(kind)
        torch.nn.Module.__init__(module)
        attributes = _decoded(tree["attributes"])
        if set(attributes) & set(module.__dict__):
            raise ValueError("an attribute that every module has")
        module.__dict__.update(attributes)
        for name, where, is_trained in tree["parameters"]:
            module.register_parameter(name, None if where is None else self._parameter(where, is_trained))
        for name, where, is_persistent in tree["buffers"]:
            module.register_buffer(name, None if where is None else self._tensor(where), persistent=is_persistent)
        for name, one in tree["modules"]:
            module.add_module(name, None if one is None else self.build(one, _joined(place, name), depth + 1))
        if hasattr(module, "_init_flat_weights"):
            module._init_flat_weights()
        module.training = bool(tree["training"])
        self._modules[place] = module
        return module

    def _parameter(self, where: str, is_trained: bool) -> Any:
        import torch

        if where not in self._parameters:
            self._parameters[where] = torch.nn.Parameter(self._tensor(where), requires_grad=is_trained)
        return self._parameters[where]

    def _tensor(self, where: str) -> Any:
        self.used.add(where)
        return self._tensors[where]


def _encoded(module: Any, attributes: dict[str, Any]) -> str:
    try:
        content = plain.encode(dict(sorted(attributes.items())))
    except TypeError as error:
        raise unstorable(
            module,
            why=f"{str(error).replace('value[', 'its attribute [', 1)}.",
            do="Keep numbers, texts and tensors (register_buffer) in modules; give them the rest when they are called.",
        ) from error
    strangers = _strangers(attributes.values())
    if strangers:
        raise unstorable(
            module,
            why=f"It holds the functions {', '.join(strangers)}.",
            do="Use functions of torch, or write a module.",
        )
    return content.decode("utf-8", "surrogatepass")


def _decoded(text: str) -> dict[str, Any]:
    found = plain.decode(text.encode("utf-8", "surrogatepass"))
    if not isinstance(found, dict) or _strangers(found.values()):
        raise ValueError("attributes with functions that are not of torch")
    return found


def _strangers(values: Iterable[Any]) -> list[str]:
    names = [plain.name_of(found) for value in values for found in plain.names_in(value)]
    return [name for name in names if not name.startswith(_FUNCTIONS)]


def _findable(module: Any) -> Any:
    kind = type(module)
    try:
        plain.findable(kind, "the model")
    except TypeError as error:
        raise unstorable(module, why=str(error), do="Define the class at the top level of a module.") from error
    if not _is_harmless(plain.name_of(kind)):
        raise unstorable(module, why="It holds code.", do="Return the module that it was made of.")
    return kind


def _is_harmless(name: str) -> bool:
    return name.startswith(_CLASSES) or not name.startswith(("torch.", "torch:"))


def _class_named(name: str) -> Any:
    import torch

    try:
        kind = plain.find_loaded(name)
    except ValueError as error:
        raise CodecError(
            f"This model is a {name.replace(':', '.')}, whose code is not loaded here.",
            why="Only classes of torch.nn are found anywhere; classes of a project are, where its code is loaded.",
            do="Make the model of torch.nn's classes, such as Sequential, or publish it as an ONNX model.",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module) and _is_harmless(name)):
        raise ValueError(f"{name} is no module, or holds code")
    return kind


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
