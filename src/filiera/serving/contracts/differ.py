"""What a new signature means for applications that keep to the old one.

A change breaks when an application that followed the old contract can stop working: a request that was taken is
refused, or an answer is one that could not come before. So inputs may take more and outputs may give less, not the
other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filiera.core.signature import Field, Output, Signature
from filiera.serving.contracts.finding import LEVELS, Finding, Level
from filiera.serving.contracts.inclusion import Respect, beyond
from filiera.serving.domain import Domain, domain_of, output_domain

_SHOWN = 5


def diff(old: Signature, new: Signature) -> tuple[Finding, ...]:
    """Return what changed, breaks first; () when nothing that the contract states did.

    Raises:
        UsageError: One of them cannot be served.
    """
    found = [*_inputs(old, new), *_outputs(old, new), *_whole(old, new)]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def _inputs(old: Signature, new: Signature) -> Iterator[Finding]:
    before, after = ({field.name: field for field in signature.inputs} for signature in (old, new))
    for name in sorted(before.keys() - after.keys()):
        yield _err("input-removed", f"inputs.{name}", "requests that have it are refused")
    for name in sorted(after.keys() - before.keys()):
        field = after[name]
        if field.optional:
            text = f"new, may be left out for {_word(field.default)}"
            yield Finding(rule="input-added", level="INFO", at=f"inputs.{name}", text=text)
        else:
            yield _err("input-required", f"inputs.{name}", "new and must be there: requests lack it")
    for name, field in before.items():
        if name in after:
            yield from _input(field, after[name])
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield Finding(rule="input-order", level="INFO", at="contract", text="the inputs are in another order")


def _input(old: Field, new: Field) -> Iterator[Finding]:
    at = f"inputs.{old.name}"
    was, now = domain_of(old), domain_of(new)
    lost, gained = beyond(was, now), beyond(now, was)
    for respect in lost:
        yield _err(f"input-{_NARROWED[respect]}", at, _change(respect, was, now))
    if gained and not set(lost) & set(gained):
        text = "; ".join(_change(respect, was, now) for respect in gained)
        yield Finding(rule="input-widened", level="INFO", at=at, text=text)
    if old.type != new.type and "type" not in lost:
        text = f"{old.type} → {new.type}: what sends typed columns, such as tensors, must send the new type"
        yield Finding(rule="input-type", level="WARN", at=at, text=text)
    if old.optional and not new.optional:
        yield _err("input-required", at, "must be there: it could be left out")
    elif new.optional and not old.optional:
        text = f"may be left out for {_word(new.default)}"
        yield Finding(rule="input-may-be-missing", level="INFO", at=at, text=text)
    elif old.optional and not _is_same(old.default, new.default):
        text = f"what stands where it is left out: {_word(old.default)} → {_word(new.default)}"
        yield _err("input-default", at, text)
    yield from _unit(at, old.unit, new.unit)
    if old.sensitive != new.sensitive:
        text = f"it is {'' if new.sensitive else 'not '}sensitive now"
        yield Finding(rule="input-sensitive", level="INFO", at=at, text=text)
    elif old.redaction != new.redaction:
        yield Finding(rule="input-sensitive", level="INFO", at=at, text="it is logged otherwise")


def _outputs(old: Signature, new: Signature) -> Iterator[Finding]:
    after = {output.name: output for output in new.outputs}
    for output in old.outputs:
        if output.name in after:
            yield from _output(output, after[output.name])
        else:
            yield _err("output-removed", f"outputs.{output.name}", "answers do not have it any more")
    before = {output.name for output in old.outputs}
    for name in sorted(after.keys() - before):
        yield Finding(rule="output-added", level="INFO", at=f"outputs.{name}", text="answers have it too")


def _output(old: Output, new: Output) -> Iterator[Finding]:
    at = f"outputs.{old.name}"
    if old.semantics != new.semantics:
        yield _err("output-semantics", at, f"was a {old.semantics}, is a {new.semantics}")
        return
    was, now = output_domain(old), output_domain(new)
    gained = beyond(now, was)
    labels = bool(old.labels or new.labels)
    for respect in gained:
        if not (labels and respect == "values"):
            yield _err(f"output-{_WIDENED[respect]}", at, _change(respect, was, now))
    if beyond(was, now) and not gained and not labels:
        text = "; ".join(_change(respect, was, now) for respect in beyond(was, now))
        yield Finding(rule="output-narrowed", level="INFO", at=at, text=text)
    if old.type != new.type and "type" not in gained:
        text = f"{old.type} → {new.type}: what reads typed columns, such as tensors, gets the new type"
        yield Finding(rule="output-type", level="WARN", at=at, text=text)
    yield from _labels(at, old, new)
    yield from _unit(at, old.unit, new.unit)


def _labels(at: str, old: Output, new: Output) -> Iterator[Finding]:
    was_closed, is_closed = (bool(one.labels) and not one.extensible for one in (old, new))
    if was_closed and not is_closed:
        yield _err("output-labels-opened", at, "other labels may come at any time; the set was closed")
    elif is_closed and not was_closed:
        text = "the set of labels is closed now"
        yield Finding(rule="output-labels-closed", level="INFO", at=at, text=text)
    if old.labels and new.labels:
        yield from _named_labels(at, old, new)


def _named_labels(at: str, old: Output, new: Output) -> Iterator[Finding]:
    added = [label for label in new.labels if not _has(old.labels, label)]
    removed = [label for label in old.labels if not _has(new.labels, label)]
    if added:
        level: Level = "WARN" if old.extensible else "ERR"
        yield Finding(rule="output-label-added", level=level, at=at, text=f"new labels: {_listed(added)}")
    if removed:
        is_key = old.semantics == "probability"  # each label has a key of its own, which applications read
        text = f"labels that are not given any more: {_listed(removed)}"
        yield Finding(rule="output-label-removed", level="ERR" if is_key else "INFO", at=at, text=text)
    kept = [label for label in old.labels if _has(new.labels, label)]
    if kept != [label for label in new.labels if _has(old.labels, label)]:
        yield _err("output-label-order", at, f"{_listed(old.labels)} → {_listed(new.labels)}")


def _whole(old: Signature, new: Signature) -> Iterator[Finding]:
    if old.task != new.task:
        yield Finding(rule="task", level="WARN", at="contract", text=f"was {old.task}, is {new.task}")
    if old.major != new.major:
        text = f"{old.major} → {new.major}: served at another address, beside the old one"
        yield _err("major", "contract", text)
    if new.max_rows < old.max_rows:
        text = f"rows in one request: {old.max_rows:,} → {new.max_rows:,}"
        yield Finding(rule="batch-limit-lowered", level="WARN", at="contract", text=text)
    elif new.max_rows > old.max_rows:
        text = f"rows in one request: {old.max_rows:,} → {new.max_rows:,}"
        yield Finding(rule="batch-limit-raised", level="INFO", at="contract", text=text)
    if old.deterministic and not new.deterministic:
        yield _err("not-deterministic", "contract", "the same row may get another answer")
    elif new.deterministic and not old.deterministic:
        text = "the same row gets the same answer now"
        yield Finding(rule="deterministic", level="INFO", at="contract", text=text)
    yield from _slo(old, new)


def _slo(old: Signature, new: Signature) -> Iterator[Finding]:
    was, now = old.slo, new.slo
    if was == now:
        return
    text = f"{_promise(old)} → {_promise(new)}"
    is_kept = was is None or (now is not None and now.p95_ms <= was.p95_ms and now.rows >= was.rows)
    rule = "slo-tightened" if is_kept else "slo-loosened"
    yield Finding(rule=rule, level="INFO" if is_kept else "WARN", at="contract", text=text)


def _promise(signature: Signature) -> str:
    slo = signature.slo
    return "no promised time" if slo is None else f"p95 {slo.p95_ms:g} ms at {slo.rows:,} rows"


def _unit(at: str, old: str, new: str) -> Iterator[Finding]:
    if old and old != new:
        yield _err("unit", at, f"{old} → {new or 'none'}")
    elif old != new:
        yield Finding(rule="unit-named", level="INFO", at=at, text=f"its unit is named: {new}")


def _err(rule: str, at: str, text: str) -> Finding:
    return Finding(rule=rule, level="ERR", at=at, text=text)


_NARROWED = {
    "null": "not-nullable",
    "type": "type-narrowed",
    "values": "values-removed",
    "minimum": "minimum-raised",
    "maximum": "maximum-lowered",
    "length": "length-lowered",
    "pattern": "pattern-changed",
}
_WIDENED = {
    "null": "nullable",
    "type": "type-generalised",
    "values": "values-added",
    "minimum": "minimum-lowered",
    "maximum": "maximum-raised",
    "length": "length-raised",
    "pattern": "pattern-changed",
}


def _change(respect: Respect, old: Domain, new: Domain) -> str:
    """Return what changed in one respect, for people."""
    was, now = (_in_respect(respect, domain) for domain in (old, new))
    return f"{was} → {now}"


def _in_respect(respect: Respect, domain: Domain) -> str:
    field = domain.field
    match respect:
        case "null":
            return "null is taken" if field.nullable else "null is refused"
        case "type":
            return field.type
        case "values":
            return "any value" if domain.values is None else f"one of {_listed(domain.values)}"
        case "minimum":
            return "no least value" if domain.lower is None else f"at least {domain.lower}"
        case "maximum":
            return "no greatest value" if domain.upper is None else f"at most {domain.upper}"
        case "length":
            return "any length" if field.max_length is None else f"at most {field.max_length} characters"
        case "pattern":
            return f"matches {field.pattern}" if field.pattern else "any text"


def _has(labels: tuple[Any, ...], label: Any) -> bool:
    """Tell whether a label is among others; 1 is not True."""
    return any(type(one) is type(label) and one == label for one in labels)


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _word(value: Any) -> str:
    return "null" if value is None else repr(value)


def _listed(values: Any) -> str:
    shown = ", ".join(str(value) for value in list(values)[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown}, … ({len(values)} in all)"
