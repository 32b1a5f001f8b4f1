"""The life of a worker process: take a task, execute it, report, clean up, again, until the driver is gone.

When its executor closes, it may rest until another one of the same driver takes it over.

A worker is started with three file descriptors beside the usual ones, see ``filiera.core.wire``. It is the leader of a
session of its own: Ctrl-C in the terminal does not reach it, and killing its process group takes along whatever its
steps started.
"""

from __future__ import annotations

import fcntl
import functools
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Never, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.task import Finished, Following, Task
from filiera.core.wire import (
    LIFELINE_FD,
    LINK_LOST,
    READY,
    REMEMBERED,
    RESULTS_FD,
    TASKS_FD,
    Messages,
    Move,
    TaskReader,
    pack_begun,
    pack_dropped,
    pack_finished,
)
from filiera.engine.checkpoints import Checkpoints
from filiera.engine.curves import CurveFiles
from filiera.engine.execute import Artifacts, Surroundings, execute
from filiera.engine.failures import failure_from
from filiera.engine.logs import ProcessOutput, forget_logging

_CHUNK_BYTES = 1 << 16  # what a pipe holds; larger would make each read map and unmap memory, 20 µs
_RESTS_MS = 300_000
"""A worker that nobody takes over for so long ends."""
_DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)


class Keys(Protocol):
    """The cache keys of a store."""

    def is_free(self, key: str) -> bool:
        """Take *key* for the driver if its result is not known and nobody computes it; tell whether it was taken."""

    def serve(self, told: str) -> None:
        """Take keys from now on for the executor that said this of itself when it took the worker over."""


def work(
    artifacts: Artifacts,
    *,
    keys: Keys | None = None,
    checkpoints: Checkpoints | None = None,
    curves: CurveFiles | None = None,
) -> None:
    """Execute the driver's tasks with *artifacts* until the driver closes the link; then the process has no use.

    Args:
        artifacts: Where inputs and outputs are.
        keys: Takes the keys of tasks that follow others; without it, none of these is begun.
        checkpoints: Where checkpoints are kept.
        curves: Where metrics go that steps log.
    """
    output = _settled_in()
    surroundings, threads = Surroundings(), _count_threads()
    followers = Followers(keys.is_free if keys is not None else None)

    run = functools.partial(execute, artifacts=artifacts, checkpoints=checkpoints, curves=curves)

    def move(to: Move) -> None:
        output.move(to.log)
        followers.forget()
        if keys is not None:
            keys.serve(to.told)

    _send(READY)
    for task in _tasks(move):
        following = None
        if task.following is not None:
            following = followers.inputs_and_key(task, task.following)
            if following is None:
                _send(pack_dropped(task.task_id))
                continue
            _send(pack_begun(task.task_id))
        finished = _execute(task, functools.partial(run, following=following))
        signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm that this step forgot would end a later one
        is_spent = _has_children() or _count_threads() > threads
        try:
            _send(pack_finished(finished, log_end=output.flush(), is_spent=is_spent))
        except OSError:
            os._exit(LINK_LOST)
        if is_spent:
            _wait_for_death()
        followers.note(finished)
        # The rest while the driver is busy with the result.
        output.restore()
        surroundings.restore()
        _reset_signals()


def _settled_in() -> ProcessOutput:
    """Make this process a worker: it ends with its driver, and keeps link, signals and output from its steps."""
    die_with_driver()
    for fd in (TASKS_FD, RESULTS_FD, LIFELINE_FD):
        os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=_leave_link)
    _reset_signals()
    forget_logging()
    output = ProcessOutput()
    _show_crashes(output)
    return output


class Followers:
    """Makes tasks that follow others ready to run, with what those returned."""

    def __init__(self, is_free: Callable[[str], bool] | None) -> None:
        self._is_free = is_free
        self._outputs: dict[str, tuple[ArtifactRef, ...]] = {}  #: of the last tasks that simply succeeded

    def note(self, finished: Finished) -> None:
        """Remember what a task returned."""
        if finished.failure is None and not finished.blocked:
            self._outputs[finished.task_id] = finished.outputs
            if len(self._outputs) > REMEMBERED:
                del self._outputs[next(iter(self._outputs))]

    def forget(self) -> None:
        """Forget what tasks returned: no further task follows them."""
        self._outputs.clear()

    def inputs_and_key(self, task: Task, following: Following) -> tuple[tuple[ArtifactRef, ...], str] | None:
        """Return what a task needs, now that it is known, having taken its key; None when it must not be run here."""
        outputs = self._outputs.get(following.task_id)
        if outputs is None or self._is_free is None:
            return None
        inputs, identities = list(task.inputs), list(following.parts.inputs)
        for position, number in following.inputs:
            inputs[position] = outputs[number]
            identities[position] = identities[position][0], outputs[number].identity
        key = replace(following.parts, inputs=tuple(identities)).key
        return (tuple(inputs), key) if self._is_free(key) else None


def die_with_driver() -> None:
    """Have this process group killed at the moment when the driver, however it ends, lets go of the lifeline.

    On Linux the kernel does it: end of file on a pipe sends its reader's group the signal asked for, even while a step
    holds the interpreter. ``PR_SET_PDEATHSIG`` would kill this process only, not what its steps started, and already
    when the driver's *thread* that started it ends.
    """
    if sys.platform == "linux":
        fcntl.fcntl(LIFELINE_FD, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(LIFELINE_FD, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(LIFELINE_FD, fcntl.F_SETFL, fcntl.fcntl(LIFELINE_FD, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
        if _is_driver_gone():
            _end_group()
    else:
        from threading import Thread

        Thread(target=_wait_for_end_of_driver, daemon=True, name="filiera-lifeline").start()


def _is_driver_gone() -> bool:
    try:
        return os.read(LIFELINE_FD, 1) == b""
    except BlockingIOError:
        return False


def _wait_for_end_of_driver() -> None:
    os.read(LIFELINE_FD, 1)
    _end_group()


def _end_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _leave_link() -> None:
    """In a process that a step forks: the link is not its own, and holding it would hide the worker's death."""
    for fd in (TASKS_FD, RESULTS_FD):
        with suppress(OSError):  # closed by the step itself
            os.close(fd)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _show_crashes(output: ProcessOutput) -> None:
    """Leave the Python stack in the log when C code brings the process down."""
    import faulthandler

    faulthandler.enable(output.log_fd, all_threads=False)


def _tasks(move: Callable[[Move], None]) -> Iterator[Task]:
    """Yield the driver's tasks. What has been read is begun at once: the driver takes back only what has not."""
    reader, messages = TaskReader(), Messages()
    while piece := os.read(TASKS_FD, _CHUNK_BYTES):
        for content in messages.feed(piece):
            message = reader.unpack(content)
            if message is None:
                _rest()
            elif isinstance(message, Move):
                move(message)
            else:
                yield message


def _rest() -> None:
    """Wait until somebody takes the worker over; nobody may ever."""
    poll = select.poll()
    poll.register(TASKS_FD, select.POLLIN)
    if not poll.poll(_RESTS_MS):
        os._exit(0)


def _execute(task: Task, run: Callable[[Task], Finished]) -> Finished:
    pid = os.getpid()
    try:
        finished = run(task)
    except KeyboardInterrupt as error:  # Ctrl-C is for the driver alone: this one the step raised itself
        finished = Finished(task_id=task.task_id, failure=failure_from(error, "raised"))
    if os.getpid() != pid:
        os._exit(0)  # the step forked and let its child return too
    return finished


def _wait_for_death() -> Never:
    """Begin nothing more in a process that a step has spoilt; the driver is about to kill it."""
    while True:
        signal.pause()


def _send(message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(RESULTS_FD, view) :]


def _has_children() -> bool:
    """Tell whether the step left processes running; those that have ended are reaped."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
            continue
    except ChildProcessError:
        return False
    return True


def _count_threads() -> int:
    threading = sys.modules.get("threading")
    return threading.active_count() if threading else 1
