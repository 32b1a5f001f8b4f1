"""Starting a worker process: forked from this one where that is safe, else a program of its own."""

from __future__ import annotations

import fcntl
import gc
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Never

from filiera.core.value import dataclass
from filiera.core.wire import LIFELINE_FD, RESULTS_FD, TASKS_FD

_FIRST_FREE_FD = LIFELINE_FD + 1
_PIPE_BYTES = 1 << 18  # 64 tasks, each of which fills a page
_SETTLED = re.compile(rb"lib(?:g|i)?omp[^/\n]*\n|lib[^/\n]*openblas[^/\n]*\n|libmkl_")
"""In the map of a process: libraries that count their threads when they are loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """A process that was started, and the driver's ends of its pipes."""

    pid: int
    log_path: Path
    log_start: int  #: size of the log before the process could write to it
    tasks_fd: int  #: does not block
    results_fd: int  #: does not block
    lifeline_fd: int
    is_packeted: bool  #: what is written to the tasks pipe at once is read at once, up to PACKET_BYTES


def launch(
    log_path: Path,
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    fork_main: Callable[[], None] | None,
) -> Launched:
    """Start a worker that logs to *log_path*: a fork that calls *fork_main* if that is safe, else *command*.

    Raises:
        OSError: The command or the log cannot be opened, or the system has no more processes or descriptors.
    """
    pipes = _Pipes()
    log_fd = null_fd = -1
    # Ctrl-C must find the worker either not started or known to us and in its own session.
    former_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        log_fd = _away(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
        log_start = os.fstat(log_fd).st_size
        null_fd = _away(os.open(os.devnull, os.O_RDONLY))
        theirs = {0: null_fd, 1: log_fd, 2: log_fd, **pipes.theirs}
        if fork_main is not None and _is_forking_safe():
            pid = _fork(theirs, environment, fork_main)
        else:
            pid = _spawn(theirs, environment, command)
        tasks_fd, results_fd, lifeline_fd = pipes.ours
        return Launched(
            pid=pid,
            log_path=log_path,
            log_start=log_start,
            tasks_fd=tasks_fd,
            results_fd=results_fd,
            lifeline_fd=lifeline_fd,
            is_packeted=pipes.are_packeted,
        )
    except OSError:
        for fd in pipes.ours:
            os.close(fd)
        raise
    finally:
        for fd in (log_fd, null_fd, *pipes.theirs.values()):
            if fd >= 0:
                os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)


class _Pipes:
    """The three pipes between a driver and one worker: tasks, results, lifeline."""

    def __init__(self) -> None:
        tasks, results, lifeline = self._tasks_pipe(), _pipe(), _pipe()
        self.ours = (tasks[1], results[0], lifeline[1])
        self.theirs = {TASKS_FD: tasks[0], RESULTS_FD: results[1], LIFELINE_FD: lifeline[0]}
        os.set_blocking(tasks[1], False)
        os.set_blocking(results[0], False)

    def _tasks_pipe(self) -> tuple[int, int]:
        self.are_packeted = False
        if sys.platform != "linux":
            return _pipe()
        reader, writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        with suppress(OSError):  # this user has enough in pipes already: it stays smaller, and takes several turns
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.are_packeted = True
        return _away(reader), _away(writer)


def _is_forking_safe() -> bool:
    """Tell whether a fork of this process is as good as a new one.

    It has one thread only, since a fork copies just the calling one, and the locks of all. And no library is loaded
    that has read already how many threads to compute with.
    """
    try:
        is_alone = len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208  as paths it takes three times as long
        return is_alone and not ("numpy" in sys.modules and _SETTLED.search(Path("/proc/self/maps").read_bytes()))
    except OSError:
        return False


def _spawn(fds: Mapping[int, int], environment: Mapping[str, str], command: Sequence[str]) -> int:
    return os.posix_spawnp(
        command[0],
        list(command),
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in fds.items()],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM),
    )


def _fork(fds: Mapping[int, int], environment: Mapping[str, str], main: Callable[[], None]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # what is buffered would be there twice
    pid = os.fork()
    if pid == 0:
        _be_worker(fds, environment, main)
    return pid


def _be_worker(fds: Mapping[int, int], environment: Mapping[str, str], main: Callable[[], None]) -> Never:
    """Run *main* in a process just forked, and end it. Nothing of the driver's is cleaned up: it is not ours."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        gc.freeze()  # objects of the driver must not be finalised here
        for target, source in fds.items():
            os.dup2(source, target)
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  as above
            if int(name) >= _FIRST_FREE_FD:
                with suppress(OSError):  # the one that listed the folder
                    os.close(int(name))
        os.environ.clear()
        os.environ.update(environment)
        main()
    except BaseException:  # noqa: BLE001  going on would run the driver's own code a second time
        from traceback import format_exc

        os.write(2, format_exc().encode(errors="backslashreplace"))
        os._exit(1)
    os._exit(0)


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    return _away(reader), _away(writer)


def _away(fd: int) -> int:
    """Return a duplicate of *fd* at a number that no descriptor of a worker gets, and close *fd*."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
    finally:
        os.close(fd)
