"""What a model takes and gives: the one source of its API, its validation and its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from filiera.core import plain
from filiera.core.digest import digest
from filiera.core.redaction import Redaction
from filiera.core.value import dataclass

FieldType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64", "string", "date", "timestamp",
]  # fmt: skip
FIELD_TYPES: Mapping[str, FieldType] = {
    "Boolean": "bool", "Int8": "int8", "Int16": "int16", "Int32": "int32", "Int64": "int64",
    "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64",
    "Float32": "float32", "Float64": "float64", "String": "string", "Categorical": "string", "Enum": "string",
    "Date": "date", "Datetime": "timestamp",
}  # fmt: skip
"""The type of a field by the name of its column's Polars class; columns of other classes are no fields."""
Semantics = Literal["label", "probability", "value", "cluster", "score"]
Value = str | int | float | bool
Task = Literal["classification", "regression", "clustering", "ranking", "forecasting", "anomaly_detection"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One input column. The domain is what the dataset's checks promise: a value outside is refused.

    >>> Field(name="rate", type="float64", minimum=0, maximum=1).nullable
    False
    """

    name: str  #: column name
    type: FieldType  #: Arrow's name of the type
    nullable: bool = False  #: null (and, for floats, NaN) means missing and is taken
    minimum: float | None = None  #: least value taken
    maximum: float | None = None  #: greatest value taken
    values: tuple[str | int | bool, ...] | None = None  #: closed set of values taken
    max_length: int | None = None  #: most characters (Unicode code points) of a text
    pattern: str = ""  #: found in each text; see ``core.patterns`` for what it may hold
    optional: bool = False  #: may be left out of a row; then ``default`` stands for it
    default: Value | None = None  #: of an optional input, as JSON spells it; None: missing, where null is taken
    unit: str = ""  #: for people
    sensitive: bool = False  #: never echoed, and logged only as ``redaction`` says
    redaction: Redaction | None = None  #: of a sensitive one; None: not logged at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One output column."""

    name: str
    type: FieldType
    semantics: Semantics
    labels: tuple[str | int | bool, ...] = ()  #: in the order of the model, for labels and probabilities
    extensible: bool = False  #: later versions may have further labels: callers must cope with those they do not know
    minimum: float | None = None  #: least number given
    maximum: float | None = None  #: greatest number given
    unit: str = ""  #: for people


@dataclass(frozen=True, kw_only=True, slots=True)
class Slo:
    """How fast a service of the model answers: a service-level objective."""

    p95_ms: float  #: 95 of 100 requests take at most so long
    rows: int = 1  #: with so many rows each


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How applications that keep to the major before are answered, where that does not follow from both contracts.

    Inputs that are gone are left out, those that are new and optional take their defaults, labels that both have stay
    what they are; this says the rest.

    >>> Conversion(defaults={"currency": "EUR"}, factors={"duration": 1000}, labels={"huge": "big"}).factors
    {'duration': 1000}
    """

    defaults: Mapping[str, Value] = field(
        default_factory=dict
    )  #: of inputs that are new, or not to be missing any more
    factors: Mapping[str, float] = field(
        default_factory=dict
    )  #: of inputs and outputs: so many new units are an old one
    labels: Mapping[Any, Any] = field(default_factory=dict)  #: which label of before stands for a new one


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """Typed inputs and outputs; one output row per input row, order kept."""

    task: Task
    inputs: tuple[Field, ...]
    outputs: tuple[Output, ...]
    max_rows: int = 1000  #: rows taken in one request
    major: int = 1  #: of the contract: versions with the same one can stand in for each other
    deterministic: bool = True  #: the same row always gets the same answer
    slo: Slo | None = None
    conversion: Conversion | None = None  #: None: applications of the major before are not answered
    examples: tuple[Mapping[str, Any], ...] = ()  #: rows from the training data
    #: What the model gave to each example when it was published, by the name of the output; probabilities in the order
    #: of their labels. () when nobody asked it.
    answers: tuple[Mapping[str, Any], ...] = ()

    @property
    def hash(self) -> str:
        """Return the digest of what applications can notice: equal hashes mean the same contract."""
        parts = (self.task, self.inputs, self.outputs, self.max_rows, self.major, self.deterministic, self.slo)
        return digest("signature/1", *(plain.encode(part) for part in parts))
