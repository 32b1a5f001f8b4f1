"""Tasks and their ends as bytes between a driver and the worker processes that it started itself.

A message is a length, 8 bytes big-endian, and that many bytes of ``marshal``: tuples of str, bytes, int, float and
None, no objects. ``marshal`` because it is the fastest in the standard library and both ends are the same interpreter,
started by us, for one run: nothing is kept and nothing comes from elsewhere. Pickle would be slower, and an exception
or value that cannot be rebuilt would break the link instead of failing its step.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.task import Failure, Finished, Resources, Task

TASKS_FD, RESULTS_FD, LIFELINE_FD = 3, 4, 5
"""Where a worker finds what its driver opened: tasks to read, results to write, and a pipe that ends with it."""

LINK_LOST = 120
"""Exit code of a worker that cannot report, because a step closed descriptors that were not its own."""

READY = bytes(8)
"""The first message of a worker, empty: from now on time spent is the task's."""

_Ref = tuple[str, str, int, bytes | None]


def pack_task(task: Task) -> bytes:
    """Return *task* as one message."""
    resources = (task.resources.cpu, task.resources.memory_mib, task.resources.gpu)
    inputs = tuple(map(_ref_to_tuple, task.inputs))
    code = (task.function, task.modules, task.sources)
    outputs = (task.outputs, task.codecs)
    return _frame((task.task_id, code, task.arguments, inputs, outputs, task.timeout_s, resources))


def unpack_task(content: bytes) -> Task:
    """Return the task in a message's *content*.

    >>> task = Task(task_id="1", function="m:f", arguments=b"{}", timeout_s=2.5, codecs=("parquet/1",))
    >>> unpack_task(next(Messages().feed(pack_task(task)))) == task
    True
    """
    task_id, code, arguments, inputs, outputs, timeout_s, resources = marshal.loads(content)  # noqa: S302
    cpu, memory_mib, gpu = resources
    return Task(
        task_id=task_id,
        function=code[0],
        modules=code[1],
        sources=code[2],
        arguments=arguments,
        inputs=tuple(map(_ref_from_tuple, inputs)),
        outputs=outputs[0],
        codecs=outputs[1],
        timeout_s=timeout_s,
        resources=Resources(cpu=cpu, memory_mib=memory_mib, gpu=gpu),
    )


def pack_finished(finished: Finished, *, log_end: int, is_spent: bool) -> bytes:
    """Return *finished* as one message, with the size of the worker's log and whether the worker must be replaced."""
    failure = finished.failure and (
        finished.failure.kind,
        finished.failure.error,
        finished.failure.message,
        finished.failure.traceback,
        finished.failure.bases,
    )
    outputs = tuple(map(_ref_to_tuple, finished.outputs))
    times = (finished.started_at, finished.duration_s)
    return _frame((finished.task_id, outputs, failure, finished.blocked, times, log_end, is_spent))


def unpack_finished(content: bytes) -> tuple[Finished, int, bool]:
    """Return what ``pack_finished`` was given. Raises ValueError when the bytes are not such a message."""
    try:
        task_id, outputs, failure, blocked, (started_at, duration_s), log_end, is_spent = marshal.loads(content)  # noqa: S302
    except (EOFError, TypeError) as error:
        raise ValueError(f"not a message of a worker: {error}") from error
    finished = Finished(
        task_id=task_id,
        outputs=tuple(map(_ref_from_tuple, outputs)),
        failure=failure
        and Failure(
            kind=failure[0],
            error=failure[1],
            message=failure[2],
            traceback=failure[3],
            bases=failure[4],
        ),
        blocked=blocked,
        started_at=started_at,
        duration_s=duration_s,
    )
    return finished, log_end, is_spent


class Messages:
    """Puts the pieces that a pipe delivers together again.

    >>> messages = Messages()
    >>> list(messages.feed(b"\\0\\0\\0\\0\\0\\0\\0\\2a")), list(messages.feed(b"b" + READY))
    ([], [b'ab', b''])
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = 8

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the content of each message that *piece* completes."""
        self._pieces.append(piece)
        self._size += len(piece)
        # Joining only what is complete keeps a message of many pieces linear in its size.
        while self._size >= self._needed:
            held = b"".join(self._pieces)
            end = 8 + int.from_bytes(held[:8], "big")
            if self._size < end:
                self._pieces, self._needed = [held], end
                return
            self._pieces, self._size, self._needed = [held[end:]], self._size - end, 8
            yield held[8:end]


def _frame(message: tuple[Any, ...]) -> bytes:
    content = marshal.dumps(message)
    return len(content).to_bytes(8, "big") + content


def _ref_to_tuple(ref: ArtifactRef) -> _Ref:
    return ref.digest, ref.codec, ref.size_bytes, ref.inline


def _ref_from_tuple(ref: _Ref) -> ArtifactRef:
    digest, codec, size_bytes, inline = ref
    return ArtifactRef(digest=digest, codec=codec, size_bytes=size_bytes, inline=inline)
