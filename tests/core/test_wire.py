from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import wire
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.key import KeyParts
from filiera.core.task import Dropped, Failure, Finished, Following, LogSpan, Resources, Task

texts = st.text(max_size=20)
refs = st.builds(
    lambda content, is_inline: ArtifactRef(
        digest=blob_digest(content), codec="json/1", size_bytes=len(content), inline=content if is_inline else None
    ),
    st.binary(max_size=50),
    st.booleans(),
)
ref_tuples = st.lists(refs, max_size=3).map(tuple)
parts = st.builds(
    KeyParts,
    closure=texts,
    arguments=st.dictionaries(texts, st.binary(max_size=20), max_size=3),
    inputs=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    codecs=st.lists(texts, max_size=2).map(tuple),
)
places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3).map(tuple)
tasks = st.builds(
    Task,
    task_id=texts,
    function=texts,
    arguments=st.binary(max_size=100),
    inputs=ref_tuples,
    outputs=st.integers(0, 5),
    timeout_s=st.none() | st.floats(0, 1e6),
    resources=st.builds(Resources, cpu=st.integers(1, 64), memory_mib=st.integers(0, 1 << 40), gpu=st.integers(0, 8)),
    priority=st.integers(-9, 9),
    queue_timeout_s=st.none() | st.floats(0, 1e6),
    key=texts,
    env=texts,
    is_dynamic=st.booleans(),
    lazy=st.dictionaries(st.text(max_size=3), st.sampled_from(["sequence", "iterator"]), max_size=2),
    following=st.none() | st.builds(Following, task_id=texts, inputs=places, parts=parts),
)
failures = st.builds(
    Failure,
    kind=st.sampled_from(["raised", "codec"]),
    error=texts,
    message=texts,
    traceback=texts,
    bases=st.lists(texts, max_size=3).map(tuple),
)
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
    (content,) = contents(wire.TaskWriter().pack(task))
    arrived = wire.TaskReader().unpack(content)
    assert (arrived, inline(arrived.inputs)) == (task, inline(task.inputs))


@given(ends, st.integers(0, 1 << 60), st.booleans())
def test_end_comes_out_as_it_went_in(finished: Finished, log_end: int, is_spent: bool) -> None:
    """The end of a task survives the journey, with the bytes inside its outputs, and is told where its output lies."""
    (content,) = contents(wire.pack_finished(finished, log_end=log_end, is_spent=is_spent))
    arrived = wire.unpack_report(content, log_file="w.log", log_start=7)
    assert isinstance(arrived, wire.Ended)
    log = LogSpan(file="w.log", start=7, end=log_end)
    assert (arrived.finished, arrived.is_spent) == (replace(finished, log=log), is_spent)
    assert inline(arrived.finished.outputs) == inline(finished.outputs)


def test_what_becomes_of_followers_is_told() -> None:
    """A worker says that it has begun a task which follows another, or that it will not."""
    begun, dropped = contents(wire.pack_begun("a") + wire.pack_dropped("b"))
    assert wire.unpack_report(begun, log_file="", log_start=0) == wire.Begun("a")
    assert wire.unpack_report(dropped, log_file="", log_start=0) == Dropped(task_id="b")


@given(st.lists(st.sampled_from(["m:f", "m:g", "n:f"]), max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_code_is_told_once(functions: list[str], forgotten: list[bool]) -> None:
    """A worker knows each task's code, though it is told it once, or anew after a message was taken back."""
    sources = {name: ((name, f"/{name}.py", 1, 2),) * 50 for name in functions}
    writer, reader, sizes = wire.TaskWriter(), wire.TaskReader(), {}
    for function, is_forgotten in zip(functions, forgotten, strict=False):
        task = Task(task_id="1", function=function, arguments=b"{}", sources=sources[function])
        (content,) = contents(writer.pack(task))
        assert reader.unpack(content) == task
        assert (len(content) < 200) == (function in sizes)
        sizes[function] = len(content)
        if is_forgotten:
            writer.forget()
            sizes.clear()


@given(st.lists(tasks, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_pieces_do_not_matter(sent: list[Task], sizes: list[int]) -> None:
    """However a pipe cuts the bytes, the same messages come out, in order."""
    stream = wire.READY + b"".join(map(wire.TaskWriter().pack, sent))
    messages, arrived, at = wire.Messages(), list[bytes](), 0
    while at < len(stream):
        size = sizes[at % len(sizes)]
        arrived.extend(messages.feed(stream[at : at + size]))
        at += size
    assert [arrived[0], *map(wire.TaskReader().unpack, arrived[1:])] == [b"", *sent]


@pytest.mark.parametrize("content", [b"\xff", b"(\x01\0\0\0N", b"N", b"i\1\0\0\0", b"s\x05\0\0\0abcde"])
def test_garbage_is_refused(content: bytes) -> None:
    """What is not a message is a ValueError, whatever it is."""
    with pytest.raises(ValueError):
        wire.unpack_report(content, log_file="", log_start=0)
