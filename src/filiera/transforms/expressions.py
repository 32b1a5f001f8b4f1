"""Polars expressions as plain data: those that look at one row only, and that run no code but Polars' own.

A stored expression may come from elsewhere, and Polars would unpickle a Python function in it, or load a library that
it names. So only kinds of nodes that are known to do neither are read, and written.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from filiera.errors import UsageError

_FUNCTIONS = frozenset(
    {
        "Abs", "Boolean", "Ceil", "Clip", "Coalesce", "Exp", "FillNull", "Floor", "Log", "Log1p", "MaxHorizontal",
        "MeanHorizontal", "MinHorizontal", "Negate", "Pow", "Replace", "ReplaceStrict", "Round", "RoundSF", "Sign",
        "StringExpr", "SumHorizontal", "TemporalExpr", "Trigonometry",
    }
)  # fmt: skip
_LITERALS = frozenset({"Dyn", "Scalar"})
_PARTS: Mapping[str, Callable[[Any], list[Any]]] = {
    "Alias": lambda body: [body[0]],
    "BinaryExpr": lambda body: [body["left"], body["right"]],
    "Cast": lambda body: [body["expr"]],
    "Column": lambda body: [],
    "Function": lambda body: body["input"],
    "Literal": lambda body: [],
    "Ternary": lambda body: [body["predicate"], body["truthy"], body["falsy"]],
}


def write_expression(expression: pl.Expr) -> str:
    """Return an expression as JSON. A division by a constant becomes a multiplication by its inverse.

    Polars does so for many rows and not for one (polars 2.1), and the last digit of a third of the quotients differs.

    Raises:
        UsageError: It looks at other rows, calls Python, or is of a kind that is not known to do neither.

    >>> write_expression(pl.col("a") + 1)
    '{"BinaryExpr":{"left":{"Column":"a"},"op":"Plus","right":{"Literal":{"Dyn":{"Int":1}}}}}'
    """
    text = str(expression.meta.serialize(format="json"))
    _require_known(text)
    return json.dumps(_without_constant_divisors(json.loads(text)), separators=(",", ":"))


def read_expression(text: str) -> pl.Expr:
    """Return the expression that ``write_expression`` wrote. Raises UsageError for anything else."""
    _require_known(text)
    return _loaded(text)


def _require_known(text: str) -> None:
    try:
        for node in _nodes(json.loads(text)):
            problem = _problem(node)
            if problem:
                raise UsageError(
                    f"This expression cannot travel with a model: {problem}.",
                    why="What travels looks at one row at a time, and runs nothing but Polars' own functions of it.",
                    do="Compute it in a step of the data pipeline, or by arithmetic, comparisons, when-then, …",
                )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError("This is no stored expression.", why=f"{type(error).__name__}: {error}") from error


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, dict) and len(node) == 1:
        ((kind, body),) = node.items()
        for part in _PARTS[kind](body) if kind in _PARTS else []:
            yield from _nodes(part)


def _problem(node: Any) -> str:
    """Return why an expression's node is refused, or ""."""
    if not isinstance(node, dict) or len(node) != 1 or next(iter(node)) not in _PARTS:
        kind = next(iter(node), "") if isinstance(node, dict) else node
        return "it calls Python" if kind == "AnonymousFunction" else f"it has {kind!r}, which looks at other rows"
    kind, body = next(iter(node.items()))
    if kind == "Column" and (not isinstance(body, str) or body.startswith("^")):
        return "it names columns by a pattern"
    if kind == "Literal" and next(iter(body)) not in _LITERALS:
        return "it has a column of values in it"
    return _problem_of_function(body) if kind == "Function" else ""


def _problem_of_function(body: Any) -> str:
    function = body["function"]
    name = function if isinstance(function, str) else next(iter(function))
    if name not in _FUNCTIONS or body.keys() - {"input", "function"}:
        return f"it calls {name}, which looks at other rows"
    # Polars judges only what is outermost, and takes `x - x.mean()` for row by row: so each call is asked alone.
    inputs = [_placeholder(part) for part in body["input"]]
    alone = _loaded(json.dumps({"Function": {"input": inputs, "function": function}}))
    is_row_by_row = alone.meta.is_row_separable() and alone.meta.is_known_length()
    return "" if is_row_by_row else f"it calls {json.dumps(function)}, which looks at other rows"


def _without_constant_divisors(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_constant_divisors(part) for part in node]
    if not isinstance(node, dict):
        return node
    made = {key: _without_constant_divisors(part) for key, part in node.items()}
    body = made.get("BinaryExpr")
    if isinstance(body, dict) and body["op"] == "TrueDivide" and not _has_column(body["right"]):
        divisor = pl.select(_loaded(json.dumps(body["right"]))).item()
        inverse = 1 / float(divisor) if divisor else math.inf
        if not math.isfinite(inverse):
            raise UsageError("This expression cannot travel with a model: it divides by nothing.")
        body.update(op="Multiply", right={"Literal": {"Dyn": {"Float": inverse}}})
    return made


def _has_column(node: Any) -> bool:
    return any(isinstance(part, dict) and "Column" in part for part in _nodes(node))


def _placeholder(part: Any) -> Any:
    return part if isinstance(part, dict) and "Literal" in part else {"Column": "x"}


def _loaded(text: str) -> pl.Expr:
    try:
        return pl.Expr.deserialize(io.StringIO(text), format="json")
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise UsageError(
            "A stored expression cannot be read.",
            why=f"It was written by another version of Polars: {error}",
            do="Fit the transforms again, or install the version that the model was trained with.",
        ) from error
