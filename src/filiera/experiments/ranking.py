"""Which of several runs of a pipeline is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from filiera.experiments.records import RunRecord


def deciding_metric(records: Sequence[RunRecord]) -> str:
    """Return the metric of the first gate that has one among those that runs were measured by, else the first, or ''.

    A gate may look at other things than the evaluation, such as the size of the model.
    """
    known = dict.fromkeys(name for record in records for name in record.metrics)
    decided = [metric for record in records for metric in record.gates.values()]
    return next((metric for metric in decided if metric in known), next(iter(known), ""))


def best_first(records: Sequence[RunRecord], metric: str) -> list[RunRecord]:
    """Return runs that succeeded before rejected ones, among these the better before the worse, without value last."""

    def key(record: RunRecord) -> tuple[bool, bool, float]:
        found = record.metric(metric)
        if found is None or math.isnan(found.value):
            return record.status != "succeeded", True, 0.0
        return record.status != "succeeded", False, -found.value if found.greater_is_better else found.value

    return sorted(records, key=key)
