"""What gates look at beside the evaluation: size, speed, drift of the rows evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filiera.core.gate import Gate
from filiera.core.metric import Metric
from filiera.core.reference import ReferenceProfile
from filiera.core.value import dataclass

MODEL_MB, EVALUATION_DRIFT = "model_mb", "evaluation_drift"
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured beside the evaluation, each only where a gate names what it is for."""

    timed: Metric | None = None  #: ``predict_ms``
    size: int | None = None  #: the model's stored bytes, for ``model_mb``
    reference: ReferenceProfile | None = None  #: of the champion's training rows, for ``evaluation_drift``


def costs(gates: Sequence[Gate], of: Measured, evaluated: Any) -> dict[str, Metric]:
    """Return metrics that *gates* name beside the evaluation's, by name; *evaluated* is a ``polars.LazyFrame``."""
    wanted = {gate.metric for gate in gates}
    found: dict[str, Metric] = {}
    if MODEL_MB in wanted and of.size is not None:
        size = of.size / _BYTES_PER_MB
        found[MODEL_MB] = _exact(MODEL_MB, size, n=1, method="bytes stored")
    if of.timed is not None:
        found[of.timed.name] = of.timed
    if EVALUATION_DRIFT in wanted and evaluated is not None:
        found[EVALUATION_DRIFT] = _drift(of.reference, evaluated)
    return found


def _exact(name: str, value: float, *, n: int, method: str) -> Metric:
    return Metric(name=name, value=value, low=value, high=value, n=n, method=method, greater_is_better=False)


def _drift(reference: ReferenceProfile | None, evaluated: Any) -> Metric:
    """Return the greatest effect among the changes of columns that are unlikely to be chance; 0 where there is none."""
    from filiera.monitoring.drift import compare

    if reference is None:
        return _exact(EVALUATION_DRIFT, 0.0, n=0, method="no champion yet")
    columns = [each.name for each in reference.columns if each.name in evaluated.collect_schema().names()]
    report = compare(reference, evaluated.select(columns).collect())
    alarms = [finding for finding in report.findings if finding.is_alarm]
    worst = max(alarms, key=lambda finding: finding.effect or 1.0, default=None)
    value = 0.0 if worst is None else (1.0 if worst.effect is None else worst.effect)
    method = "no column drifted" if worst is None else f"{worst.column}: {worst.effect_name or worst.state}"
    return _exact(EVALUATION_DRIFT, value, n=report.current_rows, method=method)
