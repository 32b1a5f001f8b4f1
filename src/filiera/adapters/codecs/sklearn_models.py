"""Scikit-learn estimators by skops: no pickle, deterministic bytes, and only types we know to be harmless.

Estimators of XGBoost and LightGBM are such estimators, alone or as parts of others. The boosters in them are stored in
their own formats, and checked: what skops would store is what these libraries pickle, which another version of theirs
need not read.

skops writes a zip archive of arrays and a ``schema.json`` that names them. Its bytes differ from run to run: files and
nodes are numbered by memory address, sets are in hash order, the archive holds the time. So it is written again: files
are named by their content, objects held in several places are numbered in order of appearance, the clock says 1980.

Nothing is compressed, because zlib and zlib-ng give different bytes. The price: a random forest of 100 trees on 2,000
rows takes 3.0 MB instead of 0.6 MB.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from filiera.adapters.codecs import boosters, lightgbm_text
from filiera.adapters.codecs.numpy_arrays import without_gaps
from filiera.adapters.codecs.refusal import is_loaded, needs, reading, unreadable, unstorable
from filiera.core.digest import blob_digest
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

_SCHEMA = "schema.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_OWNER_ONLY = 0o600 << 16
_IMMUTABLE_NODES = frozenset(
    {"JsonNode", "TupleNode", "TypeNode", "FunctionNode", "DTypeNode", "BytesNode", "SliceNode", "OperatorFuncNode"}
)
_CLASS_PACKAGES = ("sklearn", "scipy.sparse", "scipy.interpolate", "xgboost.sklearn", "lightgbm.sklearn")
_XGBOOST, _LIGHTGBM = "xgboost.core.Booster", "lightgbm.basic.Booster"
_HARMLESS = frozenset({_XGBOOST, _LIGHTGBM, "collections.OrderedDict", "collections.defaultdict"})
_OTHER_LIBRARIES = ("xgboost", "lightgbm")
_FUNCTION_PACKAGES = ("sklearn.metrics", "sklearn.feature_selection", "sklearn.preprocessing")
# These read files, download, or start processes.
_NEVER_PACKAGES = ("sklearn.datasets", "sklearn.externals", "sklearn.utils._testing", "sklearn.conftest")

_Node = dict[str, Any]


class SkopsCodec:
    """Estimators made of classes of scikit-learn, SciPy, NumPy, XGBoost and LightGBM, fitted or not."""

    name = "skops/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "sklearn.base", "BaseEstimator")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import skops.io

        try:
            archive = _canonical(skops.io.dumps(value))
            refused, _ = _types(archive)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise unstorable(
                value, why=f"skops cannot store it: {error}", do="Return what it learned as arrays or plain data."
            ) from error
        if refused:
            raise unstorable(
                value,
                why=f"It holds {', '.join(refused)}, which is not a class of scikit-learn, SciPy, NumPy, XGBoost or "
                "LightGBM known to be harmless, so it could not be loaded again.",
                do="Use scikit-learn's own classes or these libraries', and NumPy's functions; do other work in steps.",
            )
        writer.stream.write(archive)

    def decode(self, reader: ArtifactReader) -> Any:
        import skops.io

        content = reader.bytes()
        with reading(self.name):
            refused, trusted = _types(content)
            if refused:
                raise CodecError(
                    f"This model is not loaded: it holds {', '.join(refused)}.",
                    why="Only classes of scikit-learn, SciPy, NumPy, XGBoost and LightGBM known to be harmless are "
                    "loaded.",
                    do="Train the model again with this version of Filiera; do not use files of unknown origin.",
                )
            return skops.io.loads(_thawed(content), trusted=trusted)


def _canonical(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read(_SCHEMA))
        contents = {name: _canonical_file(name, source.read(name)) for name in source.namelist() if name != _SCHEMA}
    del schema["_skops_version"]
    nodes = list(_nodes(schema))
    for file in _xgboost_files(nodes):
        contents[file] = boosters.model_of_snapshot(contents[file])
    names = {name: f"{blob_digest(content)[:32]}.{name.rpartition('.')[2]}" for name, content in contents.items()}
    for node in nodes:
        if _type_name(node) == _LIGHTGBM:
            _forget_training(node)
        if "file" in node:
            node["file"] = names[node["file"]]
        _forget_addresses(node)
    _number_shared(nodes)
    for node in reversed(nodes):
        if node["__loader__"] == "SetNode":
            node["content"].sort(key=json.dumps)
    files = {names[name]: content for name, content in contents.items()}
    return _zipped({**files, _SCHEMA: json.dumps(schema, separators=(",", ":")).encode()})


def _thawed(archive: bytes) -> bytes:
    """Return an archive with boosters as skops loads them, of one with boosters as they are stored."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read(_SCHEMA))
        nodes = list(_nodes(schema))
        for node in nodes:
            if _type_name(node) == _LIGHTGBM:
                lightgbm_text.check(_attribute(node, "_handle"))
        files = _xgboost_files(nodes)
        if not files:
            return archive
        contents = {name: source.read(name) for name in source.namelist()}
    return _zipped(contents | {file: boosters.snapshot_of_model(contents[file]) for file in files})


def _xgboost_files(nodes: Iterable[_Node]) -> set[str]:
    """Return the names of the files that hold boosters of XGBoost."""
    return {node["content"]["content"]["handle"]["file"] for node in nodes if _type_name(node) == _XGBOOST}


def _forget_training(node: _Node) -> None:
    """Let a booster of LightGBM keep its model, and not what its training used: threads and predictions."""
    attributes = node["content"]["content"]
    attributes["_handle"]["content"] = json.dumps(boosters.sound_text(_attribute(node, "_handle")))
    threads = attributes["params"]["content"].get("num_threads")
    if threads is not None:
        threads["content"] = "0"


def _attribute(node: _Node, name: str) -> Any:
    return json.loads(node["content"]["content"][name]["content"])


def _canonical_file(name: str, content: bytes) -> bytes:
    if name.endswith(".npy"):
        return without_gaps(content)
    if not name.endswith(".npz"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return _zipped({part: source.read(part) for part in source.namelist()})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.create_system, entry.external_attr = 3, _OWNER_ONLY
            archive.writestr(entry, files[name])
    return target.getvalue()


def _nodes(part: Any) -> Iterator[_Node]:
    """Yield the nodes of a schema, parents first. Where a node keeps a user's dictionary, its values are nodes."""
    if isinstance(part, dict):
        if isinstance(part.get("__loader__"), str):
            yield part
        for item in part.values():
            yield from _nodes(item)
    elif isinstance(part, list):
        for item in part:
            yield from _nodes(item)


def _number_shared(nodes: Iterable[_Node]) -> None:
    """Keep a number only where it says something: that two places hold the very same mutable object."""
    addressed = [(node, node.pop("__id__", None)) for node in nodes]
    shared = [(node, address) for node, address in addressed if address is not None and _is_mutable(node)]
    uses = Counter(address for _, address in shared)
    numbers: dict[int, int] = {}
    for node, address in shared:
        if uses[address] > 1:
            node["__id__"] = numbers.setdefault(address, len(numbers) + 1)


def _forget_addresses(node: _Node) -> None:
    attributes = node.get("content")
    if isinstance(attributes, dict) and "_stop_words_id" in attributes:
        # Text vectorizers cache id(stop_words) here; a number that matches nothing makes them look again.
        attributes["_stop_words_id"]["content"] = "0"


def _is_mutable(node: _Node) -> bool:
    if node["__loader__"] == "NdArrayNode":
        return bool(node["__class__"] == "ndarray")
    return node["__loader__"] not in _IMMUTABLE_NODES


def _types(archive: bytes) -> tuple[list[str], list[str]]:
    """Return the names of types in *archive* that we refuse, and of those that we trust beyond skops' own list."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in source.infolist()):
            raise unreadable(SkopsCodec.name, "a compressed archive, which we never write")
        schema = json.loads(source.read(_SCHEMA))
    harmful = {_type_name(node) for node in _nodes(schema) if not _is_harmless(node)}
    unknown = set(skops.io.get_untrusted_types(data=archive))
    known = {_type_name(node) for node in _nodes(schema)} - harmful
    for library in _OTHER_LIBRARIES:
        if any(name.startswith(f"{library}.") for name in harmful):
            needs(library)
    return sorted(unknown - known), sorted(unknown & known)


def _type_name(node: _Node) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _is_harmless(node: _Node) -> bool:
    """Tell whether loading and using what *node* names runs no more than the libraries' own computations."""
    module, name = node["__module__"], node["__class__"]
    if node["__loader__"] == "FunctionNode":
        return _is_array_function(module, name) or (_is_in(module, _FUNCTION_PACKAGES) and _is_defined_in(module, name))
    if _type_name(node) in _HARMLESS:
        return name != "Booster" or _is_stored_booster(node)
    if node["__loader__"] == "DTypeNode":
        return (module, name) == ("numpy", "dtype")
    return _is_in(module, _CLASS_PACKAGES) and _is_defined_in(module, name, type)


def _is_stored_booster(node: _Node) -> bool:
    """Tell whether it is a booster as we write it: one that is built from its checked model and from nothing else."""
    if node["__loader__"] != "ObjectNode":
        return False
    attributes = node["content"]["content"]
    name, loader = ("_handle", "JsonNode") if _type_name(node) == _LIGHTGBM else ("handle", "BytearrayNode")
    model = attributes.get(name, {})
    # With a number, skops would take another object that has it, which nobody has checked.
    is_itself = "__id__" not in model and "__id__" not in node["content"]
    return bool(is_itself and model.get("__loader__") == loader and {"handle", "_handle"} & set(attributes) == {name})


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    inside = any(module == package or module.startswith(f"{package}.") for package in packages)
    tests = any(part.startswith(("test", "_test", "conftest")) for part in module.split("."))
    return inside and not tests and not module.startswith(_NEVER_PACKAGES)


def _is_defined_in(module: str, name: str, kind: type = object) -> bool:
    """Tell whether *module* defines *name* itself: what it merely imports, such as ``check_output``, does not count."""
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return isinstance(found, kind) and getattr(found, "__module__", None) == module


def _is_array_function(module: str, name: str) -> bool:
    """Tell whether it is a NumPy function on arrays, such as ``nan_to_num``, that touches no file."""
    import numpy as np

    found = getattr(np, name, None)
    return module == "numpy" and type(found) is type(np.nan_to_num) and not name.startswith("save")
