"""What several workers counted, told as one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from filiera.serving.metrics import FAMILIES, Label, Metrics, merged, render
from filiera.serving.shared_counts import SharedCounts, settle, summed, workers_in

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([Label("model", "a"), Label("model", "b"), Label("function", "c")]),
        st.sampled_from([200, 422, 503]),
        st.sampled_from([0.0005, 0.004, 0.3, 20.0]),
        st.integers(0, 9),
    ),
    max_size=30,
)


@given(events=EVENTS)
def test_the_sums_of_workers_are_the_counts_of_one(events: list[tuple[int, Label, int, float, int]]) -> None:
    """However requests fall on workers, all of them together have counted what one would have."""
    parts, whole = [Metrics() for _ in range(3)], Metrics()
    for worker, label, status, took_s, rows in events:
        for each in (parts[worker], whole):
            each.count(label, status=status, took_s=took_s, rows=rows)
    together = merged([part.samples([{"filiera_rows_waiting": 1}]) for part in parts])
    expected = whole.samples([{"filiera_rows_waiting": 3}])
    assert together.keys() == expected.keys()
    assert all(abs(together[name] - expected[name]) < 1e-4 for name in expected)
    assert sorted(render(together).splitlines()) == sorted(render(together | expected).splitlines())


@given(events=EVENTS)
def test_each_metric_is_told_once_and_together(events: list[tuple[int, Label, int, float, int]]) -> None:
    """The text has a head for each metric, and behind it all of its samples, buckets in their order."""
    metrics = Metrics()
    for _, label, status, took_s, rows in events:
        metrics.count(label, status=status, took_s=took_s, rows=rows)
    family, seen, bounds = "", [], []
    for line in render(metrics.samples([])).splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            seen.append(family)
        elif not line.startswith("#"):
            assert line.startswith(family)
            if "_bucket" in line:
                bounds.append(float(line.partition('le="')[2].partition('"')[0]))
    assert seen == list(FAMILIES)
    assert all(one < other or one == float("inf") for one, other in pairwise(bounds))


def test_a_worker_that_ended_goes_on_being_counted(tmp_path: Path) -> None:
    """Its counts stay, what it measured of itself at the moment does not."""
    one, other = SharedCounts(tmp_path, "1"), SharedCounts(tmp_path, "2")
    one.publish({"filiera_rows_total": 5, "filiera_rows_waiting": 2})
    other.publish({"filiera_rows_total": 7})
    mine = {"filiera_rows_total": 8, "filiera_rows_waiting": 1}
    assert other.with_others(mine) == {"filiera_rows_total": 13, "filiera_rows_waiting": 3}
    settle(tmp_path, "1")
    settle(tmp_path, "never published")
    assert other.with_others(mine) == {"filiera_rows_total": 13, "filiera_rows_waiting": 1}
    assert (summed(tmp_path), workers_in(tmp_path)) == (other.with_others(mine), ["2"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2.json", "ended.json", "lock"]


def test_what_a_power_cut_left_of_a_file_counts_for_nothing(tmp_path: Path) -> None:
    """Halves of files keep nobody from being told the rest."""
    SharedCounts(tmp_path, "1").publish({"filiera_rows_total": 5})
    (tmp_path / "2.json").write_text('{"filiera_rows')
    assert summed(tmp_path) == {"filiera_rows_total": 5}
    assert summed(tmp_path / "nowhere") == {}


def test_services_are_told_only_where_there_are_some() -> None:
    """A service by itself says nothing of supervisors; what is told of one has its heads."""
    assert "filiera_service" not in render({})
    text = render({'filiera_queue_messages{service="a",state="dead"}': 2})
    assert 'filiera_queue_messages{service="a",state="dead"} 2' in text
    assert text.count("filiera_service") == 0
