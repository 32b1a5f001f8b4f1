"""Random changes of signatures, and what applications would notice of them: the judge of the differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jsonschema_rs
from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature, Slo
from filiera.errors import UsageError
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.contract import ModelContract, request_schema, response_schema
from filiera.serving.domain import INTEGER_RANGES, Domain, domains_of, output_domain, try_temporal
from filiera.serving.problem import RequestRefused
from filiera.serving.records import RowDecoder
from tests.serving.signatures import fields, signatures, values_of

LABELS = ("a", "b", "c", "d")
FORMATS = {
    "date": lambda text: try_temporal("date", text) is not None,
    "date-time": lambda text: try_temporal("timestamp", text) is not None,
}
OURS = {
    "unit", "input-default", "output-label-order", "output-semantics", "major", "not-deterministic",
}  # fmt: skip
"""Breaks that no schema sees."""


@st.composite
def contracts(draw: st.DrawFn) -> Signature:
    """Return a signature with random outputs of different semantics."""
    kinds = draw(st.lists(st.sampled_from(["label", "probability", "value"]), min_size=1, max_size=3, unique=True))
    made = draw(signatures())
    return replace(
        made, outputs=tuple(draw(outputs(kind)) for kind in kinds), slo=draw(st.none() | st.just(Slo(p95_ms=20)))
    )


@st.composite
def outputs(draw: st.DrawFn, kind: str) -> Output:
    """Return an output of a kind."""
    if kind == "value":
        least, most = draw(st.sampled_from([(None, None), (0, 1), (0, None), (-5, 100)]))
        type_ = draw(st.sampled_from(["float64", "float32", "int32", "uint8"]))
        return Output(name="value", type=type_, semantics="value", minimum=least, maximum=most)
    labels = tuple(draw(st.lists(st.sampled_from(LABELS), min_size=2, max_size=4, unique=True)))
    is_open = draw(st.booleans())
    if kind == "label":
        return Output(name="label", type="string", semantics="label", labels=labels, extensible=is_open)
    return Output(name="p", type="float64", semantics="probability", labels=labels, extensible=is_open)


def mutated(draw: st.DrawFn, old: Signature) -> Signature:
    """Return *old* with up to three random changes; one that makes it what cannot be served is left out at once."""
    new = old
    for _ in range(draw(st.integers(1, 3))):
        changed = draw(st.sampled_from(MUTATIONS))(draw, new)
        try:
            domains_of(changed)
            for output in changed.outputs:
                output_domain(output)
        except UsageError:
            continue
        new = changed
    return new


@st.composite
def changes(draw: st.DrawFn) -> tuple[Signature, Signature]:
    """Return a signature and what became of it."""
    old = draw(contracts())
    return old, mutated(draw, old)


def _change_input(draw: st.DrawFn, signature: Signature, change: Callable[[Field], Field]) -> Signature:
    at = draw(st.integers(0, len(signature.inputs) - 1))
    inputs = list(signature.inputs)
    inputs[at] = change(inputs[at])
    return replace(signature, inputs=tuple(inputs))


def _other_domain(draw: st.DrawFn, signature: Signature) -> Signature:
    return _change_input(draw, signature, lambda field: draw(fields(field.name)))


def _other_type(draw: st.DrawFn, signature: Signature) -> Signature:
    kind = draw(st.sampled_from([*INTEGER_RANGES, "float32", "float64", "string", "date"]))
    return _change_input(draw, signature, lambda field: replace(field, type=kind))


def _shift_limit(draw: st.DrawFn, signature: Signature) -> Signature:
    by = draw(st.sampled_from([-1, 1, -0.5, 0.5, -1000, 1000]))
    end = draw(st.sampled_from(["minimum", "maximum"]))

    def shifted(field: Field) -> Field:
        limit = getattr(field, end)
        return field if limit is None else replace(field, **{end: limit + by})

    return _change_input(draw, signature, shifted)


def _drop_limits(draw: st.DrawFn, signature: Signature) -> Signature:
    what = draw(st.sampled_from(["minimum", "maximum", "values", "max_length"]))
    return _change_input(draw, signature, lambda field: replace(field, **{what: None}))


def _change_values(draw: st.DrawFn, signature: Signature) -> Signature:
    def changed(field: Field) -> Field:
        if field.values is None:
            return field
        more = draw(values_of(replace(field, values=None, nullable=False, optional=False, default=None)))
        return draw(
            st.sampled_from([replace(field, values=field.values[1:]), replace(field, values=(*field.values, more))])
        )

    return _change_input(draw, signature, changed)


def _flip_null(draw: st.DrawFn, signature: Signature) -> Signature:
    return _change_input(draw, signature, lambda field: replace(field, nullable=not field.nullable))


def _flip_optional(draw: st.DrawFn, signature: Signature) -> Signature:
    def flipped(field: Field) -> Field:
        if field.optional:
            return replace(field, optional=False, default=None)
        return replace(field, optional=True, default=draw(values_of(field)))

    return _change_input(draw, signature, flipped)


def _other_default(draw: st.DrawFn, signature: Signature) -> Signature:
    return _change_input(
        draw, signature, lambda field: replace(field, default=draw(values_of(field))) if field.optional else field
    )


def _limit_text(draw: st.DrawFn, signature: Signature) -> Signature:
    length = draw(st.none() | st.integers(3, 9))
    return _change_input(
        draw, signature, lambda field: replace(field, max_length=length) if field.type == "string" else field
    )


def _other_unit(draw: st.DrawFn, signature: Signature) -> Signature:
    unit = draw(st.sampled_from(["", "s", "ms"]))
    return _change_input(draw, signature, lambda field: replace(field, unit=unit))


def _add_input(draw: st.DrawFn, signature: Signature) -> Signature:
    return replace(signature, inputs=(*signature.inputs, draw(fields("an input that is new"))))


def _remove_input(draw: st.DrawFn, signature: Signature) -> Signature:
    return replace(signature, inputs=signature.inputs[1:]) if len(signature.inputs) > 1 else signature


def _reorder_inputs(draw: st.DrawFn, signature: Signature) -> Signature:
    return replace(signature, inputs=tuple(draw(st.permutations(signature.inputs))))


def _other_output(draw: st.DrawFn, signature: Signature) -> Signature:
    first, *rest = signature.outputs
    return replace(signature, outputs=(draw(outputs(first.semantics)), *rest))


def _reorder_labels(draw: st.DrawFn, signature: Signature) -> Signature:
    first, *rest = signature.outputs
    return replace(signature, outputs=(replace(first, labels=tuple(draw(st.permutations(first.labels)))), *rest))


def _toggle_open(draw: st.DrawFn, signature: Signature) -> Signature:
    first, *rest = signature.outputs
    return replace(signature, outputs=(replace(first, extensible=bool(first.labels) and not first.extensible), *rest))


def _remove_output(draw: st.DrawFn, signature: Signature) -> Signature:
    return replace(signature, outputs=signature.outputs[1:]) if len(signature.outputs) > 1 else signature


def _add_output(draw: st.DrawFn, signature: Signature) -> Signature:
    taken = {output.semantics for output in signature.outputs}
    kind = next((kind for kind in ("label", "probability", "value") if kind not in taken), None)
    return signature if kind is None else replace(signature, outputs=(*signature.outputs, draw(outputs(kind))))


def _whole(draw: st.DrawFn, signature: Signature) -> Signature:
    change: Mapping[str, Any] = draw(
        st.sampled_from(
            [
                {"max_rows": 2}, {"max_rows": 9}, {"deterministic": False}, {"slo": None}, {"slo": Slo(p95_ms=50)},
                {"slo": Slo(p95_ms=5)}, {"task": "forecasting"}, {"major": 2},
            ]
        )
    )  # fmt: skip
    return replace(signature, **change)


MUTATIONS = (
    _other_domain, _other_type, _shift_limit, _drop_limits, _change_values, _flip_null, _flip_optional, _other_default,
    _limit_text, _other_unit, _add_input, _remove_input, _reorder_inputs, _other_output, _reorder_labels, _toggle_open,
    _remove_output, _add_output, _whole,
)  # fmt: skip


def breaks(draw: st.DrawFn, old: Signature, new: Signature) -> bool:
    """Tell whether an application that keeps to *old* can notice: the oracle.

    A request that *old* takes is refused by the decoder or the schema of *new*, or an answer that *new* allows is none
    for the schema of *old*. Requests and answers are drawn, and made of the values at and around every limit.
    """
    wide_old, wide_new = replace(old, max_rows=9), replace(new, max_rows=9)
    return _refuses_a_request(draw, wide_old, wide_new) or _gives_a_new_answer(old, new)


def _refuses_a_request(draw: st.DrawFn, old: Signature, new: Signature) -> bool:
    was, now = (_validator(request_schema(each)) for each in (old, new))
    decoders = RowDecoder(old), RowDecoder(new)
    fresh = {field.name: field for field in new.inputs}
    for row in _rows(draw, old, fresh):
        request = {"instances": [row]}
        is_old = was.is_valid(request) and _taken(decoders[0], request)
        if is_old and not (now.is_valid(request) and _taken(decoders[1], request)):
            return True
    return False


def _rows(draw: st.DrawFn, old: Signature, fresh: Mapping[str, Field]) -> Iterator[dict[str, Any]]:
    base = {field.name: draw(values_of(field)) for field in old.inputs}
    yield base
    yield {field.name: base[field.name] for field in old.inputs if not field.optional}
    for field, domain in zip(old.inputs, domains_of(old), strict=True):
        interesting = [draw(values_of(field)) for _ in range(8)]
        interesting += [None, *_around(domain)]
        if field.name in fresh:
            interesting += _around(domains_of(_only(fresh[field.name]))[0])
        for value in interesting:
            if value is None or domain.broken_rule(value) is None:
                yield {**base, field.name: value}


def _only(field: Field) -> Signature:
    return Signature(task="regression", inputs=(field,), outputs=())


def _around(domain: Domain) -> list[Any]:
    """Return values at, inside and just outside of the limits of a domain, and texts of all lengths in question."""
    found: list[Any] = [False, True, "", "!", "x" * 3, "ab", "0" * 12, "2000-01-01", *(domain.values or ())]
    for limit in (domain.lower, domain.upper, 0):
        if limit is not None:
            found += [limit, math.floor(limit), math.ceil(limit), math.floor(limit) - 1, math.ceil(limit) + 1]
            found += [float(limit), math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf), limit + 0.25]
    found += [float(value) for value in domain.values or () if type(value) is int]
    longest = domain.field.max_length
    found += [sign * length for sign in "ax1" for length in range(longest + 2 if longest is not None else 12)]
    return [value for value in found if not (isinstance(value, float) and not math.isfinite(value))]


def _gives_a_new_answer(old: Signature, new: Signature) -> bool:
    was, now = (_validator(response_schema(ModelContract(name="m", version=1, signature=each))) for each in (old, new))
    base = {ANSWER_KEYS[output.semantics]: _values(output, new)[0] for output in new.outputs}
    for output in new.outputs:
        before = next((each for each in old.outputs if each.semantics == output.semantics), output)
        for value in [*_values(output, new), *_values(before, new)]:
            answer = {"id": "0" * 26, **base, ANSWER_KEYS[output.semantics]: value}
            response = {"model": "m", "version": 1, "predictions": [answer]}
            if now.is_valid(response) and not was.is_valid(response):
                return True
    return False


def _values(output: Output, new: Signature) -> Sequence[Any]:
    if output.semantics == "probability":
        keys = [label_key(label) for label in output.labels]
        more = [*keys, "a label that is new"]
        return [dict.fromkeys(keys, 0.0), dict.fromkeys(more, 0.5)]
    domain = output_domain(output)
    found = [value for value in _around(domain) if domain.broken_rule(value) is None]
    return [*found, *LABELS, "a label that is new", 0.5, 1e39, 2**31, -1] if found else [0]


def _validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(schema, validate_formats=True, formats=FORMATS)


def _taken(decoder: RowDecoder, request: Any) -> bool:
    try:
        decoder.decode(json.dumps(request).encode())
    except RequestRefused:
        return False
    return True
