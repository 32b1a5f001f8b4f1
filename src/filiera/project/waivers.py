"""Waivers of gates: ``[[waivers]]`` in ``filiera.toml``, each with a reason and a last day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from filiera.core.gate import Gate, Waiver
from filiera.core.value import dataclass
from filiera.errors import ProjectError, did_you_mean

_KEYS = ("model", "gate", "reason", "until")


@dataclass(frozen=True, slots=True)
class ModelWaiver:
    """A waiver and the model that it is for."""

    model: str
    waiver: Waiver


def read_waivers(tables: object, where: str) -> tuple[ModelWaiver, ...]:
    """Return what ``[[waivers]]`` of a file says. Raises ProjectError."""
    if not isinstance(tables, list):
        raise ProjectError(f"waivers in {where} must be tables, each as [[waivers]].")
    return tuple(_waiver(table, where) for table in tables)


def waivers_of(waivers: Sequence[ModelWaiver], model: str, gates: Sequence[Gate], today: dt.date) -> tuple[Waiver, ...]:
    """Return the waivers of a model that still count.

    Raises:
        ProjectError: One names a gate that the model does not have: a gate that was changed is not waived unseen.
    """
    names = [str(gate) for gate in gates]
    found = [each.waiver for each in waivers if each.model == model]
    for waiver in found:
        if waiver.gate not in names:
            raise ProjectError(
                f"A waiver names the gate {waiver.gate!r}, which model {model!r} does not have.",
                why=f"It has: {'; '.join(names) or 'none'}.{did_you_mean(waiver.gate, names)}",
                do="Correct or remove it in filiera.toml.",
            )
    return tuple(waiver for waiver in found if today.isoformat() <= waiver.until)


def _waiver(table: Any, where: str) -> ModelWaiver:
    if not isinstance(table, dict) or sorted(table) != sorted(_KEYS):
        raise ProjectError(
            f"A waiver in {where} has {', '.join(table) if isinstance(table, dict) else table!r}.",
            why="A gate is waived for a model, for a reason, until a day.",
            do="Give model, gate (as it is printed), reason, and until (such as 2026-12-31).",
        )
    texts = [table[key] for key in ("model", "gate", "reason")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ProjectError(f"A waiver in {where} has an empty model, gate or reason.", do="Say who may pass, and why.")
    until = table["until"]
    if isinstance(until, dt.datetime) or not isinstance(until, dt.date):
        raise ProjectError(f"A waiver in {where} ends at {until!r}.", do="Write a day: until = 2026-12-31")
    return ModelWaiver(texts[0], Waiver(gate=texts[1], reason=texts[2].strip(), until=until.isoformat()))
