"""What runs a model version in a service: ONNX Runtime where its graph was proven to answer alike, else its library."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.parts import PARTS_CODEC
from filiera.core.signature import Signature

if TYPE_CHECKING:
    from filiera.project.project import Project
    from filiera.project.versions import Version

_GRAPH = "filiera.model.onnx:OnnxModel"
_TAKES_WHAT_GRAPHS_TAKE = (_GRAPH, "filiera.model.booster:BoosterModel")
"""Models in parts whose columns are those of their graph; of others, such as those with transforms, the graph is the
estimator alone."""
_NAMES_A_FILE = b"location"
"""The key under which a graph names a file for its weights: content without it names none."""
_SLOW = {
    "skops": ("skops.io", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "torch": ("torch",),
}
"""What takes long to load, by the format that a model is stored in."""
_NEEDED_TOO = ("filiera.serving.app", "filiera.serving.model_mount", "filiera.serving.server", "polars")


def model_to_serve(project: Project, version: Version) -> tuple[Any, Signature]:
    """Return what answers for a model or service, and the signature: a graph, ONNX Runtime, or the model itself.

    The graph is used if the version has one, whose parity with the model was tested when it was published; reading it
    loads neither the model's library nor tables, and takes a tenth of the time.

    Raises:
        CodecError, BlobMissing, BlobCorrupted: What the version has cannot be read.
        PredictionFailed: The graph cannot be run.
    """
    if version.kind == "service":
        from filiera.project.serving.graphs import graph_of, predictor_of

        return predictor_of(project, *graph_of(project, version))
    signature: Signature = project.value(version.attachments["signature"])
    graph = _graph_ref(project, version)
    if graph is None:
        return project.value(version.artifact), signature
    from filiera.serving.onnx_predictor import OnnxGraph, OnnxPredictor

    content, features, labels = _read(project, graph)
    return OnnxPredictor(OnnxGraph(content=content, features=features, labels=labels), signature), signature


def slow_libraries(project: Project, version: Version) -> tuple[str, ...]:
    """Return the modules that take long to load and are needed to answer with a version; of services, none is known."""
    if version.kind == "service" or _graph_ref(project, version) is not None:
        return ()
    ref = version.artifact
    parts = project.artifacts.manifest_of(ref)[1] if ref.codec == PARTS_CODEC else (ref,)
    needed = {name for part in parts for name in _SLOW.get(part.codec.partition("/")[0], ())}
    return tuple(sorted({*needed, *_NEEDED_TOO})) if needed else ()


def runtime_note(project: Project, version: Version) -> str:
    """Return what answers for a version and why, in one line."""
    if _graph_ref(project, version) is not None:
        return "ONNX Runtime, which answers as the model does"
    if version.kind == "service":
        return ""
    kind = _kind(project, version.artifact)
    if "onnx" not in version.attachments:
        return "the model's own library; Model(…, onnx=True) tries ONNX Runtime"
    if find_spec("onnxruntime") is None:
        return "the model's own library; pip install 'filiera[onnx]' for ONNX Runtime"
    if kind and kind not in _TAKES_WHAT_GRAPHS_TAKE:
        return "the model's own library, for its transforms have no graph"
    return "the model's own library, for no graph answers as it does"


def _graph_ref(project: Project, version: Version) -> ArtifactRef | None:
    """Return the graph that takes what the signature says, or None."""
    kind = _kind(project, version.artifact)
    if find_spec("onnxruntime") is None or (kind and kind not in _TAKES_WHAT_GRAPHS_TAKE):
        return None
    if kind == _GRAPH:
        return version.artifact
    attached = version.attachments.get("onnx")
    return attached if attached is not None and _kind(project, attached) == _GRAPH else None


def _kind(project: Project, ref: ArtifactRef) -> str:
    return project.artifacts.manifest_of(ref)[0] if ref.codec == PARTS_CODEC else ""


def _read(project: Project, ref: ArtifactRef) -> tuple[bytes, tuple[str, ...], tuple[Any, ...]]:
    graph, features, labels = project.artifacts.manifest_of(ref)[1]
    content = graph.inline or project.blobs.get(graph.digest)
    if _NAMES_A_FILE in content:
        project.artifacts.get(graph)  # its codec refuses it if it is such a name indeed
    return content, tuple(project.artifacts.get(features)), tuple(project.artifacts.get(labels))
