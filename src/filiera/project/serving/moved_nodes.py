"""Nodes of serving graphs that run elsewhere, as ``[graph.NAME]`` says: in a process of their own, or at an address."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from filiera.core.graph_names import Names
from filiera.core.graphs import Leaf, Node, ServingGraph, leaves, parts_of
from filiera.core.products import ProductRef
from filiera.core.value import dataclass
from filiera.errors import ProjectError, UsageError, did_you_mean
from filiera.project.config import FILE_NAME
from filiera.project.serving.functions import find_served, is_address
from filiera.project.serving.graphs import graph_of, member_of
from filiera.project.serving.processes import start_process
from filiera.project.serving.token import token_given

if TYPE_CHECKING:
    from filiera.core.signature import Signature
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.graph_predictor import GraphPredictor, Member

PROCESS = "process"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A graph with the versions of its models, and where another process finds it."""

    graph: ServingGraph
    versions: Mapping[Leaf, Version]
    address: str  #: ``NAME@NUMBER`` of a service, or ``module:variable``


def placed_service(project: Project, service: Version) -> Placed:
    """Return the graph of a version of a service. Raises as ``graph_of``."""
    graph, versions = graph_of(project, service)
    return Placed(graph=graph, versions=versions, address=service.ref)


def served_elsewhere(project: Project, placed: Placed) -> tuple[GraphPredictor, Signature]:
    """Return what answers for a graph, with nodes where the configuration says that they are, and its signature.

    Raises:
        GraphError: Its parts do not fit.
        ProjectError: The configuration is wrong, a process does not come up, or a service there has another version.
        CodecError, BlobMissing, BlobCorrupted: A version cannot be loaded.
    """
    return _predictor(project, placed, moved(project, placed.graph), placed.graph.node)


def shown(project: Project, placed: Placed) -> tuple[str, ...]:
    """Return for people which versions are asked, and where those are that run elsewhere. Raises ProjectError."""
    names, table = Names(placed.graph.node), moved(project, placed.graph)
    found = []
    for leaf, version in placed.versions.items():
        place = table.get(names.of(leaf), "")
        found.append(f"{version.ref}, {_told(place)}" if place else version.ref)
    models = {names.of(leaf) for leaf in placed.versions}
    return (*found, *(f"{name}, {_told(place)}" for name, place in table.items() if name not in models))


def moved(project: Project, graph: ServingGraph) -> dict[str, str]:
    """Return where nodes run that do not run in the graph's process, by name. Raises ProjectError."""
    where = f"[graph.{graph.name}] of {project.config.root / FILE_NAME}"
    table: Any = project.config.graphs.get(graph.name, {})
    if not isinstance(table, dict) or not all(isinstance(place, str) for place in table.values()):
        raise ProjectError(
            f"{where} must say where each node runs.",
            do='Write NODE = "process", or MODEL = "http://127.0.0.1:8101".',
        )
    names = Names(graph.node)
    found = {}
    for name, place in table.items():
        node = names.try_node(name)
        if node is None:
            known = names.keys()
            why = f"It has: {', '.join(known)}.{did_you_mean(name, known)}"
            raise ProjectError(f"{where} names {name!r}, which the graph does not have.", why=why)
        if place != PROCESS and not isinstance(node, Leaf):
            raise ProjectError(
                f"{where} gives an address for {name!r}, which is no model.",
                why="Services answer for models; any node can have a process.",
                do=f'Write {name} = "process".',
            )
        found[names.of(node)] = place
    return found


def predictor_of_node(project: Project, words: Mapping[str, Any]) -> tuple[GraphPredictor, Signature]:
    """Return what answers for a node in its own process, as ``_launch`` has said. Raises as ``served_elsewhere``."""
    address = words["address"]
    found: object = find_served(project.config.root, address) if is_address(address) else None
    if found is None:
        found, _ = graph_of(project, project.versions.resolve("service", ProductRef.parse(address)))
    node = Names(found.node).try_node(words["node"]) if isinstance(found, ServingGraph) else None
    if node is None or not isinstance(found, ServingGraph):
        raise UsageError(f"{address} has no node {words['node']!r} any more.")
    versions = {
        leaf: project.versions.resolve("model", ProductRef.parse(words["versions"][str(leaf.ref)]))
        for leaf in leaves(found.node)
    }
    table = {name: place for name, place in words["moved"].items() if name != words["node"]}
    return _predictor(project, Placed(graph=found, versions=versions, address=address), table, node)


def _predictor(
    project: Project, placed: Placed, table: Mapping[str, str], node: Node
) -> tuple[GraphPredictor, Signature]:
    from filiera.serving.graph_build import build
    from filiera.serving.node_process import NodeProcess

    names = Names(placed.graph.node)
    here = set(_needed_here(node, names, table))
    outermost = dict.fromkeys(_outermost(node, names, table))
    processes = {
        name: NodeProcess(name, _launch(project, placed, name, table)) for name in outermost if table[name] == PROCESS
    }
    members: dict[Any, Member] = {}
    elsewhere: dict[str, Any] = dict(processes)
    try:
        for process in processes.values():
            process.start()
        for leaf in leaves(node):
            version, name = placed.versions[leaf], names.of(leaf)
            if name in here:
                members[leaf.ref] = member_of(project, version)
                continue
            members[leaf.ref] = _elsewhere(project, version, table[name] if name in outermost else PROCESS)
            elsewhere.setdefault(name, members[leaf.ref].predictor)
        predictor, signature = build(placed.graph, lambda leaf: members[leaf.ref], moved=elsewhere, node=node)
    except BaseException:
        for process in processes.values():
            process.stop()
        raise
    predictor.processes = tuple(processes.values())
    return predictor, signature


def _outermost(node: Node, names: Names, table: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of moved nodes that lie in no other moved one."""
    if names.of(node) in table:
        yield names.of(node)
        return
    for part in parts_of(node):
        yield from _outermost(part, names, table)


def _needed_here(node: Node, names: Names, table: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of models that some node in this process asks in this process."""
    if names.of(node) in table:
        return
    if isinstance(node, Leaf):
        yield names.of(node)
    for part in parts_of(node):
        yield from _needed_here(part, names, table)


def _elsewhere(project: Project, version: Version, place: str) -> Member:
    from filiera.serving.graph_predictor import Member
    from filiera.serving.remote_model import AbsentModel, RemoteModel

    signature = project.value(version.attachments["signature"])
    predictor: Any = AbsentModel()
    if place != PROCESS:
        token = token_given()
        predictor = RemoteModel(place, version.name, version=version.number, signature=signature, token=token)
        predictor.require()
    return Member(name=version.name, signature=signature, predictor=predictor, version=version.number)


def _launch(
    project: Project, placed: Placed, node: str, table: Mapping[str, str]
) -> Callable[[socket.socket], subprocess.Popen[bytes]]:
    config = project.config
    words = {
        "root": str(config.root),
        "profile": config.profile.name,
        "address": placed.address,
        "versions": {str(leaf.ref): version.ref for leaf, version in placed.versions.items()},
        "node": node,
        "moved": dict(table),
    }

    def launch(theirs: socket.socket) -> subprocess.Popen[bytes]:
        told, inherits = {**words, "socket": theirs.fileno()}, (theirs.fileno(),)
        return start_process("node_worker", told, inherits=inherits, folder=config.root, stdout=sys.stderr.fileno())

    return launch


def _told(place: str) -> str:
    return "in a process of its own" if place == PROCESS else f"at {place}"
