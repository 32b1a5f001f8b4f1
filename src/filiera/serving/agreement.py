"""How far two versions agree on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filiera.core.delivery import Tally
from filiera.core.signature import Output
from filiera.serving.batch import Outputs

if TYPE_CHECKING:
    import numpy as np

_CLOSE = 0.01
"""Two numbers are the same answer when they differ by at most this share of the first."""


def compared(promised: tuple[Output, ...], usual: Outputs, others: tuple[Output, ...], tried: Outputs) -> Tally:
    """Return in how many rows two versions give the same answer, and by how much the score moved.

    Labels and clusters are the same or not; numbers are when they differ by at most a hundredth. The score is the
    number of a regression, or a classifier's probability of its first label.

    Args:
        promised: The outputs of the version that answers.
        usual: What it gave, as many rows as the other.
        others: The outputs of the candidate: one that it does not have makes no row agree.
        tried: What that gave.
    """
    import numpy as np

    rows = len(usual[0])
    theirs = {output.name: (output, values) for output, values in zip(others, tried, strict=True)}
    same = np.ones(rows, dtype=bool)
    shift = np.zeros(rows)
    for output, ours in zip(promised, usual, strict=True):
        if output.name not in theirs or len(theirs[output.name][1]) != rows:
            return Tally(rows=rows)
        other, values = theirs[output.name]
        if output.semantics in ("label", "cluster"):
            same &= np.asarray([str(one) == str(two) for one, two in zip(ours, values, strict=True)], dtype=bool)
        elif output.semantics == "probability":
            if output.labels and output.labels[0] in other.labels:
                shift = _floats(values)[:, other.labels.index(output.labels[0])] - _floats(ours)[:, 0]
        else:
            shift = _floats(values) - _floats(ours)
            same &= np.abs(shift) <= _CLOSE * np.abs(_floats(ours))
    shift = np.where(np.isfinite(shift), shift, 0.0)
    return Tally(rows=rows, agreed=int(same.sum()), shift=float(shift.sum()), shift_squared=float((shift**2).sum()))


def _floats(values: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(values, dtype=float)
