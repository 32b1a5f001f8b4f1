"""What a service counts about itself, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
    "filiera_calls_open": ("gauge", "Calls of functions that are under way or wait."),
    "filiera_log_dropped_total": ("counter", "Predictions that the log could not keep."),
    "filiera_version_failures_total": ("counter", "Attempts to load a version that did not load or warm up."),
}
"""What a mount may measure of itself: kind and text by name, which labels may follow."""


class Label(NamedTuple):
    """What is counted: a model or a function, by its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f'{self.kind}="{self.name}"'


NO_LABEL = Label("", "")


class Metrics:
    """Counts requests, rows and time. Only the thread of the event loop touches it."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[Label, int]] = Counter()
        self._rows: Counter[Label] = Counter()
        self._buckets: dict[Label, list[int]] = {}
        self._seconds: dict[Label, float] = {}

    def count(self, label: Label, *, status: int, took_s: float, rows: int) -> None:
        """Count one answered request of a model or function, refused ones too."""
        self._requests[label, status] += 1
        self._rows[label] += rows
        buckets = self._buckets.setdefault(label, [0] * (len(BUCKETS_S) + 1))
        buckets[bisect_left(BUCKETS_S, took_s)] += 1
        self._seconds[label] = self._seconds.get(label, 0.0) + took_s

    def render(self, gauges: Iterable[Mapping[str, float]]) -> str:
        """Return all counters as text, with what each mount measures of itself now, summed."""
        lines = _head("filiera_requests_total", "counter", "Requests answered, by status.")
        for (label, status), count in sorted(self._requests.items()):
            lines.append(f'filiera_requests_total{{{label},status="{status}"}} {count}')
        lines += _head("filiera_rows_total", "counter", "Rows predicted.")
        lines += [f"filiera_rows_total{{{label}}} {count}" for label, count in sorted(self._rows.items())]
        lines += _head("filiera_request_seconds", "histogram", "Time from the request's head to its answer.")
        for label in sorted(self._buckets):
            lines += self._histogram(label)
        sums: Counter[str] = Counter()
        for each in gauges:
            sums.update(each)
        for name, (kind, text) in GAUGES.items():
            measured = sorted(key for key in sums if key.partition("{")[0] == name) or [name]
            lines += [*_head(name, kind, text), *(f"{key} {sums[key]:.12g}" for key in measured)]
        return "\n".join(lines) + "\n"

    def _histogram(self, label: Label) -> list[str]:
        lines, total = [], 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), self._buckets[label], strict=True):
            total += count
            lines.append(f'filiera_request_seconds_bucket{{{label},le="{bound}"}} {total}')
        lines.append(f"filiera_request_seconds_sum{{{label}}} {self._seconds[label]:.6f}")
        lines.append(f"filiera_request_seconds_count{{{label}}} {total}")
        return lines


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
