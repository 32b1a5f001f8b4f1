from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import wire
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.task import Failure, Finished, Resources, Task

texts = st.text(max_size=20)
refs = st.builds(
    lambda content, is_inline: ArtifactRef(
        digest=blob_digest(content), codec="json/1", size_bytes=len(content), inline=content if is_inline else None
    ),
    st.binary(max_size=50),
    st.booleans(),
)
ref_tuples = st.lists(refs, max_size=3).map(tuple)
tasks = st.builds(
    Task,
    task_id=texts,
    function=texts,
    arguments=st.binary(max_size=100),
    inputs=ref_tuples,
    outputs=st.integers(0, 5),
    timeout_s=st.none() | st.floats(0, 1e6),
    resources=st.builds(Resources, cpu=st.integers(1, 64), memory_mib=st.integers(0, 1 << 40), gpu=st.integers(0, 8)),
)
failures = st.builds(Failure, kind=st.sampled_from(["raised", "codec"]), error=texts, message=texts, traceback=texts)
ends = st.builds(
    Finished,
    task_id=texts,
    outputs=ref_tuples,
    failure=st.none() | failures,
    blocked=texts,
    started_at=st.floats(0, 1e10),
    duration_s=st.floats(0, 1e6),
    log=st.none(),
)


def contents(message: bytes) -> list[bytes]:
    return list(wire.Messages().feed(message))


def inline(refs: tuple[ArtifactRef, ...]) -> list[bytes | None]:
    return [ref.inline for ref in refs]


@given(tasks)
def test_task_comes_out_as_it_went_in(task: Task) -> None:
    """A task survives the journey, with the bytes inside its inputs."""
    (content,) = contents(wire.pack_task(task))
    arrived = wire.unpack_task(content)
    assert (arrived, inline(arrived.inputs)) == (task, inline(task.inputs))


@given(ends, st.integers(0, 1 << 60), st.booleans())
def test_end_comes_out_as_it_went_in(finished: Finished, log_end: int, is_spent: bool) -> None:
    """The end of a task survives the journey, with the bytes inside its outputs."""
    (content,) = contents(wire.pack_finished(finished, log_end=log_end, is_spent=is_spent))
    arrived = wire.unpack_finished(content)
    assert arrived == (finished, log_end, is_spent)
    assert inline(arrived[0].outputs) == inline(finished.outputs)


@given(st.lists(tasks, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_pieces_do_not_matter(sent: list[Task], sizes: list[int]) -> None:
    """However a pipe cuts the bytes, the same messages come out, in order."""
    stream = wire.READY + b"".join(map(wire.pack_task, sent))
    messages, arrived, at = wire.Messages(), list[bytes](), 0
    while at < len(stream):
        size = sizes[at % len(sizes)]
        arrived.extend(messages.feed(stream[at : at + size]))
        at += size
    assert [arrived[0], *map(wire.unpack_task, arrived[1:])] == [b"", *sent]


@pytest.mark.parametrize("content", [b"\xff", b"(\x01\0\0\0N", b"N", b"i\1\0\0\0", b"s\x05\0\0\0abcde"])
def test_garbage_is_refused(content: bytes) -> None:
    """What is not a message is a ValueError, whatever it is."""
    with pytest.raises(ValueError):
        wire.unpack_finished(content)
