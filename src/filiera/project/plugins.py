"""Adapters by name: ours from tables, strangers' from entry points. The only place that loads them.

An adapter is imported when it is first used, never before: a run of plain functions loads no table library.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.artifact import ArtifactRef
from filiera.core.broker import BrokerAddress
from filiera.core.chunks import TABLE_CODEC, Chunk, read_chunks
from filiera.core.files import FILES_CODEC
from filiera.core.markup import Markup
from filiera.core.parts import PARTS_CODEC, read_parts
from filiera.errors import CodecError, ProjectError, did_you_mean
from filiera.ports import BlobStore, Codec, CodeHistory, MessageSource, MetadataStore, PredictionLog, SourceReader

if TYPE_CHECKING:
    from filiera.core.document import Document
    from filiera.core.report import Html

CODEC_GROUP = "filiera.codecs"
"""Entry points: the name is the top-level module of the types served, the value ``module:Class`` of a Codec."""
SOURCE_GROUP = "filiera.sources"
"""Entry points: the name is the ``type`` of a catalog entry, the value ``module:Class`` of a SourceReader."""
BROKER_GROUP = "filiera.brokers"
"""Entry points: the name is the scheme of an address, the value ``module:Class`` of a MessageSource."""

_PLAIN = "filiera.adapters.codecs.plain_values:PlainCodec"
_BYTES = "filiera.adapters.codecs.plain_values:BytesCodec"
_CODECS: Mapping[str, tuple[str, ...]] = {
    "builtins": (_BYTES,),
    "numpy": (
        "filiera.adapters.codecs.numpy_arrays:NumpyArrayCodec",
        "filiera.adapters.codecs.numpy_arrays:NumpyScalarCodec",
    ),
    "polars": (
        "filiera.adapters.codecs.polars_frames:PolarsFrameCodec",
        "filiera.adapters.codecs.polars_frames:PolarsSeriesCodec",
        "filiera.adapters.codecs.table_chunks:ChunkedTableCodec",
    ),
    "pandas": ("filiera.adapters.codecs.pandas_frames:PandasCodec",),
    "pyarrow": ("filiera.adapters.codecs.arrow_tables:ArrowCodec",),
    "duckdb": ("filiera.adapters.codecs.duckdb_relations:DuckDbCodec",),
    "_duckdb": ("filiera.adapters.codecs.duckdb_relations:DuckDbCodec",),
    "sklearn": ("filiera.adapters.codecs.sklearn_models:SkopsCodec",),
    "xgboost": ("filiera.adapters.codecs.boosters:XGBoostCodec",),
    "lightgbm": ("filiera.adapters.codecs.boosters:LightGBMCodec",),
    "onnx": ("filiera.adapters.codecs.onnx_models:OnnxCodec",),
    "torch": ("filiera.adapters.codecs.torch_modules:TorchCodec",),
    "matplotlib": ("filiera.adapters.codecs.figures:SvgCodec",),
    "pathlib": ("filiera.adapters.codecs.files:FileCodec", "filiera.adapters.codecs.files:FolderCodec"),
    "filiera": (
        "filiera.adapters.codecs.reports:HtmlCodec",
        "filiera.adapters.codecs.reports:MarkdownCodec",
        "filiera.adapters.codecs.figures:SvgCodec",
        "filiera.adapters.codecs.file_tables:FilesCodec",
        "filiera.adapters.codecs.evaluations:EvaluationCodec",
    ),
}
_SOURCES: Mapping[str, str] = {
    "csv": "filiera.adapters.sources.csv_file:CsvSource",
    "parquet": "filiera.adapters.sources.columnar_file:ParquetSource",
    "arrow": "filiera.adapters.sources.columnar_file:ArrowSource",
    "jsonl": "filiera.adapters.sources.jsonl_file:JsonLinesSource",
    "files": "filiera.adapters.sources.files:FilesSource",
    "images": "filiera.adapters.sources.images:ImagesSource",
    "xml": "filiera.adapters.sources.xml_file:XmlSource",
    "sql": "filiera.adapters.sql.source:SqlSource",
    "kedro": "filiera.adapters.sources.kedro_dataset:KedroSource",
}
_BROKERS: Mapping[str, str] = {
    "redis": "filiera.adapters.brokers.redis_stream:RedisStream",
    "rediss": "filiera.adapters.brokers.redis_stream:RedisStream",
    "amqp": "filiera.adapters.brokers.amqp_queue:AmqpQueue",
    "amqps": "filiera.adapters.brokers.amqp_queue:AmqpQueue",
    "kafka": "filiera.adapters.brokers.kafka_topic:KafkaTopic",
    "kafkas": "filiera.adapters.brokers.kafka_topic:KafkaTopic",
}


@functools.cache
def _load(address: str) -> Any:
    return _named(address)()


def _named(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def _entry_points(group: str) -> Mapping[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)}


def find_codec(value: object) -> Codec:
    """Return the codec that stores values of this type; the one of plain values, which refuses with advice, if none."""
    kind: Any = type(value)
    for address in _codecs_for(kind):
        codec: Codec = _load(address)
        if codec.handles(value):
            return codec
    plain: Codec = _load(_PLAIN)
    return plain


@functools.lru_cache(maxsize=512)
def _codecs_for(kind: Any) -> tuple[str, ...]:
    roots = dict.fromkeys(cls.__module__.partition(".")[0] for cls in kind.__mro__)
    ours = [address for root in roots for address in _CODECS.get(root, ())]
    if kind.__module__ == "builtins":
        return (*ours, _PLAIN)
    theirs = [_entry_points(CODEC_GROUP)[root] for root in roots if root in _entry_points(CODEC_GROUP)]
    return (*theirs, *ours, _PLAIN)


@functools.cache
def codec_named(name: str) -> Codec:
    """Return the codec with this name and version. Raises CodecError when it is not installed."""
    for address in _all_codecs():
        codec: Codec = _load(address)
        if codec.name == name:
            return codec
    raise CodecError(
        f"There is no codec {name!r}.",
        why="The value was stored by a plug-in that is not installed here, or by another version of Filiera.",
        do="Install that plug-in.",
    )


def _all_codecs() -> Iterator[str]:
    yield _PLAIN
    yield from dict.fromkeys(address for addresses in _CODECS.values() for address in addresses)
    yield from _entry_points(CODEC_GROUP).values()


def has_parts(codec: str) -> bool:
    """Tell whether artifacts of a codec are manifests that name further blobs."""
    return codec in ("file/1", "folder/1", FILES_CODEC, TABLE_CODEC, PARTS_CODEC)


def blobs_of(ref: ArtifactRef, read: Callable[[str], bytes]) -> Iterator[str]:
    """Yield the digest of every blob that an artifact is made of: its own, its files' or items', and those of theirs.

    Args:
        ref: An artifact; a small one that is in its record is no blob itself.
        read: Returns the bytes of a blob, such as ``BlobStore.get``; asked for manifests only.

    Raises:
        CodecError: A manifest is not one of ours.
        StoreError: Whatever *read* raises.
    """
    if ref.inline is None:
        yield ref.digest
    if not has_parts(ref.codec):
        return
    manifest = ref.inline if ref.inline is not None else read(ref.digest)
    if ref.codec == TABLE_CODEC:
        yield from (chunk.digest for chunk in chunks_of(ref, manifest))
        return
    if ref.codec == FILES_CODEC:
        from filiera.adapters.codecs import file_tables

        yield from file_tables.children(manifest)
        return
    if ref.codec != PARTS_CODEC:
        from filiera.adapters.codecs.files import children

        yield from children(manifest)
        return
    try:
        parts = read_parts(manifest)[1]
    except ValueError as error:
        raise CodecError(f"Artifact {ref.short} is not a list.", why=str(error), do="filiera doctor") from error
    for part in parts:
        yield from blobs_of(part, read)


def chunks_of(ref: ArtifactRef, manifest: bytes) -> tuple[Chunk, ...]:
    """Return the files that a published table is made of, from its bytes. Raises CodecError."""
    try:
        return read_chunks(manifest)
    except ValueError as error:
        raise CodecError(f"Artifact {ref.short} is not a table.", why=str(error), do="filiera doctor") from error


def size_of(ref: ArtifactRef, manifest: bytes) -> int:
    """Return how many bytes the files of a published table have, or those that are the value. Raises CodecError."""
    if ref.codec == FILES_CODEC:
        from filiera.adapters.codecs import file_tables

        return file_tables.size_of(manifest)
    return sum(chunk.size_bytes for chunk in chunks_of(ref, manifest))


def source_reader(type_name: str) -> SourceReader:
    """Return the reader for one type of catalog entry. Raises ProjectError with the types there are."""
    address = _SOURCES.get(type_name) or _entry_points(SOURCE_GROUP).get(type_name)
    if address is None:
        known = sorted({*_SOURCES, *_entry_points(SOURCE_GROUP)})
        raise ProjectError(
            f"There is no source type {type_name!r}.",
            why=f"There are: {', '.join(known)}.{did_you_mean(type_name, known)}",
            do="Correct type in the catalog of filiera.toml, or install the plug-in that has it.",
        )
    reader: SourceReader = _load(address)
    return reader


def message_source(address: BrokerAddress, group: str, member: str) -> MessageSource:
    """Return what hands out messages of a broker to a member of a group; it is not connected yet.

    Raises:
        ProjectError: There is no such kind of broker, its library is missing, or the address cannot be used.
    """
    found = _BROKERS.get(address.scheme) or _entry_points(BROKER_GROUP).get(address.scheme)
    if found is None:
        known = sorted({*_BROKERS, *_entry_points(BROKER_GROUP)})
        raise ProjectError(
            f"There is no broker {address.scheme!r}, which messages of {address.shown} are to come from.",
            why=f"There are: {', '.join(known)}.{did_you_mean(address.scheme, known)}",
            do="Correct messages in filiera.toml, or install the plug-in that has it.",
        )
    source: MessageSource = _named(found)(address, group, member)
    return source


def markup_of(file: Path) -> Markup:
    """Return what is in an XML file. Raises SourceError when it is none."""
    found: Markup = _load(_SOURCES["xml"]).look(file)
    return found


def metadata_store(store: Path) -> MetadataStore:
    """Return the records of the store in a folder."""
    from filiera.adapters.sqlite_records import shared_records

    return shared_records(store / "records.sqlite")


def blob_store(store: Path) -> BlobStore:
    """Return the blobs of the store in a folder."""
    from filiera.adapters.folder_blobs import FolderBlobs

    return FolderBlobs(store / "blobs")


def prediction_log(store: Path, name: str) -> PredictionLog:
    """Return the log of what services answer for a model, proven to be writable; ``serving/predictions.py`` reads all.

    Raises:
        StoreError: It cannot be written.
    """
    from filiera.adapters.prediction_segments import SegmentLog

    log = SegmentLog(store / "predictions" / name)
    log.open()
    return log


def feedback_log(store: Path, model: str) -> PredictionLog:
    """Return the log of what services of one model were told of its predictions later."""
    from filiera.adapters.prediction_segments import SegmentLog

    return SegmentLog(store / "feedback" / model)


def code_history(root: Path, store: Path) -> CodeHistory:
    """Return what version control knows of a project's code, to which its store does not belong."""
    from filiera.adapters.git_history import GitHistory

    return GitHistory(root, leave_out=(store,))


def document_html(document: Document) -> Html:
    """Return a document as a page."""
    from filiera.adapters import markdown_page

    return markdown_page.document_html(document)
