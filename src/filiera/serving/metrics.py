"""What a service counts about itself, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGES: Mapping[str, tuple[str, str]] = {
    "filiera_rows_waiting": ("gauge", "Rows that wait for the model."),
    "filiera_batches_total": (
        "counter",
        "Batches predicted, by why they had no more rows: idle, nothing else waited; full; deadline.",
    ),
    "filiera_batch_rows_total": ("counter", "Rows in these batches."),
    "filiera_queue_seconds_total": ("counter", "Time that requests waited for their batch, summed."),
    "filiera_log_dropped_total": ("counter", "Predictions that the log could not keep."),
    "filiera_version_failures_total": ("counter", "Attempts to load a version that did not load or warm up."),
}
"""What a mount may measure of itself: kind and text by name, which labels may follow."""


class Metrics:
    """Counts requests, rows and time. Only the thread of the event loop touches it."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._rows: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def count(self, model: str, *, status: int, took_s: float, rows: int) -> None:
        """Count one answered predict request, refused ones too."""
        self._requests[model, status] += 1
        self._rows[model] += rows
        buckets = self._buckets.setdefault(model, [0] * (len(BUCKETS_S) + 1))
        buckets[bisect_left(BUCKETS_S, took_s)] += 1
        self._seconds[model] = self._seconds.get(model, 0.0) + took_s

    def render(self, gauges: Iterable[Mapping[str, float]]) -> str:
        """Return all counters as text, with what each mount measures of itself now, summed."""
        lines = _head("filiera_requests_total", "counter", "Requests answered, by status.")
        for (model, status), count in sorted(self._requests.items()):
            lines.append(f'filiera_requests_total{{model="{model}",status="{status}"}} {count}')
        lines += _head("filiera_rows_total", "counter", "Rows predicted.")
        lines += [f'filiera_rows_total{{model="{model}"}} {count}' for model, count in sorted(self._rows.items())]
        lines += _head("filiera_request_seconds", "histogram", "Time from the request's head to its answer.")
        for model in sorted(self._buckets):
            lines += self._histogram(model)
        sums: Counter[str] = Counter()
        for each in gauges:
            sums.update(each)
        for name, (kind, text) in GAUGES.items():
            measured = sorted(key for key in sums if key.partition("{")[0] == name) or [name]
            lines += [*_head(name, kind, text), *(f"{key} {sums[key]:.12g}" for key in measured)]
        return "\n".join(lines) + "\n"

    def _histogram(self, model: str) -> list[str]:
        lines, total = [], 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), self._buckets[model], strict=True):
            total += count
            lines.append(f'filiera_request_seconds_bucket{{model="{model}",le="{bound}"}} {total}')
        lines.append(f'filiera_request_seconds_sum{{model="{model}"}} {self._seconds[model]:.6f}')
        lines.append(f'filiera_request_seconds_count{{model="{model}"}} {total}')
        return lines


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
