"""Tasks and their ends as bytes between a driver and the worker processes that it started itself.

A message is a length, 8 bytes big-endian, and that many bytes of ``marshal``: tuples of str, bytes, int, float, bool
and None, no objects. ``marshal`` because it is the fastest in the standard library and both ends are the same
interpreter, started by us, for one run: nothing is kept and nothing comes from elsewhere. Pickle would be slower, and
an exception or value that cannot be rebuilt would break the link instead of failing its step.

What a worker has not read, it has not begun: a driver may give it several tasks, and take back those that still lie in
the pipe. So that a read takes one message and no piece of the next, the pipe keeps writes apart; this it does for
messages of up to ``PACKET_BYTES``.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.logged import Logged, Summary
from filiera.core.task import Dropped, Failure, Finished, Following, LogSpan, Resources, SourceStamp, Task
from filiera.core.value import dataclass

TASKS_FD, RESULTS_FD, LIFELINE_FD = 3, 4, 5
"""Where a worker finds what its driver opened: tasks to read, results to write, and a pipe that ends with it."""

LINK_LOST = 120
"""Exit code of a worker that cannot report, because a step closed descriptors that were not its own."""

PACKET_BYTES = 4096
"""A longer message is no single packet: only one may be in the pipe, and nothing before or behind it."""

REMEMBERED = 256
"""So many tasks back a worker knows what they returned, for those that follow them."""

READY = bytes(8)
"""The first message of a worker, empty: from now on time spent is the task's."""

REST = bytes(8)
"""What a worker is sent, also empty, when its executor closes: another one may take it over, or it ends by itself."""

_Ref = tuple[str, str, int, bytes | None]
_Code = tuple[str, tuple[str, ...], tuple[SourceStamp, ...]]
_PARTS = tuple(field.name for field in fields(KeyParts))


@dataclass(slots=True)
class Begun:
    """A worker has begun a task that follows another."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Move:
    """A worker is taken over: what it gets from now on is another executor's."""

    log: str  #: the file to write output to
    told: str  #: what else it has to know


@dataclass(slots=True)
class Ended:
    """A worker has come to the end of a task."""

    finished: Finished
    is_spent: bool  #: the worker must be replaced


class TaskWriter:
    """Writes the tasks for one worker, which is told each code only once: its files can be hundreds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...], int], tuple[int, tuple[SourceStamp, ...]]] = {}
        self._count = 0

    def pack(self, task: Task) -> bytes:
        """Return *task* as one message."""
        place = task.function, task.modules, id(task.sources)
        number, _ = self._known.get(place, (0, ()))
        code: _Code | None = None
        if not number:
            self._count += 1
            number = self._count
            self._known[place] = number, task.sources  # held, or another tuple might get its id
            code = task.function, task.modules, task.sources
        needs = task.resources
        return _frame(
            (
                task.task_id,
                number,
                code,
                task.arguments,
                tuple([(ref.digest, ref.codec, ref.size_bytes, ref.inline) for ref in task.inputs]),
                task.outputs,
                task.codecs,
                (task.timeout_s, task.queue_timeout_s, task.priority, needs.cpu, needs.memory_mib, needs.gpu),
                task.key,
                task.env,
                task.is_dynamic,
                tuple(task.lazy.items()),
                task.watched,
                task.following and _pack_following(task.following),
            )
        )

    def forget(self) -> None:
        """Tell all code anew: a message that told some of it was taken back."""
        self._known.clear()


class TaskReader:
    """Reads what a ``TaskWriter`` wrote, and what ``pack_move`` did.

    >>> task = Task(task_id="1", function="m:f", arguments=b"{}", timeout_s=2.5, codecs=("parquet/1",))
    >>> TaskReader().unpack(next(Messages().feed(TaskWriter().pack(task)))) == task
    True
    """

    def __init__(self) -> None:
        self._codes: dict[int, _Code] = {}

    def unpack(self, content: bytes) -> Task | Move | None:
        """Return the task or the move in a message's *content*, None when that is empty: it is to rest."""
        if not content:
            return None
        message = marshal.loads(content)  # noqa: S302
        if len(message) == 2:
            self._codes.clear()
            return Move(*message)
        return self._task(*message)

    def _task(self, *message: Any) -> Task:
        (task_id, number, code, arguments, inputs, outputs, codecs, needs, key, env, is_dynamic, lazy, *more) = message
        watched, following = more
        if code is not None:
            self._codes[number] = code
        function, modules, sources = self._codes[number]
        timeout_s, queue_timeout_s, priority, *resources = needs
        return Task(
            task_id=task_id,
            function=function,
            arguments=arguments,
            modules=modules,
            sources=sources,
            inputs=tuple([_ref(*ref) for ref in inputs]),
            outputs=outputs,
            codecs=codecs,
            timeout_s=timeout_s,
            resources=_resources(*resources),
            priority=priority,
            queue_timeout_s=queue_timeout_s,
            key=key,
            env=env,
            is_dynamic=is_dynamic,
            lazy=dict(lazy),
            watched=watched,
            following=following and _unpack_following(following),
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
    return _frame(
        (
            finished.task_id,
            tuple([(ref.digest, ref.codec, ref.size_bytes, ref.inline) for ref in finished.outputs]),
            failure,
            finished.blocked,
            finished.started_at,
            finished.duration_s,
            finished.metrics and _pack_logged(finished.metrics),
            log_end,
            is_spent,
        )
    )


def pack_move(move: Move) -> bytes:
    """Return *move* as one message."""
    return _frame((move.log, move.told))


def pack_begun(task_id: str) -> bytes:
    """Return as one message that a task which follows another has begun."""
    return _frame((task_id, True))


def pack_dropped(task_id: str) -> bytes:
    """Return as one message that a task which follows another will not be run."""
    return _frame((task_id, False))


def unpack_report(content: bytes, *, log_file: str, log_start: int) -> Ended | Begun | Dropped:
    """Return what a worker says; *log_file* and *log_start* are where the output of the task in question begins.

    Raises:
        ValueError: The bytes are not a message of a worker.
    """
    try:
        task_id, *rest = marshal.loads(content)  # noqa: S302
        if len(rest) == 1:
            return Begun(task_id) if rest[0] else Dropped(task_id=task_id)
        outputs, failure, blocked, started_at, duration_s, metrics, log_end, is_spent = rest
        finished = Finished(
            task_id=task_id,
            outputs=tuple([_ref(*ref) for ref in outputs]),
            failure=failure and _failure(*failure),
            blocked=blocked,
            started_at=started_at,
            duration_s=duration_s,
            log=LogSpan(file=log_file, start=log_start, end=log_end),
            metrics=metrics and _unpack_logged(*metrics),
        )
    except (EOFError, TypeError, ValueError) as error:
        raise ValueError(f"not a message of a worker: {error}") from error
    return Ended(finished, is_spent)


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
        if self._size < self._needed:
            return
        # Joining only what is complete keeps a message of many pieces linear in its size.
        held = b"".join(self._pieces) if len(self._pieces) > 1 else piece
        start, self._needed = 0, 8
        while len(held) - start >= 8:
            end = start + 8 + int.from_bytes(held[start : start + 8], "big")
            if len(held) < end:
                self._needed = end - start
                break
            yield held[start + 8 : end]
            start = end
        rest = held[start:]
        self._pieces, self._size = ([rest] if rest else []), len(rest)


def _frame(message: tuple[Any, ...]) -> bytes:
    content = marshal.dumps(message)
    return len(content).to_bytes(8, "big") + content


def _pack_following(following: Following) -> tuple[Any, ...]:
    parts = [getattr(following.parts, name) for name in _PARTS]
    plain = tuple([dict(part) if isinstance(part, Mapping) else part for part in parts])
    return following.task_id, following.inputs, plain


def _unpack_following(message: tuple[Any, ...]) -> Following:
    task_id, inputs, parts = message
    return Following(task_id=task_id, inputs=inputs, parts=KeyParts(**dict(zip(_PARTS, parts, strict=True))))


def _pack_logged(logged: Logged) -> tuple[Any, ...]:
    ref = logged.curves
    summaries = tuple([(s.name, s.points, s.last, s.least, s.greatest) for s in logged.summaries])
    return (ref.digest, ref.codec, ref.size_bytes, ref.inline), summaries


def _unpack_logged(ref: _Ref, summaries: tuple[Any, ...]) -> Logged:
    return Logged(_ref(*ref), tuple([Summary(*summary) for summary in summaries]))


def _ref(digest: str, codec: str, size_bytes: int, inline: bytes | None) -> ArtifactRef:
    return ArtifactRef(digest=digest, codec=codec, size_bytes=size_bytes, inline=inline)


def _failure(kind: Any, error: str, message: str, traceback: str, bases: tuple[str, ...]) -> Failure:
    return Failure(kind=kind, error=error, message=message, traceback=traceback, bases=bases)


_ONE_SLOT = Resources()


def _resources(cpu: int, memory_mib: int, gpu: int) -> Resources:
    if cpu == 1 and not memory_mib and not gpu:
        return _ONE_SLOT
    return Resources(cpu=cpu, memory_mib=memory_mib, gpu=gpu)
