"""Tensors of the Open Inference Protocol, version 2, into a batch, and predictions into tensors.

Source: the protocol's specification, github.com/kserve/open-inference-protocol (Apache-2.0). Each input of a signature
is a tensor of shape ``[rows]`` or ``[rows, 1]``; where all inputs are of one type of number, a tensor named ``rows`` of
shape ``[rows, inputs]`` may stand for all of them. A tensor ``NAME__valid`` of truths says which values of a nullable
input are there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from filiera.core.signature import Field, Output, Signature
from filiera.core.value import dataclass
from filiera.serving.batch import Batch
from filiera.serving.columns import ColumnDecoder, Given, moments
from filiera.serving.domain import INTEGER_RANGES
from filiera.serving.problem import MAX_ERRORS, RowError, invalid_rows, place_of

if TYPE_CHECKING:
    import numpy as np

    from filiera.serving.served_model import Predictions

    Array: TypeAlias = np.ndarray[Any, Any]

MATRIX = "rows"
IDS = "id"
VALID = "__valid"
DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    **{kind: kind.upper() for kind in INTEGER_RANGES},
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    "date": "BYTES",
    "timestamp": "BYTES",
}
"""The protocol's name of each type of a signature; dates and times are texts, as in JSON."""
DTYPES: Mapping[str, str] = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""NumPy's name of each datatype but BYTES: also how its values lie in binary data."""
UNITS: Mapping[str, tuple[str, ...]] = {"date": ("D",), "timestamp": ("s", "ms", "us", "ns")}
"""What ``parameters.unit`` of an INT64 tensor may say: dates in days since 1970, times in parts of a second, in UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What a request says of one input tensor."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    unit: str = ""  #: ``parameters.unit``

    @property
    def at(self) -> str:
        """Return its place in the request."""
        return place_of("inputs", self.name)

    @property
    def count(self) -> int:
        """Return how many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of a response."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Array | Sequence[str]  #: of BYTES a flat sequence of texts


class TensorDecoder:
    """Takes the input tensors of one signature."""

    def __init__(self, columns: ColumnDecoder, signature: Signature) -> None:
        """Prepare the decoder, whose columns then go to *columns*."""
        self._columns = columns
        self._fields = {field.name: field for field in signature.inputs}
        self._masks = {field.name + VALID: field.name for field in signature.inputs if has_mask(field, self._fields)}

    def check(self, heads: Sequence[Head]) -> None:
        """Raise RequestRefused unless the signature takes such tensors; to be asked before their values are read."""
        if not heads:
            raise invalid_rows([RowError(at="inputs", rule="must have one tensor per field")])
        errors = [RowError(at=head.at, rule=rule) for head in heads if (rule := self._broken_rule(head, heads))]
        if errors:
            raise invalid_rows(errors[:MAX_ERRORS])
        self._columns.check_height(heads[0].shape[0])

    def batch(self, heads: Sequence[Head], contents: Sequence[Array | Sequence[Any]]) -> Batch:
        """Return the rows that tensors hold.

        Args:
            heads: What ``check`` has let pass.
            contents: The values of each tensor, flat: numbers and truths as arrays, or as lists of what JSON had; texts
                as lists.

        Raises:
            RequestRefused: They break the signature.
        """
        height = heads[0].shape[0]
        if self._is_matrix(heads):
            return self._of_matrix(heads[0], contents[0])
        by_name = {head.name: (head, values) for head, values in zip(heads, contents, strict=True)}
        given = {
            name: _given(self._fields.get(name), head, values, self._missing(name, by_name))
            for name, (head, values) in by_name.items()
            if name not in self._masks
        }
        return self._columns.batch(given, height)

    def _is_matrix(self, heads: Sequence[Head]) -> bool:
        return len(heads) == 1 and heads[0].name == MATRIX and len(heads[0].shape) == 2 and MATRIX not in self._fields

    def _of_matrix(self, head: Head, values: Any) -> Batch:
        if isinstance(values, Sequence):
            names = list(self._fields)
            return self._columns.batch(
                {name: Given(values=values[place :: len(names)]) for place, name in enumerate(names)}, head.shape[0]
            )
        return self._columns.of_matrix(values.reshape(head.shape))

    def _missing(self, name: str, by_name: Mapping[str, tuple[Head, Any]]) -> Array | None:
        import numpy as np

        found = by_name.get(name + VALID)
        if found is None or name + VALID not in self._masks:
            return None
        head, values = found
        if isinstance(values, Sequence):
            raise invalid_rows([RowError(at=head.at, rule="must have values that are true or false")])
        missing: Array = np.logical_not(values)
        return missing

    def _broken_rule(self, head: Head, heads: Sequence[Head]) -> str | None:
        if sum(other.name == head.name for other in heads) > 1:
            return "is given more than once"
        if self._is_matrix(heads):
            return self._broken_matrix(head)
        if head.name in self._fields:
            rule = _broken_datatype(self._fields[head.name], head)
        elif head.name in self._masks:
            rule = None if head.datatype == "BOOL" else "must have datatype BOOL"
        else:
            return "is not a field of this model"
        if rule is None and (not head.shape or head.shape[1:] not in ((), (1,))):
            rule = "must have shape [rows] or [rows, 1]"
        if rule is None and head.shape[:1] != heads[0].shape[:1]:
            rule = "must have as many rows as the first tensor"
        return rule

    def _broken_matrix(self, head: Head) -> str | None:
        kind = self._columns.matrix_type
        if kind is None:
            return "needs inputs of one type of number; send one tensor per field"
        if head.datatype != DATATYPES[kind]:
            return f"must have datatype {DATATYPES[kind]}"
        return None if head.shape[1] == len(self._fields) else f"must have shape [rows, {len(self._fields)}]"


def has_mask(field: Field, names: Collection[str]) -> bool:
    """Tell whether a tensor may say which values of *field* are there: if no input, of *names*, has its name."""
    return field.nullable and field.name + VALID not in names


def input_metadata(signature: Signature) -> list[dict[str, Any]]:
    """Return what the protocol says of the inputs: name, datatype, shape; -1 stands for the number of rows."""
    names = {field.name for field in signature.inputs}
    found = []
    for field in signature.inputs:
        found.append({"name": field.name, "datatype": DATATYPES[field.type], "shape": [-1]})
        if has_mask(field, names):
            found.append({"name": field.name + VALID, "datatype": "BOOL", "shape": [-1]})
    return found


def output_metadata(signature: Signature) -> list[dict[str, Any]]:
    """Return what the protocol says of the outputs, and of the ids of predictions, which are one more."""
    shapes = [[-1, len(each.labels)] if each.semantics == "probability" else [-1] for each in signature.outputs]
    return [
        *(
            {"name": each.name, "datatype": DATATYPES[each.type], "shape": shape}
            for each, shape in zip(signature.outputs, shapes, strict=True)
        ),
        *([] if _own_ids(signature.outputs) else [{"name": IDS, "datatype": "BYTES", "shape": [-1]}]),
    ]


def output_names(outputs: Sequence[Output]) -> list[str]:
    """Return the names of the tensors of a response."""
    return [*(output.name for output in outputs), *([] if _own_ids(outputs) else [IDS])]


def check_outputs(outputs: Sequence[Output], asked: Sequence[str]) -> None:
    """Raise RequestRefused if a tensor is asked for that a response does not have, or twice."""
    known = output_names(outputs)
    errors = [
        RowError(at=place_of("outputs", name), rule=rule)
        for place, name in enumerate(asked)
        if (rule := _broken_output(name, known, asked[:place])) is not None
    ]
    if errors:
        raise invalid_rows(errors[:MAX_ERRORS])


def tensors_of(predictions: Predictions, asked: Sequence[str]) -> list[Tensor]:
    """Return the tensors *asked* for; all if none is."""
    outputs = {
        output.name: (output, values) for output, values in zip(predictions.promised, predictions.outputs, strict=True)
    }
    names = asked or output_names(predictions.promised)
    return [
        _tensor(*outputs[name])
        if name in outputs
        else Tensor(name=IDS, datatype="BYTES", shape=(len(predictions.ids),), values=predictions.ids)
        for name in names
    ]


def _own_ids(outputs: Sequence[Output]) -> bool:
    """Tell whether the model has an output where the ids of predictions would stand."""
    return any(output.name == IDS for output in outputs)


def _tensor(output: Output, values: Array) -> Tensor:
    import numpy as np

    datatype = DATATYPES[output.type]
    if datatype == "BYTES":
        return Tensor(name=output.name, datatype=datatype, shape=values.shape, values=[str(each) for each in values])
    typed = np.ascontiguousarray(values, dtype=DTYPES[datatype])
    return Tensor(name=output.name, datatype=datatype, shape=values.shape, values=typed)


def _broken_output(name: str, known: Sequence[str], before: Sequence[str]) -> str | None:
    if name not in known:
        return f"is not an output of this model; those are: {', '.join(known)}"
    return "is asked for more than once" if name in before else None


def _broken_datatype(field: Field, head: Head) -> str | None:
    expected = DATATYPES[field.type]
    if head.datatype == expected:
        return None
    units = UNITS.get(field.type)
    if units is None:
        return f"must have datatype {expected}"
    if head.datatype != "INT64" or head.unit not in units:
        return f"must have datatype BYTES, or INT64 with parameters.unit one of: {', '.join(units)}"
    return None


def _given(field: Field | None, head: Head, values: Any, missing: Array | None) -> Given:
    if field is not None and field.type in UNITS and head.datatype == "INT64":
        values = values if isinstance(values, Sequence) else moments(field.type, head.unit, values)
    if not isinstance(values, Sequence):
        return Given(values=values, missing=missing)
    if missing is not None:
        values = [None if is_missing else value for value, is_missing in zip(values, missing.tolist(), strict=True)]
    return Given(values=values)
