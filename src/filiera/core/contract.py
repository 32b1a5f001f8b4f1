"""What a project promises of a model's API beyond what training data and checks say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field, replace
from itertools import compress
from typing import Any

from filiera.core.patterns import portable
from filiera.core.redaction import Redaction
from filiera.core.signature import Conversion, Field, Output, Signature, Slo, Value
from filiera.core.value import dataclass
from filiera.errors import ProjectError, did_you_mean

_TEXT = "string"
_NUMBERS = ("int", "uint", "float")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What applications that call a model may count on, where it cannot be learnt from the data.

    Types come from the training table and domains from the checks of the dataset; this says the rest, by the names of
    inputs and outputs.

    Raises:
        ProjectError: A number that is none, such as a major of 0, or a pattern that not all dialects read alike.

    >>> Contract(defaults={"retries": 0}, units={"duration": "s"}, p95_ms=20).major
    1
    """

    major: int = 1  #: one more when an application that kept to the contract so far must change
    defaults: Mapping[str, Value | None] = field(default_factory=dict)  #: inputs that may be left out, and what stands
    units: Mapping[str, str] = field(default_factory=dict)  #: of inputs and outputs
    max_lengths: Mapping[str, int] = field(default_factory=dict)  #: most characters of texts
    patterns: Mapping[str, str] = field(default_factory=dict)  #: regular expressions found in texts
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)  #: of outputs; None: no end
    redact: Mapping[str, str | tuple[float, ...]] = field(default_factory=dict)  #: "drop", "hash" or edges of bins
    extensible: bool = False  #: later versions may give further labels, which applications must cope with
    max_rows: int = 1000  #: rows taken in one request
    p95_ms: float | None = None  #: 95 of 100 requests take at most so many milliseconds
    at_rows: int = 1  #: with so many rows each
    deterministic: bool = True  #: the same row always gets the same answer
    conversion: Conversion | None = None  #: applications of the major before are answered too, at their address

    def __post_init__(self) -> None:
        numbers = {"major": self.major, "max_rows": self.max_rows, "at_rows": self.at_rows}
        wrong = [f"{name} is {number!r}" for name, number in numbers.items() if type(number) is not int or number < 1]
        wrong += [f"the length of {name!r} is {most!r}" for name, most in self.max_lengths.items() if most < 0]
        if self.p95_ms is not None and not self.p95_ms > 0:
            wrong.append(f"p95_ms is {self.p95_ms!r}")
        if wrong:
            raise ProjectError("A contract cannot be kept.", why=f"{'; '.join(wrong)}.", do="Use numbers from 1 on.")
        for pattern in self.patterns.values():
            portable(pattern)
        if self.conversion is not None and self.major == 1:
            raise ProjectError("A contract converts from the major before it.", why="Before major 1 there was none.")
        for name, factor in (self.conversion or Conversion()).factors.items():
            if not 0 < factor < math.inf:
                raise ProjectError(f"The contract converts {name!r} by {factor!r}.", why="A factor is above 0.")
        for name, said in self.redact.items():
            _redaction(name, said)

    def applied(self, signature: Signature) -> Signature:
        """Return *signature* with what the contract says.

        Raises:
            ProjectError: The contract names an input or output that there is not, or says of it what it cannot be.
        """
        inputs = tuple(self._input(one) for one in signature.inputs)
        outputs = tuple(self._output(one) for one in signature.outputs)
        names = {one.name for one in inputs} | {one.name for one in outputs}
        conversion = self.conversion or Conversion()
        given = (self.defaults, self.units, self.max_lengths, self.patterns, self.ranges, conversion.defaults)
        unknown = [name for part in (*given, conversion.factors) for name in part if name not in names]
        unknown += [name for name in self.redact if name not in {one.name for one in inputs}]
        if unknown:
            raise ProjectError(
                f"The contract speaks of {unknown[0]!r}, which the model neither takes nor gives.",
                why=f"There are: {', '.join(sorted(names))}.{did_you_mean(unknown[0], names)}",
            )
        taken = [self._takes(row) for row in signature.examples]
        slo = None if self.p95_ms is None else Slo(p95_ms=float(self.p95_ms), rows=self.at_rows)
        return replace(
            signature,
            inputs=inputs,
            outputs=outputs,
            max_rows=self.max_rows,
            major=self.major,
            deterministic=self.deterministic,
            slo=slo,
            conversion=self.conversion,
            examples=tuple(compress(signature.examples, taken)),
            answers=tuple(compress(signature.answers, taken)),
        )

    def _takes(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of the training data keeps the limits of texts, so that it can be an example."""
        for name, value in row.items():
            if isinstance(value, str) and len(value) > self.max_lengths.get(name, len(value)):
                return False
            if isinstance(value, str) and not re.search(portable(self.patterns.get(name, "")), value):
                return False
        return True

    def _input(self, one: Field) -> Field:
        said: dict[str, Any] = {}
        if one.name in self.defaults:
            default = self.defaults[one.name]
            if one.type.startswith("float") and type(default) is int:
                default = float(default)
            said |= {"optional": True, "default": default}
        for part, key in ((self.units, "unit"), (self.max_lengths, "max_length"), (self.patterns, "pattern")):
            if one.name in part:
                said[key] = part[one.name]
        if one.type != _TEXT and ("max_length" in said or "pattern" in said):
            raise ProjectError(
                f"The contract gives input {one.name!r} a length or pattern.", why=f"It is a {one.type}."
            )
        if one.name in self.redact:
            redaction = _redaction(one.name, self.redact[one.name])
            if redaction.how == "bins" and not one.type.startswith(_NUMBERS):
                raise ProjectError(f"The contract puts input {one.name!r} into bins.", why=f"It is a {one.type}.")
            said |= {"sensitive": True, "redaction": redaction}
        return replace(one, **said)

    def _output(self, one: Output) -> Output:
        least, most = self.ranges.get(one.name, (one.minimum, one.maximum))
        return replace(
            one,
            unit=self.units.get(one.name, one.unit),
            minimum=least,
            maximum=most,
            extensible=self.extensible and bool(one.labels),
        )


def _redaction(name: str, said: Any) -> Redaction:
    try:
        return Redaction.said(said)
    except (TypeError, ValueError) as error:
        do = 'Write "drop", "hash", or ascending edges such as (18, 65).'
        raise ProjectError(f"The contract cannot redact {name!r}.", why=f"{error}.", do=do) from error
