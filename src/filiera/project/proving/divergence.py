"""What it means that a step returned something else in a clean place than is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from filiera.core.value import dataclass
from filiera.project.proving.suspects import Suspect

Cause = Literal["chance", "clock", "order", "failed", "code", "environment", "unknown"]

_FACTS = {
    "python": "Python",
    "filiera": "Filiera",
    "platform": "the system",
    "processor": "the processor",
    "processors": "the number of processors",
    "hash_seed": "PYTHONHASHSEED",
}
_LONGEST_LIST = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """The first step whose output differs, and the likely reason."""

    step: str
    cause: Cause
    why: str
    do: str


def differing_facts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words which recorded facts differ: machine, Python, distributions.

    Args:
        then: The record of the run that made the output; its ``distributions`` are lines here.
        now: The same of the place where it was proven.

    >>> differing_facts({"python": "3.11.7"}, {"python": "3.11.9"})
    ['Python was 3.11.7 and is 3.11.9']
    """
    found = []
    for name, words in _FACTS.items():
        before, after = then.get(name), now.get(name)
        if before != after and before is not None and after is not None:
            found.append(f"{words} was {before or 'not set'} and is {after or 'not set'}")
    return found + differing_versions(then.get("distributions", ()), now.get("distributions", ()))


def differing_versions(then: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return in words how two locks differ; a long list is cut.

    >>> differing_versions(["numpy==1.0", "scipy==1.0"], ["numpy==2.0"])
    ['numpy was 1.0 and is 2.0', 'scipy was 1.0 and is not installed']
    """
    before, after = _versions(then), _versions(now)
    found = [
        f"{name} was {before.get(name, 'not installed')} and is {after.get(name, 'not installed')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return found if len(found) <= _LONGEST_LIST else [*found[:_LONGEST_LIST], f"{len(found) - _LONGEST_LIST} more"]


def _versions(lock: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lock:
        if line.startswith("# "):  # a working copy: see versions_in
            name, _, rest = line[2:].partition("==")
            found[name] = f"{rest.partition(' ')[0]} (a working copy)"
        elif " @ " in line:
            name, _, found_at = line.partition(" @ ")
            found[name] = found_at
        else:
            name, _, version = line.partition("==")
            found[name] = version
    return found


def explain_chance(step: str, values: int, suspects: Sequence[Suspect], hash_seed: str) -> Divergence:
    """Return what it means that a step, run several times on equal inputs, returned *values* different values."""
    said = f"Run three times on equal inputs in one place, it returned {values} different values"
    by_kind = {kind: [s for s in suspects if s.kind == kind] for kind in ("chance", "clock", "order")}
    if chance := by_kind["chance"]:
        do = "Make the seed a parameter: random.Random(seed), numpy.random.default_rng(seed), random_state=seed."
        return Divergence(step=step, cause="chance", why=f"{said}: it draws random numbers, {_named(chance)}.", do=do)
    if clock := by_kind["clock"]:
        do = "Make the time a parameter, or give the step cache=False and take the time out of what it returns."
        return Divergence(step=step, cause="clock", why=f"{said}: it reads the clock, {_named(clock)}.", do=do)
    if order := by_kind["order"]:
        why = f"{said}: the order in which something comes may decide, {_named(order)}."
        do = "Sort what it returns; polars keeps the order with maintain_order=True."
        return Divergence(step=step, cause="order", why=why, do=do)
    why = f"{said}. Its code names nothing that draws random numbers or reads the clock."
    if hash_seed in ("", "random"):
        why += " PYTHONHASHSEED was not set, so the order of a set of texts differs from process to process."
    do = "Sort what comes from a set; look for threads, and for what libraries draw by themselves."
    return Divergence(step=step, cause="order", why=why, do=do)


def explain_difference(step: str, code: Sequence[str], facts: Sequence[str]) -> Divergence:
    """Return what it means that a step returns the same each time here, but not what is recorded.

    Args:
        step: Its name.
        code: What differs between the code of then and that of now, in words.
        facts: What else differs, see ``differing_facts``.
    """
    said = "Run three times in a clean place, it returned one value, which is not the recorded one."
    if code:
        listed = "; ".join(code[:_LONGEST_LIST])
        do = "Commit the project's code, and let no step depend on files that git ignores."
        return Divergence(
            step=step, cause="code", why=f"{said} Its code or parameters are not the same: {listed}.", do=do
        )
    if facts:
        do = "Prove it where these are as they were, to see which one decides."
        return Divergence(step=step, cause="environment", why=f"{said} What differs: {'; '.join(facts)}.", do=do)
    why = f"{said} Nothing that is recorded differs: it depends on a file, a variable or a service outside."
    do = "Make what it reads a source of the catalog, or a parameter."
    return Divergence(step=step, cause="unknown", why=why, do=do)


def explain_failure(step: str, failure: str) -> Divergence:
    """Return what it means that a step that succeeded then fails in a clean place."""
    do = "What it needs is not in the record: commit it, or make it a source of the catalog."
    return Divergence(step=step, cause="failed", why=f"It fails in a clean place: {failure}", do=do)


def _named(suspects: Sequence[Suspect]) -> str:
    words = [f"{suspect.name} in {suspect.place}" for suspect in suspects[:_LONGEST_LIST]]
    return "; ".join(words)
