"""From a traced graph to one that can run: inputs looked up, checks, gates and publishing added.

The built-in steps are imported where they are added: a pipeline that publishes nothing starts without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from filiera.core.chunks import TABLE_CODEC
from filiera.core.files import Files
from filiera.core.graph import Choice, Future, Given, Graph, Known, Node, OutputRef, Publication
from filiera.core.parameters import bind
from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset, Model, ProductKind, ProductRef, Service, Source
from filiera.core.types import show
from filiera.core.value import dataclass
from filiera.errors import GraphError, UsageError
from filiera.project.beside import BesideLookups, find_beside
from filiera.project.partitioned import partition_parameter
from filiera.project.rivals import Rivals
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.core.artifact import ArtifactRef
    from filiera.core.check import Check
    from filiera.core.gate import Waiver

_TABLES = ("DataFrame", "LazyFrame", "Table")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookups:
    """How inputs are found."""

    version: Callable[[ProductKind, ProductRef], Version]  #: kind, reference → version; raises UsageError
    rivals: Rivals  #: what a candidate is compared with
    waivers: Callable[[Model], tuple[Waiver, ...]]  #: gates of the model that it need not pass today
    source: Callable[[str], tuple[dict[str, Any], str]]  #: name → checked catalog entry and fingerprint
    beside: BesideLookups  #: what checks look at
    to_grow: Callable[[str, dict[str, Any]], Mapping[str, Known]]  #: name and entry → what to go on from, if anything


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembled:
    """A graph that can run, and where its inputs come from."""

    graph: Graph
    inputs: Mapping[str, str]  #: parameter → "flows@1", or "raw_flows" with the start of its fingerprint


def assemble(pipeline: Pipeline, values: Mapping[str, Any], lookups: Lookups) -> Assembled:
    """Return the graph of *pipeline* for these parameters, ready to run.

    Raises:
        UsageError: A parameter or version does not exist.
        GraphError: Steps are wired wrongly, or what the function returns cannot be published.
        SourceError: A source is missing.
    """
    traced = pipeline.trace(values)
    found: dict[tuple[str, str], Future] = {}
    collected: list[Node] = []
    origins: dict[str, str] = {}
    promised: list[Known] = []
    signatures: dict[str, Known] = {}
    sensitive: dict[str, bool] = {}
    for given in traced.givens():
        origin = given.origin
        if isinstance(origin, Source):
            node, shown = _collect(origin, lookups)
            collected.append(node)
            found[given.place] = OutputRef(node.name, 0, given.type)
        else:
            version = lookups.version(origin.kind, origin.ref)
            shown = version.ref
            found[given.place] = _content(version, origin)
            if "promised" in version.attachments:
                promised.append(Known(version.attachments["promised"], f"checks of {version.ref}"))
            if "signature" in version.attachments:
                signatures[version.ref] = Known(version.attachments["signature"], f"signature of {version.ref}")
            sensitive |= dict.fromkeys(version.description.get("sensitive", ()), False)
        before = origins.get(given.parameter)
        origins[given.parameter] = f"{before}, {shown}" if before else shown

    def substitute(future: Future) -> Future:
        return found[future.place] if isinstance(future, Given) else future

    graph = traced.replace_futures(substitute, before=tuple({node.name: node for node in collected}.values()))
    if isinstance(pipeline.publishes, Service):
        from filiera.project.assemble_service import with_service

        graph = with_service(graph, pipeline.publishes, signatures)
    if isinstance(pipeline.publishes, Dataset):
        kept = _kept(pipeline, values, sensitive)
        graph, beside = _with_dataset(graph, pipeline.publishes, lookups, kept)
        origins |= beside
    elif isinstance(pipeline.publishes, Model):
        graph = _with_model(graph, pipeline, lookups, {"promised": promised, "sensitive": tuple(sensitive)})
    return Assembled(graph=_with_origins(graph, collected), inputs=origins)


def _with_model(graph: Graph, pipeline: Pipeline, lookups: Lookups, kept: Mapping[str, Any]) -> Graph:
    from filiera.project.assemble_model import with_model
    from filiera.project.own_words import own_words

    assert isinstance(pipeline.publishes, Model)
    words = own_words(pipeline)
    return with_model(graph, pipeline.publishes, lookups, {**kept, **({"about": words} if words else {})})


def _content(version: Version, origin: Dataset | Model) -> Known:
    if not isinstance(origin, Dataset) or not origin.part:
        return Known(version.artifact, version.ref)
    if origin.part not in version.attachments:
        raise UsageError(
            f"No rows of {version.ref} were set aside.",
            why="None of its checks has the severity quarantine.",
            do=f"Take {version.ref} itself, or let its checks set rows aside.",
        )
    return Known(version.attachments[origin.part], f"{origin.part} of {version.ref}")


def _collect(source: Source, lookups: Lookups) -> tuple[Node, str]:
    from filiera.project import builtin
    from filiera.project.collecting import STEP

    entry, fingerprint = lookups.source(source.name)
    arguments = {"entry": entry, "fingerprint": fingerprint, **lookups.to_grow(source.name, entry)}
    node = Node(name=f"{STEP}{source.name}", step=builtin.collect, stage="collect", arguments=arguments)
    return node, f"{source.name} ({fingerprint[:12]})"


def _with_origins(graph: Graph, collected: list[Node]) -> Graph:
    """Attach to what is published what is recorded of the sources it is made from."""
    if graph.publication is None or not collected:
        return graph
    from filiera.core.collected import ATTACHED
    from filiera.project.collecting import STEP

    origins = {f"{ATTACHED}{node.name.removeprefix(STEP)}": OutputRef(node.name, 1) for node in collected}
    attachments = {**graph.publication.attachments, **origins}
    return replace(graph, publication=replace(graph.publication, attachments=attachments))


def _kept(pipeline: Pipeline, values: Mapping[str, Any], sensitive: Mapping[str, bool]) -> dict[str, Any]:
    """Return what the publishing step is told to keep with a dataset's version: its keys, partitions, shy columns."""
    assert isinstance(pipeline.publishes, Dataset)
    kept: dict[str, Any] = {"keys": pipeline.publishes.keys} if pipeline.publishes.keys else {}
    parameter = partition_parameter(pipeline)
    if parameter is not None:
        partitions = bind(pipeline.parameters, values, pipeline.name)[parameter.name]
        kept["partitions"] = tuple(str(value) for value in partitions)
    if sensitive or pipeline.publishes.sensitive:
        kept["sensitive"] = {**sensitive, **dict.fromkeys(pipeline.publishes.sensitive, True)}
    return kept


def _with_dataset(
    graph: Graph, dataset: Dataset, lookups: Lookups, kept: Mapping[str, Any]
) -> tuple[Graph, dict[str, str]]:
    from filiera.project import builtin

    result, aside = _table_and_aside(graph, dataset)
    checks = _checks_of(dataset)
    has_files = result.type is Files
    sets_aside = has_files or aside is not None or any(check.severity == "quarantine" for check in checks)
    arguments, origins = find_beside(checks, dataset.ref.name, lookups.beside)
    if aside is not None:
        arguments = {**arguments, "aside": aside}
    if "sensitive" in kept:
        arguments = {**arguments, "sensitive": kept["sensitive"]}
    checking = builtin.validate_with_quarantine if sets_aside else builtin.validate
    validate = Node(
        name="validate",
        step=builtin.validate_files if has_files else checking,
        stage="validate",
        arguments={"table": result, "checks": checks, **arguments},
    )
    report = OutputRef("validate", 0)
    publish = Node(
        name="publish",
        step=builtin.publish_files if has_files else builtin.publish_dataset,
        stage="publish",
        arguments={
            "table": OutputRef("validate", 2) if sets_aside else result,
            "report": report,
            **kept,
        },
        codecs=("" if has_files else TABLE_CODEC, ""),
    )
    publication = Publication(
        kind="dataset",
        name=dataset.ref.name,
        artifact=OutputRef("publish", 0),
        description=OutputRef("publish", 1),
        attachments={
            "report": report,
            "promised": OutputRef("validate", 1),
            **({"quarantine": OutputRef("validate", 3)} if sets_aside else {}),
        },
    )
    nodes = (*free(graph, "validate", "publish"), validate, publish)
    return replace(graph, nodes=nodes, publication=publication), origins


def _table_and_aside(graph: Graph, dataset: Dataset) -> tuple[OutputRef, OutputRef | None]:
    """Return what is to be published, and what the pipeline's steps have set aside, if it returns that too."""
    match graph.result:
        case OutputRef() as table:
            return table, None
        case (OutputRef() as table, OutputRef() as aside) if table.type is not Files and is_table(aside.type):
            return table, aside
    raise GraphError(
        f"Pipeline {graph.pipeline!r} publishes {dataset!r} but returns {what(graph.result)}.",
        do="Return the table that the last step returned, or with it the rows that a step has set aside.",
    )


def _checks_of(dataset: Dataset) -> tuple[Check, ...]:
    if not dataset.keys:
        return dataset.checks
    from filiera.core.check import Check

    promised = (Check.not_null(*dataset.keys), Check.unique(*dataset.keys))
    return (*dataset.checks, *(check for check in promised if check not in dataset.checks))


def is_table(hint: Any) -> bool:
    """Tell whether a parameter with this annotation takes a table."""
    return getattr(hint, "__name__", "") in _TABLES


def free(graph: Graph, *names: str) -> tuple[Node, ...]:
    """Return the nodes of a graph that leaves *names* to the steps that are added. Raises GraphError."""
    for node in graph.nodes:
        if node.name in names:
            raise GraphError(
                f"Pipeline {graph.pipeline!r} has a step called {node.name!r}.",
                why="The step that is added when a product is published has that name.",
                do="Rename the function.",
            )
    return graph.nodes


def what(result: Any) -> str:
    """Return what a pipeline function returned, for people."""
    if result is None:
        return "nothing"
    if isinstance(result, Known):
        return f"its own input {result.label}"
    if isinstance(result, OutputRef):
        return f"the {show(result.type)} of {result.label}"
    if isinstance(result, Choice):
        return f"{result.label}, which no single step returns: let one more step take and return it"
    if isinstance(result, tuple):
        return f"({', '.join(what(item) for item in result)})"
    return f"the value {result!r}"


def artifact_of(ref: OutputRef, outputs: Mapping[str, tuple[ArtifactRef, ...]]) -> ArtifactRef:
    """Return what an output of a finished run is."""
    return outputs[ref.node][ref.index]
