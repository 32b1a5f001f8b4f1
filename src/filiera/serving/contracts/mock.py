"""A model that stands in for one that keeps a contract: any answer that is promised, the same for the same row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from filiera.core.digest import digest
from filiera.core.signature import Output
from filiera.serving.app import App
from filiera.serving.contract import ModelContract
from filiera.serving.domain import INTEGER_RANGES, output_domain
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_PARTS = 2**32


class MockModel:
    """Answers as a signature promises, from nothing but the digest of a row."""

    def __init__(self, outputs: tuple[Output, ...]) -> None:
        self._shares = next((output for output in outputs if output.semantics == "probability"), None)
        self._answer = next((output for output in outputs if output.semantics != "probability"), None)

    def predict(self, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
        """Return one answer per row; where there are probabilities, the most probable label."""
        import numpy as np

        drawn = [_number(row) for row in rows.rows()]
        if self._answer is None:
            return np.zeros(len(drawn))
        if self._shares is not None and self._answer.semantics == "label":
            best = self._probabilities(rows).argmax(axis=1)
            named: np.ndarray[Any, Any] = np.asarray(self._shares.labels)[best]
            return named
        values = [_value(self._answer, number) for number in drawn]
        return np.asarray(values)

    def predict_proba(self, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
        """Return one probability per row and label, which sum to 1."""
        return self._probabilities(rows)

    def _probabilities(self, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
        import numpy as np

        labels = self._shares.labels if self._shares is not None else ()
        drawn = [[1 + _number((*row, label)) % 1000 for label in labels] for row in rows.rows()]
        table = np.asarray(drawn, dtype=np.float64)
        made: np.ndarray[Any, Any] = table / table.sum(axis=1, keepdims=True)
        return made


def mock_app(contract: ModelContract) -> App:
    """Return a service that takes and answers what *contract* says, without any model."""
    signature = replace(contract.signature, answers=())  # of the model, not of what stands in for it
    model = MockModel(signature.outputs)
    served = ServedModel(contract.name, model, version=contract.version, signature=signature)
    return App([ModelMount(Endpoint(served))])


def _number(row: Any) -> int:
    """Return a number below 2³² that depends on the row alone."""
    return int(digest("mock/1", repr(row).encode("utf-8", "backslashreplace"))[:8], 16)


def _value(output: Output, number: int) -> Any:
    domain = output_domain(output)
    values = output.labels or domain.values
    if values:
        return values[number % len(values)]
    if output.type == "bool":
        return bool(number % 2)
    if output.type not in INTEGER_RANGES and output.type not in ("float32", "float64"):
        return f"answer {number}"
    lower = 0 if output.minimum is None else domain.lower
    upper = 1 if output.maximum is None else domain.upper
    assert lower is not None and upper is not None
    if output.type in INTEGER_RANGES:
        upper = max(lower, 9 if output.maximum is None else upper)
        return int(lower) + number % (int(upper) - int(lower) + 1)
    return lower + (max(lower, upper) - lower) * (number / _PARTS)
