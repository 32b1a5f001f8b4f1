"""Whether a model answers the examples of its signature here as it did when it was published.

Another release of a library, another runtime or processor can make another model of the same bytes. Nobody would notice
that until outcomes come in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filiera.core.signature import Output, Signature
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Outputs

TOLERANCE = 1e-4
"""Largest difference between numbers a and b that counts as none: TOLERANCE · max(1, |b|). Runtimes that compute in 32
bits keep 24 of them, about 1e-7, fewer after a hundred sums."""


def other_answers(signature: Signature, outputs: Outputs) -> list[str]:
    """Return where *outputs*, to the first examples of a signature, are not what is kept with them; a line each.

    Nothing is compared when no answers are kept, or the signature says that answers are drawn.
    """
    if not signature.deterministic:
        return []
    return [
        f"{what} of example {number}: {_shown(was)} when it was published, {_shown(found)} here"
        for output, values in zip(signature.outputs, outputs, strict=True)
        for number, (answer, found_all) in enumerate(zip(signature.answers, values.tolist(), strict=False), start=1)
        for what, was, found in _parts(output, answer.get(output.name), found_all)
        if not _is_same(was, found)
    ]


def _parts(output: Output, was: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of an answer of one output: where it stands, what was kept, what is found."""
    key = ANSWER_KEYS[output.semantics]
    if output.semantics != "probability":
        yield key, was, found
    elif was is None or len(was) != len(found):
        yield key, was, tuple(found)
    else:
        for label, one, other in zip(output.labels, was, found, strict=True):
            yield f"{key}.{label_key(label)}", one, other


def _is_same(was: Any, found: Any) -> bool:
    if isinstance(was, float) and isinstance(found, float):
        return abs(was - found) <= TOLERANCE * max(1.0, abs(was))
    return bool(was == found)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
