"""What the parts of a serving graph take and give together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from filiera.core.redaction import Redaction
from filiera.core.signature import Field, Output
from filiera.errors import GraphError, UsageError
from filiera.serving.batch import Batch
from filiera.serving.domain import domain_of


def joined_inputs(groups: Iterable[Sequence[Field]]) -> tuple[Field, ...]:
    """Return the inputs that satisfy all of *groups*: each name once, with the values that all who have it take.

    Raises:
        GraphError: Two take a field of one name with different types, or no value in common.
    """
    found: dict[str, Field] = {}
    for fields in groups:
        for field in fields:
            found[field.name] = _narrowed(found[field.name], field) if field.name in found else field
    return tuple(found.values())


def joined_examples(groups: Iterable[Sequence[Mapping[str, Any]]]) -> tuple[Mapping[str, Any], ...]:
    """Return rows with the fields of one row of each group: as many as the shortest group has."""
    return tuple(
        {name: value for row in reversed(rows) for name, value in row.items()} for rows in zip(*groups, strict=False)
    )


def require_same_outputs(what: str, groups: Sequence[tuple[str, Sequence[Output]]]) -> tuple[Output, ...]:
    """Return the outputs that all have, each in the same order. Raises GraphError, which names who differs."""
    first_name, first = groups[0]
    for name, outputs in groups[1:]:
        if [_shape(output) for output in outputs] == [_shape(output) for output in first]:
            continue
        raise GraphError(
            f"{what} needs the same answers of all: {first_name} and {name} differ.",
            why=f"{first_name} gives {_told(first)}; {name} gives {_told(outputs)}.",
            do="Bring one into the form of the other with graphs.after(…).",
        )
    return tuple(_widened([outputs[place] for _, outputs in groups]) for place in range(len(first)))


def require_covered(what: str, needed: Sequence[Field], given: Sequence[Field]) -> None:
    """Raise GraphError unless *given* fields have all that is *needed*, with the types that are."""
    known = {field.name: field for field in given}
    for field in needed:
        other = known.get(field.name)
        if other is None:
            raise GraphError(f"{what} lacks {field.name!r}.", why=f"It has: {', '.join(known) or 'nothing'}.")
        if other.type != field.type:
            raise GraphError(f"{what} has {field.name!r} as {other.type}; {field.type} is needed.")


def picker(fields: Sequence[Field], given: Sequence[Field]) -> Picker:
    """Return what gives the columns *fields* of batches whose columns are *given*."""
    places = {field.name: place for place, field in enumerate(given)}
    return Picker(tuple(fields), [places[field.name] for field in fields], is_all=len(fields) == len(given))


class Picker:
    """Picks some columns of a batch, in another order."""

    def __init__(self, fields: tuple[Field, ...], places: Sequence[int], *, is_all: bool) -> None:
        self._fields = fields
        self._places = places
        self._is_same = is_all and list(places) == list(range(len(places)))

    def __call__(self, batch: Batch) -> Batch:
        if self._is_same:
            return batch
        columns = [batch.column(place) for place in self._places]
        return Batch(fields=self._fields, columns=columns, height=batch.height)


def rows_at(batch: Batch, rows: Sequence[int]) -> Batch:
    """Return the rows at these places, in this order."""
    if len(rows) == batch.height:
        return batch
    columns = [_taken(column, rows) for column in batch.columns]
    return Batch(fields=batch.fields, columns=columns, height=len(rows))


def _taken(column: Any, rows: Sequence[int]) -> Any:
    return [column[row] for row in rows] if isinstance(column, (list, tuple)) else column[list(rows)]


def _narrowed(one: Field, other: Field) -> Field:
    if one.type != other.type or (one.pattern and other.pattern and one.pattern != other.pattern):
        what = f"types, {one.type} and {other.type}" if one.type != other.type else "patterns"
        raise GraphError(
            f"Two parts of the graph take {one.name!r} with different {what}.",
            do="Bring one into the form of the other with graphs.before(…).",
        )
    are_alike = one.optional and other.optional and one.default == other.default
    values = one.values if other.values is None else other.values
    if one.values is not None and other.values is not None:
        values = tuple(value for value in one.values if value in other.values)
    found = replace(
        one,
        nullable=one.nullable and other.nullable,
        minimum=_extreme(max, one.minimum, other.minimum),
        maximum=_extreme(min, one.maximum, other.maximum),
        max_length=_extreme(min, one.max_length, other.max_length),
        values=values,
        pattern=one.pattern or other.pattern,
        optional=are_alike,
        default=one.default if are_alike else None,
        sensitive=one.sensitive or other.sensitive,
        redaction=_stricter(one, other),
    )
    try:
        domain_of(found)
    except UsageError as error:
        raise GraphError(f"No value of {one.name!r} is taken by all parts of the graph.", why=error.why) from error
    return found


def _stricter(one: Field, other: Field) -> Redaction | None:
    """Return how both may be logged; None: not at all, if one of them is sensitive."""
    said = [field.redaction for field in (one, other) if field.sensitive]
    return said[0] if said and all(each == said[0] for each in said) else None


def _extreme(choose: Any, one: Any, other: Any) -> Any:
    given = [value for value in (one, other) if value is not None]
    return choose(given) if given else None


def _shape(output: Output) -> tuple[Any, ...]:
    return output.name, output.semantics, output.type, output.labels


def _widened(outputs: Sequence[Output]) -> Output:
    """Return what can be said of an output that any of several parts may give."""
    first = outputs[0]
    bounds = [(output.minimum, output.maximum) for output in outputs]
    has_least = all(least is not None for least, _ in bounds)
    has_most = all(most is not None for _, most in bounds)
    return replace(
        first,
        extensible=any(output.extensible for output in outputs),
        minimum=min(least for least, _ in bounds if least is not None) if has_least else None,
        maximum=max(most for _, most in bounds if most is not None) if has_most else None,
    )


def _told(outputs: Sequence[Output]) -> str:
    return "; ".join(
        f"{output.name} ({output.semantics}, {output.type}"
        + (f", labels {', '.join(map(str, output.labels))})" if output.labels else ")")
        for output in outputs
    )
