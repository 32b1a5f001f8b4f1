"""A pipeline as a graph: nodes, what flows between them, and what is published in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, replace
from typing import Any, Literal, NoReturn

from filiera.core.artifact import ArtifactRef
from filiera.core.products import Dataset, Model, ProductKind, Source
from filiera.core.stages import Kind, Stage
from filiera.core.step import Step
from filiera.core.value import dataclass
from filiera.errors import GraphError

OnFailure = Literal["continue", "finish", "stop"]
"""What a run does when a step has failed: all that does not depend on it; what runs already; nothing, not even that."""


def _unknown_yet(name: str) -> Callable[..., NoReturn]:
    def refuse(self: Future, *_: Any, **__: Any) -> NoReturn:
        raise GraphError(
            f"The pipeline uses the value of {self.label} while the graph is built ({name}).",
            why="A step's output is known only when the run has come that far.",
            do="Move the expression into a step, or use a parameter of the pipeline.",
        )

    return refuse


_HOLDERS = frozenset({list, tuple, dict})
"""What futures may lie in."""


class Future:
    """Stands, while a pipeline is traced, for a value that a run will have."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Return what it stands for, for people."""
        raise NotImplementedError

    __bool__ = _unknown_yet("truth")
    __len__ = _unknown_yet("len")
    __str__ = _unknown_yet("as text; only repr() shows what it stands for")
    __iter__ = _unknown_yet("iteration or unpacking; annotate the step as '-> tuple[A, B]' for several outputs")
    __getitem__ = _unknown_yet("[...]")
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _unknown_yet(
        "arithmetic"
    )
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __add__
    __neg__ = __pos__ = __abs__ = __invert__ = __int__ = __float__ = __index__ = __round__ = __add__
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _unknown_yet("logic")
    __lt__ = __le__ = __gt__ = __ge__ = _unknown_yet("comparison")
    __call__ = _unknown_yet("call")
    _refuse_comparison = _unknown_yet("comparison")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Future):
            self._refuse_comparison()
        return type(self) is type(other) and _compared(self) == _compared(other)

    def __hash__(self) -> int:
        return hash(_compared(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _unknown_yet(f".{name}")(self)


def _compared(future: Any) -> tuple[Any, ...]:
    if isinstance(future, Choice):
        return future.cases()
    return tuple([getattr(future, item.name) for item in fields(future) if item.compare])


@dataclass(frozen=True, slots=True, eq=False)
class OutputRef(Future):
    """Output number *index* of a node."""

    node: str
    index: int
    type: Any = field(default=Any, compare=False)

    @property
    def label(self) -> str:
        """Return the step's name."""
        return f"step {self.node!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Given(Future):
    """An input of the pipeline that is looked up before the run: a source, or a version of a product."""

    parameter: str
    origin: Source | Dataset | Model
    type: Any = field(default=Any, compare=False)

    @property
    def place(self) -> tuple[str, str]:
        """Return what tells it from others: a pipeline called twice within another gives one parameter two origins."""
        return self.parameter, repr(self.origin)

    @property
    def label(self) -> str:
        """Return the pipeline's parameter."""
        return f"parameter {self.parameter!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Known(Future):
    """A value already in the store: what a ``Given`` becomes once it is looked up."""

    artifact: ArtifactRef
    origin: str  #: for people, such as "flows@3"

    @property
    def label(self) -> str:
        """Return where it comes from."""
        return self.origin


@dataclass(frozen=True, slots=True, eq=False)
class Late(Future):
    """A value already in the store, but which one depends on what the run makes: looked up when *needs* are known."""

    needs: tuple[OutputRef, ...]
    find: Callable[[tuple[ArtifactRef, ...]], Known] = field(compare=False)

    @property
    def label(self) -> str:
        """Return what it waits for."""
        return f"what is looked up after {', '.join(need.node for need in self.needs)}"


@dataclass(frozen=True, slots=True, eq=False)
class Choice(Future):
    """One of two values, by what a step returns: what ``when`` gives."""

    condition: OutputRef
    then: Any  #: a future or a plain value
    otherwise: Any
    type: Any = field(default=Any, compare=False)

    @property
    def label(self) -> str:
        """Return what decides."""
        return f"what is chosen by {self.condition.label}"

    def cases(self) -> tuple[tuple[tuple[OutputRef, Any], ...], Any]:
        """Return each condition with the value if it is the first that is true, and the value if none is.

        A loop is a choice in a choice in a choice, as deep as it has rounds: too deep for recursion.
        """
        found: list[tuple[OutputRef, Any]] = []
        future: Any = self
        while isinstance(future, Choice):
            found.append((future.condition, future.then))
            future = future.otherwise
        return tuple(found), future


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One call of a step."""

    name: str  #: unique in the graph
    step: Step[Any, Any]
    stage: Stage
    arguments: Mapping[str, Any]  #: by parameter name; futures may lie inside lists, tuples and dictionaries
    codecs: tuple[str, ...] = ()  #: encoding per output where it is not the usual one of the type, else ""
    when: tuple[tuple[OutputRef, bool], ...] = ()  #: it is skipped unless each of these steps returned that
    each: tuple[str, ...] = ()  #: of a call by ``map``: the arguments that are lists, one call of the step per item
    crossed: bool = False  #: one call per combination of their items, the last one changing fastest

    upstream: tuple[str, ...] = field(init=False, repr=False, compare=False)  #: the nodes it waits for, each once

    def __post_init__(self) -> None:
        found: dict[str, None] = {}
        for value in self.arguments.values():
            kind = type(value)
            if kind is OutputRef:
                found[value.node] = None
            elif kind in _HOLDERS or isinstance(value, Future):
                for future in futures_in(value):
                    found.update([(ref.node, None) for ref in refs_of(future)])
        for condition, _ in self.when:
            found[condition.node] = None
        object.__setattr__(self, "upstream", tuple(found))

    def futures(self) -> Iterator[Future]:
        """Yield what the arguments wait for, in order, repeated where used twice."""
        for value in self.arguments.values():
            yield from futures_in(value)


def refs_of(future: Future) -> Iterator[OutputRef]:
    """Yield the outputs that decide what *future* is, among them those that are perhaps not needed."""
    for leaf in leaves_of(future):
        if isinstance(leaf, OutputRef):
            yield leaf
        elif isinstance(leaf, Late):
            yield from leaf.needs


def leaves_of(future: Future) -> Iterator[Future]:
    """Yield what *future* is made from: itself, or all that a choice depends on."""
    if not isinstance(future, Choice):
        yield future
        return
    cases, last = future.cases()
    for condition, value in cases:
        yield condition
        for inner in futures_in(value):
            yield from leaves_of(inner)
    for inner in futures_in(last):
        yield from leaves_of(inner)


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What becomes a product version when the run succeeds."""

    kind: ProductKind
    name: str
    artifact: OutputRef  #: the product itself
    description: OutputRef  #: a plain dictionary kept with the version
    attachments: Mapping[str, OutputRef] = field(default_factory=dict)  #: further artifacts kept with the version


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """All nodes of one pipeline in an order in which they can run.

    Raises:
        GraphError: Two nodes have one name, a node waits for one that is not there, or there is a cycle.
    """

    pipeline: str
    kind: Kind
    nodes: tuple[Node, ...]
    result: Any = None  #: what the pipeline function returned, with futures in it
    publication: Publication | None = None
    on_failure: OnFailure = "continue"
    timeout_s: float | None = None  #: a run that takes longer is cancelled

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", in_order(self.nodes))

    def givens(self) -> list[Given]:
        """Return every input that must be looked up before the run, each once."""
        futures = {id(future): future for node in self.nodes for future in node.futures()}
        leaves = [leaf for future in futures.values() for leaf in leaves_of(future)]
        return list({leaf.place: leaf for leaf in leaves if isinstance(leaf, Given)}.values())

    def replace_futures(self, substitute: Callable[[Future], Future], *, before: tuple[Node, ...] = ()) -> Graph:
        """Return the graph with every future replaced by what *substitute* returns for it, and further nodes first."""

        def replaced(future: Future) -> Any:
            if not isinstance(future, Choice):
                return substitute(future)
            cases, found = future.cases()
            found = map_futures(found, replaced)
            for condition, value in reversed(cases):
                found = Choice(condition, map_futures(value, replaced), found, future.type)
            return found

        def with_replaced(node: Node) -> Node:
            if all(substitute(leaf) is leaf for future in node.futures() for leaf in leaves_of(future)):
                return node
            return replace(
                node, arguments={name: map_futures(value, replaced) for name, value in node.arguments.items()}
            )

        nodes = before + tuple([with_replaced(node) for node in self.nodes])
        return replace(self, nodes=nodes, result=map_futures(self.result, replaced))


def futures_in(value: Any) -> Iterator[Future]:
    """Yield the futures inside *value*, depth first."""
    if isinstance(value, Future):
        yield value
    elif type(value) in (list, tuple):
        for item in value:
            yield from futures_in(item)
    elif type(value) is dict:
        for item in value.values():
            yield from futures_in(item)


def map_futures(value: Any, substitute: Callable[[Future], Any]) -> Any:
    """Return *value* with every future inside replaced; lists, tuples and dictionaries are rebuilt."""
    if isinstance(value, Future):
        return substitute(value)
    if type(value) is list:
        return [map_futures(item, substitute) for item in value]
    if type(value) is tuple:
        return tuple(map_futures(item, substitute) for item in value)
    if type(value) is dict:
        return {key: map_futures(item, substitute) for key, item in value.items()}
    return value


def in_order(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return *nodes* so that each comes after what it waits for; already ordered ones stay as they are.

    Raises:
        GraphError: Two nodes have one name, a node waits for one that is not there, or there is a cycle.
    """
    by_name = {node.name: node for node in nodes}
    if len(by_name) != len(nodes):
        raise GraphError("Two nodes have the same name.", do="Name each call differently.")
    if _is_in_order(nodes):
        return nodes
    waits = {node.name: node.upstream for node in nodes}
    done: dict[str, Node] = {}
    for start in nodes:
        _visit(start.name, by_name, waits, done)
    return tuple(done.values())


def _is_in_order(nodes: tuple[Node, ...]) -> bool:
    seen: set[str] = set()
    for node in nodes:
        if not seen.issuperset(node.upstream):
            return False
        seen.add(node.name)
    return True


def _visit(
    start: str, by_name: Mapping[str, Node], waits: Mapping[str, tuple[str, ...]], done: dict[str, Node]
) -> None:
    path: dict[str, Iterator[str]] = {}
    stack = [start] if start not in done else []
    while stack:
        name = stack[-1]
        if name not in path:
            path[name] = iter(waits[name])
        following = next((up for up in path[name] if up not in done), None)
        if following is None:
            done[name] = by_name[name]
            del path[name]
            stack.pop()
        elif following not in by_name:
            raise GraphError(f"Step {name!r} waits for {following!r}, which is not in the graph.")
        elif following in path:
            circle = [*list(path)[list(path).index(following) :], following]
            raise GraphError(
                f"The steps wait for each other in a circle: {' ← '.join(circle)}.",
                do="Break the circle: give one of them its input from elsewhere.",
            )
        else:
            stack.append(following)
