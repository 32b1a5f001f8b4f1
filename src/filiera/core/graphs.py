"""Serving graphs: several models that answer as one, put together from values.

    from filiera import Model, graphs

    flow_scores = graphs.graph(
        "flow-scores",
        graphs.fallback(graphs.ensemble(Model("forest"), Model("booster"), how="mean"), Model("rule"), timeout_s=0.2),
    )

A graph is a model to whoever calls it: one signature, one address, one answer per row. What it is made of is checked
when it is put together with the versions that it names: inputs that fit, labels that are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

from filiera.core.digest import digest
from filiera.core.products import CHAMPION, LATEST, Model, ProductRef, check_name
from filiera.core.signature import Field as Field
from filiera.core.signature import Output as Output
from filiera.core.value import dataclass
from filiera.errors import GraphError

How = Literal["mean", "vote"]
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
_UNIT = 2.0**64


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A model version."""

    ref: ProductRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Several nodes whose answers are joined into one."""

    members: tuple[Node, ...]
    how: How
    weights: tuple[float, ...]  #: one per member, summing to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Several nodes whose answers are the inputs of one more."""

    members: tuple[Node, ...]
    last: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What must hold of a row."""

    field: str
    operator: Operator
    value: Any
    header: str = ""  #: of the request, from which callers may give the field for all rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Router:
    """Each row goes to the node of the first condition that holds."""

    cases: tuple[tuple[Condition, Node], ...]
    otherwise: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Rows are shared out by a hash of some of their fields: equal fields go to the same node, always."""

    shares: tuple[tuple[float, Node], ...]
    otherwise: Node
    by: tuple[str, ...]
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallback:
    """What answers the rows that the first cannot answer."""

    first: Node
    second: Node
    timeout_s: float  #: the first is given so long; infinity: as long as it takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """A function of the rows that a node is given."""

    function: Callable[..., Any]
    node: Node
    inputs: tuple[Field, ...]  #: what it takes; none: what the node takes
    examples: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """A function of the answers that a node gives."""

    node: Node
    function: Callable[..., Any]
    outputs: tuple[Output, ...]  #: what it gives; none: what the node gives


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadow:
    """A node that answers, and another that is asked the same behind its back."""

    node: Node
    shadowed: Node  #: nobody hears what it answers, but the log


Node: TypeAlias = "Leaf | Ensemble | Stack | Router | Split | Fallback | Shadow | Before | After"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingGraph:
    """A named graph, which is served as a model is."""

    name: str
    node: Node


def graph(name: str, node: Model | Node) -> ServingGraph:
    """Return a graph: ``filiera run NAME`` publishes a version of it as a service, ``filiera serve NAME`` serves that.

    Raises:
        UsageError: *name* cannot be one.
    """
    return ServingGraph(name=check_name(name, "graph"), node=_node(node))


def ensemble(*members: Model | Node, how: How, weights: Sequence[float] = ()) -> Ensemble:
    """Return a node that asks all *members* and joins their answers.

    Args:
        members: Two or more, with the same outputs and the same labels in the same order.
        how: ``"mean"`` of numbers or of probabilities, whose label is then the most probable; or ``"vote"``: the label
            that most members give, the first in order of the labels among equals.
        weights: How much each member counts; equally if none are given.

    Raises:
        GraphError: Too few members, or weights that are not one positive number each.
    """
    if len(members) < 2:
        raise GraphError("An ensemble needs two members or more.")
    if how not in get_args(How):
        raise GraphError(f"An ensemble cannot join by {how!r}.", why=f"It knows: {', '.join(get_args(How))}.")
    given = [float(weight) for weight in weights] or [1.0] * len(members)
    if len(given) != len(members) or not all(0 < weight < math.inf for weight in given):
        raise GraphError(f"An ensemble of {len(members)} needs as many positive weights, not {list(weights)}.")
    total = math.fsum(given)
    return Ensemble(members=tuple(map(_node, members)), how=how, weights=tuple(weight / total for weight in given))


def stack(*members: Model | Node, last: Model | Node) -> Stack:
    """Return a node whose *last* is given the answers of all *members*.

    The inputs of *last* are named ``MEMBER.OUTPUT``, and ``MEMBER.OUTPUT.LABEL`` for probabilities, where MEMBER is the
    name of a model or, of other nodes, ``member1``, ``member2`` and so on; and the inputs of the graph by their names.

    Raises:
        GraphError: There is no member.
    """
    if not members:
        raise GraphError("A stack needs a member.")
    return Stack(members=tuple(map(_node, members)), last=_node(last))


def where(field: str, operator: Operator, value: Any) -> Condition:
    """Return a condition on an input: ``where("bytes", ">", 10_000)``. It does not hold of a missing value.

    Raises:
        GraphError: There is no such operator.
    """
    if operator not in get_args(Operator):
        raise GraphError(f"A condition cannot be {operator!r}.", why=f"There are: {', '.join(get_args(Operator))}.")
    return Condition(field=field, operator=operator, value=tuple(value) if operator == "in" else value)


def header(name: str, value: str) -> Condition:
    """Return a condition on a header of the request: ``header("X-Variant", "b")``.

    The graph gets an optional input for it, ``x_variant``, since files and calls in a process have no headers.
    """
    field = name.lower().replace("-", "_")
    return Condition(field=field, operator="==", value=value, header=name.lower())


def route(*cases: tuple[Condition, Model | Node], otherwise: Model | Node) -> Router:
    """Return a node that sends a row to the node of the first of *cases* whose condition holds, or to *otherwise*."""
    return Router(cases=tuple((condition, _node(node)) for condition, node in cases), otherwise=_node(otherwise))


def split(
    *shares: tuple[float, Model | Node], otherwise: Model | Node, by: str | Sequence[str], seed: int = 0
) -> Split:
    """Return a node that sends given shares of the rows to nodes, and the rest to *otherwise*.

    Args:
        shares: Each a share from 0 to 1 and its node.
        otherwise: Gets what is left.
        by: Inputs whose values decide: the same values always go to the same node.
        seed: Another one deals anew.

    Raises:
        GraphError: Shares below 0 or above 1 together, or nothing to decide by.
    """
    total = math.fsum(share for share, _ in shares)
    if not all(share >= 0 for share, _ in shares) or not total <= 1:
        raise GraphError(f"Shares must be 0 or more, and at most 1 together, not {[share for share, _ in shares]}.")
    fields = (by,) if isinstance(by, str) else tuple(by)
    if not fields:
        raise GraphError("A split needs inputs to decide by.", do='Name them, such as by="user".')
    nodes = tuple((float(share), _node(node)) for share, node in shares)
    return Split(shares=nodes, otherwise=_node(otherwise), by=fields, seed=seed)


def fallback(first: Model | Node, second: Model | Node, *, timeout_s: float = math.inf) -> Fallback:
    """Return a node that answers with *first*, and with *second* the rows on which that fails or takes too long.

    Raises:
        GraphError: *timeout_s* is not positive.
    """
    if not timeout_s > 0:
        raise GraphError(f"A fallback cannot wait for {timeout_s} s.")
    return Fallback(first=_node(first), second=_node(second), timeout_s=timeout_s)


def shadow(node: Model | Node, shadowed: Model | Node) -> Shadow:
    """Return a node that answers as *node* does, while *shadowed* is asked the same and nobody waits for it.

    Its answers go to the log of predictions. When it cannot keep up, rows are left out, and counted.
    """
    return Shadow(node=_node(node), shadowed=_node(shadowed))


def before(
    function: Callable[..., Any], node: Model | Node, *, inputs: Sequence[Field] = (), examples: Sequence[Any] = ()
) -> Before:
    """Return a node that gives *node* what *function* makes of the rows: a Polars table, as many rows, in their order.

    Args:
        function: Takes a table with the inputs, returns one with the inputs of *node*.
        node: What answers.
        inputs: What is taken, if it is not what *node* takes.
        examples: Rows of these inputs, as mappings: with them the graph is checked and warmed up.

    Raises:
        GraphError: There are *inputs* and no *examples*.
    """
    if inputs and not examples:
        raise GraphError(
            "A function before a model that takes other inputs needs examples.",
            why="They show what it makes of its inputs, before callers do.",
            do="before(function, model, inputs=[…], examples=[{…}])",
        )
    return Before(function=function, node=_node(node), inputs=tuple(inputs), examples=tuple(examples))


def after(node: Model | Node, function: Callable[..., Any], *, outputs: Sequence[Output] = ()) -> After:
    """Return a node that answers what *function* makes of the answers of *node*.

    Args:
        node: What answers first.
        function: Takes and returns a dictionary with an array for each output, by name: probabilities have a column for
            each label.
        outputs: What it returns, if that is not what *node* gives.
    """
    return After(node=_node(node), function=function, outputs=tuple(outputs))


def place_of(values: Sequence[Any], seed: int) -> float:
    """Return where in [0, 1) a row with these *values* falls: the same for the same values and seed, else anywhere.

    The first 64 bits of a BLAKE3 digest, as a fraction.

    >>> place_of(["ann"], 0) == place_of(["ann"], 0) != place_of(["ann"], 1)
    True
    """
    parts = (f"{type(value).__name__}:{value}".encode(errors="surrogatepass") for value in values)
    return int(digest("split/1", str(seed).encode(), *parts)[:16], 16) / _UNIT


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the models of a graph, each once, in order."""
    seen = set()
    for leaf in _leaves(node):
        if leaf.ref not in seen:
            seen.add(leaf.ref)
            yield leaf


def parts_of(node: Node) -> tuple[Node, ...]:
    """Return the nodes that a node is made of."""
    match node:
        case Ensemble(members=members):
            return members
        case Stack(members=members, last=last):
            return (*members, last)
        case Router(cases=cases, otherwise=otherwise):
            return (*(each for _, each in cases), otherwise)
        case Split(shares=shares, otherwise=otherwise):
            return (*(each for _, each in shares), otherwise)
        case Fallback(first=first, second=second):
            return first, second
        case Shadow(node=node, shadowed=shadowed):
            return node, shadowed
        case Before(node=inner) | After(node=inner):
            return (inner,)
    return ()


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    for part in parts_of(node):
        yield from _leaves(part)


def _node(given: Model | Node) -> Node:
    if isinstance(given, Model):
        # What is served without a version is the champion, as on the command line; a pipeline would take the latest.
        return Leaf(ref=ProductRef(given.ref.name, CHAMPION) if given.ref.selector == LATEST else given.ref)
    return given
