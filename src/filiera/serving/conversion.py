"""Answers applications that keep to the major before of a model's contract, by a version of the present one.

Their rows are taken and their answers given as the old contract says; in between a row becomes one of the new contract
and an answer one of the old. Where something of the old contract cannot be kept so, nothing is converted at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from filiera.core.signature import Conversion, Field, Output, Signature
from filiera.errors import UsageError
from filiera.ports import PredictionLog
from filiera.serving.batch import Batch, Outputs
from filiera.serving.contract import ModelContract
from filiera.serving.contracts.inclusion import beyond
from filiera.serving.domain import INTEGER_RANGES, domain_of, json_value, output_domain
from filiera.serving.predictor import PredictionFailed, Predictor, Predicts
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import ServedModel, request_body

if TYPE_CHECKING:
    import numpy as np

_ANY_NUMBER = 2**31


class Converted:
    """A model of the present major that answers as the one before has promised; see ``predictor.Predicts``."""

    def __init__(self, model: Any, *, old: Signature, new: Signature) -> None:
        """Convert for *model*, an object with ``predict``, or a predictor made of one.

        Args:
            model: What answers.
            old: What applications keep to.
            new: What *model* takes and gives, and how that is converted.

        Raises:
            UsageError: The old contract cannot be kept; the message says what stands against it.
            PredictionFailed: The model and its signature disagree.
        """
        found = list(obstacles(old, new))
        if found:
            raise UsageError(
                f"Major {new.major} cannot answer applications of major {old.major}.",
                why="; ".join(found),
                do="Say how in its Contract(conversion=Conversion(…)), or serve a version of the old major, too.",
            )
        self._predictor: Predicts = model if hasattr(model, "is_brief") else Predictor(model, new)
        self.is_brief, self.runtime = self._predictor.is_brief, self._predictor.runtime
        self._old, self._new = old, new
        self._said = new.conversion or Conversion()
        self._decoder = RowDecoder(replace(new, max_rows=_ANY_NUMBER))

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output of the old contract, for rows of the old contract. Raises PredictionFailed."""
        try:
            rows = self._decoder.decode(request_body(self._rows(batch)))
        except RequestRefused as refusal:
            raise PredictionFailed("The model failed to predict.", why="A row could not be converted.") from refusal
        given = dict(zip([output.name for output in self._new.outputs], self._predictor.predict(rows), strict=True))
        return self._outputs(given)

    def _rows(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """Yield the rows as requests of the new contract."""
        places = {field.name: place for place, field in enumerate(self._old.inputs)}
        columns: dict[str, Sequence[Any]] = {}
        for field in self._new.inputs:
            if field.name in places:
                columns[field.name] = self._column(field, batch.column(places[field.name]))
            elif field.name in self._said.defaults:
                columns[field.name] = [self._said.defaults[field.name]] * batch.height
        for at in range(batch.height):
            yield {name: column[at] for name, column in columns.items()}

    def _column(self, field: Field, column: Any) -> list[Any]:
        values = [json_value(value) for value in (column.tolist() if hasattr(column, "tolist") else column)]
        factor = self._said.factors.get(field.name, 1)
        if factor != 1:
            values = [None if value is None else _times(value, factor) for value in values]
        if not field.nullable and field.name in self._said.defaults:
            default = self._said.defaults[field.name]
            values = [default if value is None else value for value in values]
        return values

    def _outputs(self, given: Mapping[str, np.ndarray[Any, Any]]) -> Outputs:
        import numpy as np

        now = {output.name: output for output in self._new.outputs}
        found: dict[str, np.ndarray[Any, Any]] = {}
        for output in self._old.outputs:
            values = given[output.name]
            if output.semantics == "probability":
                table = np.zeros((len(values), len(output.labels)))
                for place, label in enumerate(now[output.name].labels):
                    table[:, _place(output.labels, _before(self._said, label))] += values[:, place]
                found[output.name] = table
            elif output.labels:
                named = [_before(self._said, label) for label in values.tolist()]
                found[output.name] = np.array(named, dtype=None if output.type != "string" else object)
            else:
                found[output.name] = (
                    values / self._said.factors.get(output.name, 1) if values.dtype.kind == "f" else values
                )
        if self._said.labels and len({_before(self._said, one) for one in _labels(self._new)}) < len(
            _labels(self._new)
        ):
            self._follow(found)
        return tuple(found[output.name] for output in self._old.outputs)

    def _follow(self, found: dict[str, np.ndarray[Any, Any]]) -> None:
        """Let a label be the most probable one where several labels became one: together they may be it."""
        import numpy as np

        shares = next((one for one in self._old.outputs if one.semantics == "probability"), None)
        label = next((one for one in self._old.outputs if one.semantics == "label"), None)
        if shares is not None and label is not None:
            found[label.name] = np.array(shares.labels, dtype=found[label.name].dtype)[
                found[shares.name].argmax(axis=1)
            ]


def converted(
    model: Any, before: ModelContract, *, version: int, signature: Signature, log: PredictionLog | None = None
) -> ServedModel:
    """Return a model that answers at the address of the major *before*. Raises UsageError, PredictionFailed.

    Args:
        model: An object with ``predict``, or a predictor made of one.
        before: What applications keep to.
        version: Number of the model's version.
        signature: What the model takes and gives.
        log: Where predictions are kept, as applications of the major before see them.
    """
    promised = replace(before.signature, answers=())  # another model gave them
    answering = Converted(model, old=promised, new=signature)
    return ServedModel(before.name, answering, version=version, signature=promised, log=log)


def obstacles(old: Signature, new: Signature) -> Iterator[str]:
    """Yield what of the *old* contract a model of the *new* one cannot keep, with its conversion; nothing: it can."""
    said = new.conversion or Conversion()
    before = {field.name: field for field in old.inputs}
    for field in new.inputs:
        if field.name in before:
            yield from _input(before[field.name], field, said)
        elif field.name in said.defaults:
            if rule := domain_of(field).broken_rule(said.defaults[field.name]):
                yield f"input {field.name}: its default of the conversion {rule}"
        elif not field.optional:
            yield f"input {field.name} is new and must be there: Conversion(defaults=…)"
    after = {output.name: output for output in new.outputs}
    for output in old.outputs:
        if output.name in after:
            yield from _output(output, after[output.name], said)
        else:
            yield f"output {output.name} is not given any more"
    if old.deterministic and not new.deterministic:
        yield "the same row may get another answer"


def _input(old: Field, new: Field, said: Conversion) -> Iterator[str]:
    if old.unit and old.unit != new.unit and old.name not in said.factors:
        yield f"input {old.name} was in {old.unit} and is in {new.unit or 'no unit'}: Conversion(factors=…)"
        return
    given = replace(old, optional=False, default=None)
    if old.name in said.factors:
        if _is_number(old.type) and _is_number(new.type):
            given = _scaled(given, said.factors[old.name])
        else:
            yield f"input {old.name}: no factor turns {old.type} into {new.type}"
            return
    if old.name in said.defaults:
        if rule := domain_of(new).broken_rule(said.defaults[old.name]):
            yield f"input {old.name}: its default of the conversion {rule}"
        given = replace(given, nullable=given.nullable and new.nullable)
    lost = beyond(domain_of(given), domain_of(new))
    if lost:
        yield f"input {old.name} takes less than it did ({', '.join(lost)})"


def _output(old: Output, new: Output, said: Conversion) -> Iterator[str]:
    if old.semantics != new.semantics:
        yield f"output {old.name} was a {old.semantics} and is a {new.semantics}"
        return
    if old.unit and old.unit != new.unit and old.name not in said.factors:
        yield f"output {old.name} was in {old.unit} and is in {new.unit or 'no unit'}: Conversion(factors=…)"
        return
    if old.labels:
        strange = [label for label in new.labels if not _is_in(old.labels, _before(said, label))]
        if strange:
            listed = ", ".join(map(str, strange))
            yield f"output {old.name} has labels that are none of before: {listed}: Conversion(labels=…)"
        return
    field = Field(name=new.name, type=new.type, minimum=new.minimum, maximum=new.maximum)
    if old.name in said.factors:
        if not (_is_float(old.type) and _is_float(new.type)):
            yield f"output {old.name}: no factor turns {new.type} into {old.type}"
            return
        field = _scaled(field, 1 / said.factors[old.name])
    gained = beyond(domain_of(field), output_domain(old))
    if gained:
        yield f"output {old.name} gives more than it did ({', '.join(gained)})"


def _scaled(field: Field, factor: float) -> Field:
    """Return what a field takes after its values were multiplied; a whole factor keeps whole numbers whole."""
    domain = domain_of(field)
    is_whole = field.type in INTEGER_RANGES and float(factor).is_integer()
    limits: dict[str, Any] = {}
    if field.type in INTEGER_RANGES or field.minimum is not None:
        limits["minimum"] = _times(domain.lower, factor)
    if field.type in INTEGER_RANGES or field.maximum is not None:
        limits["maximum"] = _times(domain.upper, factor)
    values = None if domain.values is None else tuple(_times(value, factor) for value in domain.values)
    return replace(field, type="int64" if is_whole else "float64", values=values, **limits)


def _times(value: Any, factor: float) -> Any:
    """Return a product: of whole numbers a whole one, however large."""
    return value * int(factor) if type(value) is int and float(factor).is_integer() else value * factor


def _before(said: Conversion, label: Any) -> Any:
    return said.labels.get(label, label)


def _labels(signature: Signature) -> tuple[Any, ...]:
    return next((output.labels for output in signature.outputs if output.labels), ())


def _is_in(labels: Sequence[Any], label: Any) -> bool:
    return any(type(one) is type(label) and one == label for one in labels)


def _place(labels: Sequence[Any], label: Any) -> int:
    return next(place for place, one in enumerate(labels) if type(one) is type(label) and one == label)


def _is_number(kind: str) -> bool:
    return kind in INTEGER_RANGES or _is_float(kind)


def _is_float(kind: str) -> bool:
    return kind in ("float32", "float64")
