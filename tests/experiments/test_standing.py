"""How experiments stand beside their targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.git_repository import Commit
from filiera.experiments.standing import Pair, standings


class History:
    """A history in memory, asked as a repository is."""

    def __init__(self, parents: dict[str, tuple[str, ...]], subjects: dict[str, str]) -> None:
        self.parents, self.subjects = parents, subjects

    def ancestors(self, *starts: str) -> set[str]:
        """Return commits with all that they come from."""
        found: set[str] = set()
        waiting = list(starts)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.parents[name]
        return found

    def common_base(self, commits: list[str]) -> str:
        """Return a commit that all of them come from."""
        common = set.intersection(*(self.ancestors(commit) for commit in commits))
        return max(common, key=int, default="")

    def history(self, ends: Iterable[str], *, without: str = "") -> list[Commit]:
        """Return what git would."""
        left_out = self.ancestors(without) if without else set()
        return [self.commit(name) for name in self.ancestors(*ends) - left_out]

    def commit(self, name: str) -> Commit:
        """Return a commit."""
        subject = self.subjects.get(name, "Work")
        experiment = subject.rpartition(" ")[2]
        return Commit(name, self.parents[name], 0.0, subject, {"Experiment": (experiment,)})


@st.composite
def histories(draw: Any) -> tuple[History, dict[str, Pair]]:
    """Return a history and experiments in it, each from a commit of its target."""
    count = draw(st.integers(1, 25))
    parents: dict[str, tuple[str, ...]] = {"0": ()}
    for number in range(1, count):
        several = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2, unique=True))
        parents[str(number)] = tuple(map(str, several))
    subjects = {name: draw(st.sampled_from(["Work", "Accept experiment a", "Accept experiment b"])) for name in parents}
    history = History(parents, subjects)
    pairs = {}
    for name in draw(st.sets(st.sampled_from("abc"), min_size=1)):
        tip, target = (draw(st.sampled_from(sorted(parents))) for _ in range(2))
        base = draw(st.sampled_from(sorted(history.ancestors(tip) & history.ancestors(target))))
        pairs[name] = Pair(tip, target, base)
    return history, pairs


@given(histories())
def test_ahead_and_behind_are_what_git_counts(drawn: tuple[History, dict[str, Pair]]) -> None:
    """However histories branch and merge, though only what came after the oldest base is read."""
    history, pairs = drawn
    found = standings(history, pairs)  # type: ignore[arg-type]
    for name, pair in pairs.items():
        own, target = history.ancestors(pair.tip), history.ancestors(pair.target)
        assert (found[name].ahead, found[name].behind) == (len(own - target), len(target - own))
        known = target - history.ancestors(history.common_base([each.base for each in pairs.values()]))
        is_accepted = any(history.subjects[each] == f"Accept experiment {name}" for each in known)
        assert found[name].is_merged == (own <= target or is_accepted)
