"""One worker process as its driver sees it: started, talked to, killed with all that it started, reaped."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Never

from filiera.core.task import Failure, LogSpan, Task
from filiera.core.wire import LIFELINE_FD, LINK_LOST, RESULTS_FD, TASKS_FD, Messages, pack_task

_CHUNK_BYTES = 1 << 16  # what a pipe holds; larger would make each read map and unmap memory, 20 µs
_FIRST_FREE_FD = LIFELINE_FD + 1


class WorkerProcess:
    """A started worker process, and the task it has, if any."""

    def __init__(self, pid: int, pipes: Pipes, *, log_path: Path, log_start: int) -> None:
        self.pid = pid
        self.log_path = log_path
        self.task: Task | None = None
        self.given_at = 0.0  #: when it got its task, on the monotonic clock
        self.deadline: float | None = None  #: when time is over to start, then for its task; on the monotonic clock
        self.is_ready = False  #: its interpreter is up; until then a task's clock stands still
        self.verdict: Failure | None = None  #: why we killed it
        self._log_start = log_start
        self._tasks_fd, self.results_fd, self._lifeline_fd = pipes.ours
        self._messages = Messages()
        self._unsent = memoryview(b"")
        self.sentinel_fd = _sentinel(pid)  #: readable when the process has ended; -1: the system has no such thing

    def log_span(self, end: int | None = None) -> LogSpan:
        """Return where the present task's output lies; with *end*, close it: what follows is the next task's."""
        span = LogSpan(file=self.log_path.name, start=self._log_start)
        if end is not None:
            span = LogSpan(file=self.log_path.name, start=self._log_start, end=end)
            self._log_start = end
        return span

    def close_log_span(self) -> LogSpan:
        """Return where the output of a task lies whose process is dead."""
        return self.log_span(self._log_size())

    def give(self, task: Task) -> None:
        """Send *task*, or begin to: ``send_rest`` goes on. Raises BrokenPipeError when the process has ended."""
        self.task, self.given_at = task, time.monotonic()
        self.start_clock()
        self._unsent = memoryview(pack_task(task))
        self.send_rest()

    def start_clock(self) -> None:
        """Begin to count the task's time, if the process is up and a task is there."""
        if self.is_ready and self.task is not None:
            timeout_s = self.task.timeout_s
            self.deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def let_go(self) -> None:
        """Forget the task, which has ended."""
        self.task = self.deadline = None

    @property
    def unsent_fd(self) -> int:
        """Return the descriptor to wait for until it takes more, or -1 when all is sent."""
        return self._tasks_fd if self._unsent else -1

    def send_rest(self) -> None:
        """Send what the pipe takes now. Raises BrokenPipeError when the process has ended."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._tasks_fd, self._unsent) :]
        except BlockingIOError:
            return

    def received(self) -> Iterator[bytes]:
        """Yield the messages that have arrived, without waiting. Raises EOFError when no more can come."""
        while True:
            try:
                piece = os.read(self.results_fd, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not piece:
                raise EOFError
            yield from self._messages.feed(piece)
            if len(piece) < _CHUNK_BYTES:
                return

    def kill(self, verdict: Failure | None = None) -> None:
        """Kill the process and what it started, because of *verdict*; the first one stands."""
        self.verdict = self.verdict or verdict
        # A group we may not signal has only dead members left (macOS); one that is not there yet has one member.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def bury(self) -> Failure:
        """Kill what is left, reap the process, give back all descriptors; return how the process ended."""
        self.kill()
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # a signal handler of the host program reaped it before us
            status = 0
        for fd in (self._tasks_fd, self.results_fd, self._lifeline_fd, self.sentinel_fd):
            if fd >= 0:
                os.close(fd)
        return self.verdict or _failure_from_status(status, self.is_ready)

    def _log_size(self) -> int:
        try:
            return self.log_path.stat().st_size
        except FileNotFoundError:
            return 0


class Pipes:
    """The three pipes between a driver and one worker: tasks, results, lifeline."""

    def __init__(self) -> None:
        tasks, results, lifeline = _pipe(), _pipe(), _pipe()
        self.ours = (tasks[1], results[0], lifeline[1])
        self.theirs = {TASKS_FD: tasks[0], RESULTS_FD: results[1], LIFELINE_FD: lifeline[0]}
        os.set_blocking(tasks[1], False)
        os.set_blocking(results[0], False)


def start_worker(
    log_path: Path,
    *,
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    fork_main: Callable[[], None] | None,
) -> WorkerProcess:
    """Return a started worker that logs to *log_path*: a fork that calls *fork_main* if that is safe, else *command*.

    Raises:
        OSError: The command or the log cannot be opened, or the system has no more processes or descriptors.
    """
    pipes = Pipes()
    log_fd = null_fd = -1
    # Ctrl-C must find the worker either not started or known to us and in its own session.
    former_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        log_fd = _away(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
        log_start = os.fstat(log_fd).st_size  # before the worker can write to it
        null_fd = _away(os.open(os.devnull, os.O_RDONLY))
        theirs = {0: null_fd, 1: log_fd, 2: log_fd, **pipes.theirs}
        if fork_main is not None and _is_forking_safe():
            pid = _fork(theirs, environment, fork_main)
        else:
            pid = _spawn(theirs, environment, command)
        return WorkerProcess(pid, pipes, log_path=log_path, log_start=log_start)
    except OSError:
        for fd in pipes.ours:
            os.close(fd)
        raise
    finally:
        for fd in (log_fd, null_fd, *pipes.theirs.values()):
            if fd >= 0:
                os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)


def _is_forking_safe() -> bool:
    """Tell whether this process has one thread only: a fork copies just the calling one, and the locks of all."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    except OSError:
        return False


def _spawn(fds: Mapping[int, int], environment: Mapping[str, str] | None, command: Sequence[str]) -> int:
    return os.posix_spawnp(
        command[0],
        list(command),
        os.environ if environment is None else environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in fds.items()],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM),
    )


def _fork(fds: Mapping[int, int], environment: Mapping[str, str] | None, main: Callable[[], None]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # what is buffered would be there twice
    pid = os.fork()
    if pid == 0:
        _be_worker(fds, environment, main)
    return pid


def _be_worker(fds: Mapping[int, int], environment: Mapping[str, str] | None, main: Callable[[], None]) -> Never:
    """Run *main* in a process just forked, and end it. Nothing of the driver's is cleaned up: it is not ours."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        gc.freeze()  # objects of the driver must not be finalised here
        for target, source in fds.items():
            os.dup2(source, target)
        for fd in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            if fd >= _FIRST_FREE_FD:
                with suppress(OSError):  # the one that listed the folder
                    os.close(fd)
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        main()
    except BaseException:  # noqa: BLE001  going on would run the driver's own code a second time
        from traceback import format_exc

        os.write(2, format_exc().encode(errors="backslashreplace"))
        os._exit(1)
    os._exit(0)


def _sentinel(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if sys.platform == "linux" else -1
    except OSError:
        return -1  # an old kernel: the end of the results pipe will do


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    return _away(reader), _away(writer)


def _away(fd: int) -> int:
    """Return a duplicate of *fd* at a number that no descriptor of a worker gets, and close *fd*."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
    finally:
        os.close(fd)


def _failure_from_status(status: int, is_ready: bool) -> Failure:
    """Return what an exit *status*, as ``waitpid`` gives it, means for the task that the process had."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
        return Failure(kind="crashed", error=name, message=f"killed by signal {number}{_HINTS.get(number, '')}")
    code = os.WEXITSTATUS(status)
    error = f"exit code {code}"
    if not is_ready:
        return Failure(
            kind="crashed", error=error, message=f"its worker process could not start ({error}); see the log"
        )
    if code == LINK_LOST:
        message = "the step closed descriptors that its process needs; it may close only what it opened"
        return Failure(kind="crashed", error="LinkLost", message=message)
    return Failure(kind="exit", error=error, message=f"the step ended its process with {error}, as os._exit does")


_HINTS: Mapping[int, str] = {
    signal.SIGKILL: ": often the system ran out of memory",
    signal.SIGSEGV: ": a bug in compiled code; the log ends with the Python lines that led to it",
    signal.SIGBUS: ": a bug in compiled code, or a mapped file that became shorter; see the log",
    signal.SIGFPE: ": a bug in compiled code; the log ends with the Python lines that led to it",
    signal.SIGILL: ": compiled code for another processor; see the log",
    signal.SIGABRT: ": compiled code gave up; the log says why",
    signal.SIGALRM: ": the step set an alarm without a handler",
    signal.SIGTERM: ": somebody ended it",
}
