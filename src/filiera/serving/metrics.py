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
    "filiera_cache_hits_total": ("counter", "Requests answered with what was kept of an equal one."),
    "filiera_cache_misses_total": ("counter", "Requests whose answer might have been kept, and was not."),
    "filiera_cache_bytes": ("gauge", "Size of the answers that are kept."),
    "filiera_log_dropped_total": ("counter", "Predictions that the log could not keep."),
    "filiera_access_log_dropped_total": ("counter", "Lines that could not be written to the access log."),
    "filiera_log_troubled": ("gauge", "Models and functions whose answers the log cannot keep now."),
    "filiera_version_failures_total": ("counter", "Attempts to load a version that did not load or warm up."),
    "filiera_shadow_left_out": ("gauge", "Requests of this stage that a version in shadow was too busy for."),
    "filiera_node_requests_total": ("counter", "Batches that a node of a graph was asked about."),
    "filiera_node_rows_total": ("counter", "Rows in these batches."),
    "filiera_node_failures_total": ("counter", "Batches that a node could not answer."),
    "filiera_node_seconds_total": ("counter", "Time that a node took, with those below it, summed."),
    "filiera_node_left_out_total": ("counter", "Rows that a shadow was too busy for."),
}
"""What a mount may measure of itself: kind and text by name, which labels may follow."""

_OF_REQUESTS: Mapping[str, tuple[str, str]] = {
    "filiera_requests_total": ("counter", "Requests answered, by status."),
    "filiera_rows_total": ("counter", "Rows predicted."),
    "filiera_request_seconds": ("histogram", "Time from the request's head to its answer."),
}
_OF_SERVICES: Mapping[str, tuple[str, str]] = {
    "filiera_service_workers": ("gauge", "Worker processes that a service has."),
    "filiera_service_in_flight": ("gauge", "Requests that its workers handle."),
    "filiera_service_wakes_total": ("counter", "Times that it was woken from having no worker."),
    "filiera_service_restarts_total": ("counter", "Workers that ended by themselves."),
    "filiera_queue_messages": ("gauge", "Messages in its queue, by state: waiting, handled, dead."),
}
"""What a supervisor tells of services; where there is none these are not mentioned."""
FAMILIES: Mapping[str, tuple[str, str]] = {**_OF_REQUESTS, **GAUGES}
Samples = dict[str, float]
"""What is measured, by name and labels as Prometheus spells them."""


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

    def samples(self, gauges: Iterable[Mapping[str, float]]) -> Samples:
        """Return all that is counted, by name and labels, with what each mount measures of itself now, summed."""
        found: Samples = {}
        for (label, status), count in sorted(self._requests.items()):
            found[f'filiera_requests_total{{{label},status="{status}"}}'] = count
        for label, rows in sorted(self._rows.items()):
            found[f"filiera_rows_total{{{label}}}"] = rows
        for label in sorted(self._buckets):
            found |= self._histogram(label)
        return merged([found, *map(dict, gauges)])

    def _histogram(self, label: Label) -> Samples:
        found: Samples = {}
        total = 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), self._buckets[label], strict=True):
            total += count
            found[f'filiera_request_seconds_bucket{{{label},le="{bound}"}}'] = total
        found[f"filiera_request_seconds_sum{{{label}}}"] = round(self._seconds[label], 6)
        found[f"filiera_request_seconds_count{{{label}}}"] = total
        return found


def merged(parts: Iterable[Samples]) -> Samples:
    """Return the sums of what several processes, or parts of one, have measured."""
    found: Samples = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0) + value
    return found


def render(samples: Samples) -> str:
    """Return *samples* as text, by metric, with what each means."""
    known = {**FAMILIES, **_OF_SERVICES}
    by_family: dict[str, list[str]] = {name: [] for name in known}
    for name, value in samples.items():
        family = name.partition("{")[0]
        if family not in by_family:
            family = family.rpartition("_")[0]
        by_family[family].append(f"{name} {value:.15g}")
    lines = []
    for family, (kind, text) in known.items():
        if family in _OF_SERVICES and not by_family[family]:
            continue
        bare = [] if family in _OF_REQUESTS or by_family[family] else [f"{family} 0"]
        lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}", *by_family[family], *bare]
    return "\n".join(lines) + "\n"
