"""What ``filiera serve`` is asked to serve: models by version or alias, functions by address or name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.core.graphs import ServingGraph
from filiera.core.products import CHAMPION, ProductRef
from filiera.core.value import dataclass
from filiera.errors import ProjectError, UsageError
from filiera.ports import PredictionLog
from filiera.project import plugins
from filiera.project.index import find_service
from filiera.project.project import Project
from filiera.project.serving.contracts import contract_of
from filiera.project.serving.functions import FoundFunction, find_served, is_address
from filiera.project.serving.given import given_to
from filiera.project.serving.node_logs import NodeLogs
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.project.serving.moved_nodes import Placed
    from filiera.serving.follower import Desk
    from filiera.serving.mount import Mount


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One thing to be served; nothing of it is loaded yet."""

    kind: str  #: ``models`` or ``functions``
    name: str
    shown: str  #: for people: with its version
    follows: str = ""  #: the alias that it follows
    runs_on: str = ""  #: which runtime answers, and why
    asks: tuple[str, ...] = ()  #: of a graph the versions that it asks
    calls: tuple[str, ...]  #: paths that take requests
    log: PredictionLog | None
    mount: Callable[[], Mount]


def offers_of(
    texts: Sequence[str],
    *,
    profile: str | None,
    tell: Callable[[str], None],
    cache_s: float = 0.0,
    folder: Path | None = None,
) -> list[Offer]:
    """Return what *texts* name, in order; their logs are open.

    Functions given by address are served without a project, too, from the folder; then nothing is logged.

    Args:
        texts: ``NAME@VERSION``, ``NAME@ALIAS``, ``NAME`` (a model's champion, else a function marked with
            ``@service``), or ``module:function``.
        profile: The profile of the project, if not its usual one.
        tell: Takes a line when a service that follows an alias has something to say.
        cache_s: How long answers of models are kept for who asks the same; 0: not at all.
        folder: In the project; by default the current one.

    Raises:
        UsageError: One of them is not there, or two have one name.
        ProjectError: There is no project, or its code cannot be used.
    """
    try:
        project = Project.open(folder, profile=profile)
    except ProjectError:
        if not all(map(is_address, texts)) or profile is not None or _has_file(folder):
            raise
        root = (folder or Path.cwd()).resolve()
        return _distinct([_without_project(root, text) for text in texts])
    named = _distinct([_offer(project, text, tell, cache_s) for text in texts])
    return [*named, *_conversions(project, texts, named, tell)]


def service_name(offers: Sequence[Offer]) -> str:
    """Return what a service that offers these is called where it has no name of its own."""
    return ",".join(offer.name for offer in offers)


def find_offered(project: Project, text: str) -> Version | FoundFunction | ServingGraph:
    """Return what *text* names; see ``offers_of``. A version first: to serve one needs none of the project's code.

    Raises:
        UsageError: It names nothing.
        ProjectError: The project's code cannot be used.
    """
    if is_address(text):
        return find_served(project.config.root, text)
    try:
        return project.versions.resolve_served(ProductRef.parse(text, default=CHAMPION))
    except UsageError:
        address = "" if "@" in text else find_service(project.config, text)
        if not address:
            raise
        return find_served(project.config.root, address)


def _offer(project: Project, text: str, tell: Callable[[str], None], cache_s: float) -> Offer:
    found = find_offered(project, text)
    if isinstance(found, Version):
        return _of_model(project, found, ProductRef.parse(text, default=CHAMPION), tell, cache_s)
    if isinstance(found, FoundFunction):
        return _of_function(found, project)
    from filiera.project.serving.graphs import versions_of
    from filiera.project.serving.moved_nodes import Placed

    address = text if is_address(text) else find_service(project.config, text)
    placed = Placed(graph=found, versions=versions_of(project, found), address=address)
    return _of_graph(project, placed, tell, cache_s)


def _without_project(root: Path, address: str) -> Offer:
    found = find_served(root, address)
    if isinstance(found, FoundFunction):
        return _of_function(found, None)
    raise UsageError(f"The graph {found.name!r} can be served in a project only.", why="Its models are there.")


def _of_graph(project: Project, placed: Placed, tell: Callable[[str], None], cache_s: float) -> Offer:
    from filiera.project.serving.graph_desk import GraphDesk
    from filiera.project.serving.moved_nodes import shown

    graph = placed.graph
    asks, log = shown(project, placed), NodeLogs(project.store, graph.name)
    aliases = [str(leaf.ref) for leaf in placed.versions if leaf.ref.number is None]
    desk = GraphDesk(project, placed, log=log)
    return Offer(
        kind="models",
        name=graph.name,
        shown=f"{graph.name}, which is not published",
        follows=", ".join(aliases),
        asks=asks,
        calls=(f"/v1/models/{graph.name}:predict",),
        log=log,
        mount=lambda: _mount(project, desk, 1, log, tell=tell if aliases else None, cache_s=cache_s),
    )


def _of_function(found: FoundFunction, project: Project | None) -> Offer:
    from filiera.serving.function_mount import FunctionMount
    from filiera.serving.keeping import Keeping

    log = keeping = given = None
    if project is not None:
        log = plugins.prediction_log(project.store, f"functions/{found.name}")
        keeping = Keeping(log, project.config.predictions)
        given = given_to(project, found)
    mount = FunctionMount(
        found.function,
        found.options,
        version=found.version if found.options.version or not given else given.version_with(found.version),
        keeping=keeping,
        value_of=given.value if given is not None else None,
    )
    return Offer(
        kind=mount.kind,
        name=mount.name,
        shown=f"{mount.name} {mount.version}",
        asks=given.refs if given is not None else (),
        calls=tuple(path for path, route in mount.routes().items() if route.counts),
        log=log,
        mount=lambda: mount,
    )


def _conversions(
    project: Project, texts: Sequence[str], named: Sequence[Offer], tell: Callable[[str], None]
) -> Iterator[Offer]:
    """Yield offers to applications of majors before, of versions that convert for them, unless such a one is served."""
    taken = {offer.name for offer in named}
    for text in texts:
        found = find_offered(project, text)
        if not isinstance(found, Version) or found.kind != "model":
            continue
        if project.value(found.attachments["signature"]).conversion is not None:
            offer = _converting(project, found, ProductRef.parse(text, default=CHAMPION), tell)
            if offer.name not in taken:
                yield offer


def _converting(project: Project, version: Version, ref: ProductRef, tell: Callable[[str], None]) -> Offer:
    from filiera.project.serving.conversions import ConvertingDesk, contract_before

    before = contract_before(project, version)
    log = plugins.prediction_log(project.store, f"converted/{version.name}")
    desk, tell_moves = ConvertingDesk(project, ref, log=log), tell if ref.number is None else None
    return Offer(
        kind="models",
        name=before.address,
        shown=f"{before.address} by conversion from it",
        calls=(before.predict_path,),
        log=log,
        mount=lambda: _mount(project, desk, version.number, log, tell=tell_moves),
    )


def _of_model(
    project: Project, version: Version, ref: ProductRef, tell: Callable[[str], None], cache_s: float
) -> Offer:
    from filiera.project.serving.endpoints import AliasDesk
    from filiera.project.serving.runtimes import runtime_note

    contract = contract_of(project, version)
    asks: tuple[str, ...] = ()
    log: PredictionLog
    if version.kind == "service":
        from filiera.project.serving.moved_nodes import placed_service, shown

        asks = shown(project, placed_service(project, version))
        log = NodeLogs(project.store, version.name)
    else:
        log = plugins.prediction_log(project.store, version.name)
    desk, told = AliasDesk(project, ref, log=log), plugins.feedback_log(project.store, version.name)
    tell_moves = tell if ref.number is None else None
    return Offer(
        kind="models",
        name=contract.address,
        shown=version.ref,
        follows=str(ref) if ref.number is None else "",
        asks=asks,
        runs_on=runtime_note(project, version),
        calls=(contract.predict_path,),
        log=log,
        mount=lambda: _mount(project, desk, version.number, log, tell=tell_moves, told=told, cache_s=cache_s),
    )


def _mount(
    project: Project,
    desk: Desk,
    first: int,
    log: PredictionLog,
    *,
    tell: Callable[[str], None] | None,
    told: PredictionLog | None = None,
    cache_s: float = 0.0,
) -> Mount:
    """Return what answers at first with the version *first*, and follows the desk where somebody is to *tell* of it."""
    from filiera.serving.endpoint import Endpoint
    from filiera.serving.feedback import Feedback
    from filiera.serving.follower import Follower
    from filiera.serving.keeping import Keeping
    from filiera.serving.model_mount import ModelMount

    endpoint = Endpoint(desk.load(first))
    return ModelMount(
        endpoint,
        follower=Follower(endpoint, desk, tell=tell) if tell is not None else None,
        feedback=Feedback(lambda: endpoint.stable.contract, told) if told is not None else None,
        keeping=Keeping(log, project.config.predictions),
        cache_s=cache_s,
    )


def _distinct(offers: list[Offer]) -> list[Offer]:
    known: set[tuple[str, str]] = set()
    for offer in offers:
        if (offer.kind, offer.name) in known:
            raise UsageError(f"{offer.name} is named twice.", why="A service has one path for each name.")
        known.add((offer.kind, offer.name))
    return offers


def _has_file(folder: Path | None) -> bool:
    from filiera.project.config import find_root

    try:
        find_root(folder)
    except ProjectError:
        return False
    return True
