from __future__ import annotations

import pytest

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.task import Failure, Finished, Following, Task
from filiera.engine.worker import Followers
from tests.engine.plain_artifacts import PlainArtifacts

STORE = PlainArtifacts()
NOTHING = ArtifactRef(digest="0" * 64, codec="unknown/0", size_bytes=0)


def parts(*identities: str) -> KeyParts:
    origins = [(f"step {number}", identity) for number, identity in enumerate(identities)]
    return KeyParts(closure="c", arguments={"a": b"1"}, inputs=tuple(origins), codecs=("json/1",))


def test_inputs_and_key_are_those_the_driver_would_find() -> None:
    """What was unknown is filled in, in inputs and key alike; what was known stays."""
    known, one, two = STORE.put("known"), STORE.put(1), STORE.put(2)
    following = Following(task_id="before", inputs=((0, 1), (2, 0)), parts=parts("", known.identity, ""))
    task = Task(task_id="1", function="m:f", arguments=plain.encode({}), inputs=(NOTHING, known, NOTHING))
    asked: list[str] = []

    def is_free(key: str) -> bool:
        asked.append(key)
        return True

    followers = Followers(is_free)
    followers.note(Finished(task_id="before", outputs=(one, two)))
    found = followers.inputs_and_key(task, following)
    expected = parts(two.identity, known.identity, one.identity).key
    assert found == ((two, known, one), expected)
    assert asked == [expected]


@pytest.mark.parametrize(
    "before",
    [
        Finished(task_id="before", failure=Failure(kind="raised", error="ValueError", message="no")),
        Finished(task_id="before", outputs=(STORE.put(1),), blocked="too few rows"),
        Finished(task_id="another", outputs=(STORE.put(1),)),
    ],
    ids=["failed", "blocked", "unknown"],
)
def test_only_what_simply_succeeded_is_followed(before: Finished) -> None:
    """After a failure, a verdict that blocks, or what this process has not run, there is nothing to go on with."""
    followers = Followers(lambda key: True)
    followers.note(before)
    following = Following(task_id="before", inputs=((0, 0),), parts=parts(""))
    assert (
        followers.inputs_and_key(Task(task_id="1", function="m:f", arguments=b"{}", inputs=(NOTHING,)), following)
        is None
    )


def test_keys_that_are_not_free_are_left_alone() -> None:
    """What is known or computed elsewhere is not run, nor anything where nobody can tell."""
    following = Following(task_id="before", inputs=((0, 0),), parts=parts(""))
    task = Task(task_id="1", function="m:f", arguments=b"{}", inputs=(NOTHING,))
    for followers in (Followers(lambda key: False), Followers(None)):
        followers.note(Finished(task_id="before", outputs=(STORE.put(1),)))
        assert followers.inputs_and_key(task, following) is None
