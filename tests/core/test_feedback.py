from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from filiera.core.feedback import gathered, joined

RECORDS = st.lists(
    st.builds(
        lambda name, kind, value, key, known_at: {
            "id": name, "kind": kind, "value": value, "key": key, "known_at": known_at, "at": 0.0,
        },
        st.sampled_from("AB"),
        st.sampled_from(("outcome", "action")),
        st.sampled_from(("yes", "no")),
        st.sampled_from(("", "k1", "k2")),
        st.sampled_from((1.0, 2.0, 3.0)),
    ),
    max_size=12,
)  # fmt: skip


@given(records=RECORDS, data=st.data())
def test_order_and_repetition_change_nothing(records: list[dict[str, Any]], data: st.DataObject) -> None:
    """Feedback that comes twice, late or the other way round gives the same."""
    again = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records or [None]), max_size=5))]))
    assert gathered(filter(None, again)) == gathered(records)


@given(records=RECORDS)
def test_the_outcome_known_last_counts(records: list[dict[str, Any]]) -> None:
    """And each action counts once."""
    for name, told in gathered(records).items():
        outcomes = [one for one in records if one["id"] == name and one["kind"] == "outcome"]
        actions = {one["key"] or one["value"] for one in records if one["id"] == name and one["kind"] == "action"}
        assert told.outcome_at == max((one["known_at"] for one in outcomes), default=None)
        assert len(told.actions) == len(actions)


def test_what_is_of_no_prediction_stays_aside() -> None:
    """Predictions without feedback are there without, and feedback without a prediction is left over."""
    said = {"kind": "action", "value": "blocked", "key": "", "known_at": 1.0}
    told = gathered([{"id": "A", **said}, {"id": "Z", **said}])
    found = [(one["id"], their.actions if their else None) for one, their in joined([{"id": "A"}, {"id": "B"}], told)]
    assert found == [("A", ["blocked"]), ("B", None)]
    assert list(told) == ["Z"]
