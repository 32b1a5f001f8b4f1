"""One worker process as its driver sees it: given tasks, listened to, killed with all that it started, reaped."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from filiera.adapters._worker_start import Launched
from filiera.core.artifact import ArtifactRef
from filiera.core.task import Failure, LogSpan, Resources, Task
from filiera.core.wire import LINK_LOST, PACKET_BYTES, REST, Messages, Move, TaskWriter, pack_move

_CHUNK_BYTES = 1 << 16  # what a pipe holds; larger would make each read map and unmap memory, 20 µs
LARGE_BYTES = 1 << 20
"""Values of this size are worth sending a task to the worker that has them."""
_MOST_REMEMBERED = 256


class WorkerProcess:
    """A started worker process, and the tasks it has.

    Its first task is the one that runs. The others lie in the pipe until the process reads them, and can be taken back
    as long as they do.
    """

    def __init__(self, launched: Launched, kind: tuple[str, tuple[str, ...], int]) -> None:
        self.pid, self.log_path = launched.pid, launched.log_path
        self.kind = kind  #: the environment it runs in, the GPUs it sees, and its threads
        self.tasks: deque[Task] = deque()  #: given to it and not ended, in order
        self.ahead_s = 0.0  #: how long the tasks behind the first one are likely to take
        self.head_since = 0.0  #: when it got to its first task, on the monotonic clock
        self.deadline: float | None = None  #: when time is over to start, then for its first task; likewise
        self.is_ready = False  #: its interpreter is up; until then a task's clock stands still
        self.verdict: Failure | None = None  #: why we killed it
        self.doomed = ""  #: the task that the verdict is about
        self.is_spent = False  #: a task left something behind in it: it begins no other
        self.is_leaving = False  #: it ends after the tasks that it has
        self.known: frozenset[str] | None = None  #: digests of code that it may run; None: all, it is as old as that
        self.resources = Resources()  #: what its tasks take of the machine, one at a time
        self.unsent_fd = -1  #: the descriptor to wait for until it takes more, or -1 when all is sent
        self.results_fd = launched.results_fd
        self.sentinel_fd = _sentinel(self.pid)  #: readable when the process has ended; -1: no such thing here
        self._tasks_fd, self._lifeline_fd = launched.tasks_fd, launched.lifeline_fd
        self._is_packeted = launched.is_packeted
        self._log_start = launched.log_start
        self._writer, self._messages = TaskWriter(), Messages()
        self._unsent: deque[memoryview] = deque()
        self._move = b""  #: what it was told when it was taken over
        self._single_bytes = 0  #: size of the message of its only task, when that is no packet
        self._warm: OrderedDict[str, int] = OrderedDict()  #: digest and size of large values it has had in its hands

    @property
    def log_start(self) -> int:
        """Return where the output of its first task begins."""
        return self._log_start

    def log_span(self, end: int | None = None) -> LogSpan:
        """Return where the first task's output lies; with *end*, close it: what follows is the next task's."""
        if end is None:
            return LogSpan(file=self.log_path.name, start=self._log_start)
        span = LogSpan(file=self.log_path.name, start=self._log_start, end=end)
        self._log_start = end
        return span

    def close_log(self, end: int) -> None:
        """Note that what follows in the log is the next task's."""
        self._log_start = end

    def close_log_span(self) -> LogSpan:
        """Return where the output of a task lies whose process is dead."""
        return self.log_span(self._log_size())

    def give(self, task: Task) -> None:
        """Begin to send *task* to an idle process; ``send_rest`` goes on. Raises BrokenPipeError when it is dead."""
        message = self._writer.pack(task)
        self._single_bytes = len(message) if len(message) > PACKET_BYTES else 0
        self.resources = task.resources
        self.tasks.append(task)
        self._send(message)
        self.head_since = time.monotonic()
        self.start_clock()

    def can_give_ahead(self) -> bool:
        """Tell whether it may get further tasks behind the one it has."""
        is_staying = self.verdict is None and not self.is_spent and not self.is_leaving
        return self._is_packeted and not self._single_bytes and is_staying

    def gave_ahead(self, task: Task) -> bool:
        """Send *task* to wait behind the others; return False when it must be given alone."""
        message = self._writer.pack(task)
        if len(message) > PACKET_BYTES:
            self._writer.forget()
            return False
        self.tasks.append(task)
        with suppress(BrokenPipeError):  # its death will be noticed, and the task be found unread
            self._send(message)
        return True

    def take_back(self) -> list[Task]:
        """Return the tasks that the process has not read and will not get, in order; it may be dead."""
        if not self._is_packeted:
            return []
        drained = list(self._drained())
        unread = [piece for piece in drained if piece not in (b"", REST, self._move)]
        unsent, self._unsent = self._unsent, deque()
        if self._single_bytes:
            size_bytes = sum(map(len, unread)) + sum(map(len, unsent))
            count = int(size_bytes == self._single_bytes)
        else:
            count = len(unread) + len(unsent)
        if count:
            self._writer.forget()
        if self._move in drained:
            with suppress(BrokenPipeError):  # its death will be noticed
                self._send(self._move)
        return [self.tasks.pop() for _ in range(count)][::-1]

    @property
    def could_rest(self) -> bool:
        """Tell whether it can be left to another executor."""
        is_well = self.is_ready and self.verdict is None and not self.is_spent and not self.is_leaving
        return is_well and self._is_packeted and not self.tasks and not self._unsent

    def rest(self) -> None:
        """Have it wait for another executor, though not for ever. Raises BrokenPipeError when it is dead."""
        self._send(REST)

    def move(self, log_path: Path, told: str) -> None:
        """Have a resting process write its output to *log_path* and know *told*. Raises BrokenPipeError, OSError."""
        self.log_path = log_path
        self._log_start = self._log_size()
        self._writer.forget()
        self._move = pack_move(Move(str(log_path), told))
        if len(self._move) > PACKET_BYTES:
            raise OSError(errno.ENAMETOOLONG, "too long for a message", str(log_path))
        self._send(self._move)

    def start_clock(self) -> None:
        """Begin to count the first task's time, if the process is up and a task is there."""
        if self.is_ready and self.tasks:
            timeout_s = self.tasks[0].timeout_s
            self.deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def end_first(self) -> Task:
        """Forget the first task, which has ended; the next one, if any, is the first now."""
        self.deadline = None
        self.head_since = time.monotonic()
        return self.tasks.popleft()

    def send_rest(self) -> None:
        """Send what the pipe takes now. Raises BrokenPipeError when the process has ended."""
        try:
            while self._unsent:
                message = self._unsent[0]
                sent = os.write(self._tasks_fd, message)
                if sent < len(message):
                    self._unsent[0] = message[sent:]
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent_fd = -1
            raise
        self.unsent_fd = self._tasks_fd if self._unsent else -1

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

    def note_warm(self, refs: Iterable[ArtifactRef]) -> None:
        """Remember the large values among *refs*, which the process made or loaded."""
        for ref in refs:
            if ref.size_bytes >= LARGE_BYTES:
                self._warm[ref.digest] = ref.size_bytes
                self._warm.move_to_end(ref.digest)
        while len(self._warm) > _MOST_REMEMBERED:
            self._warm.popitem(last=False)

    def warm_bytes(self, refs: Iterable[ArtifactRef]) -> int:
        """Return how many bytes of *refs* the process has had in its hands."""
        return sum(self._warm.get(ref.digest, 0) for ref in refs) if self._warm else 0

    def kill(self, verdict: Failure | None = None, *, doomed: str = "") -> None:
        """Kill the process and what it started, because of *verdict* on its first task, or on *doomed*; once only."""
        if verdict is not None and self.verdict is None and self.tasks:
            self.verdict, self.doomed = verdict, doomed or self.tasks[0].task_id
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
        self.let_go()
        return self.verdict or _failure_from_status(status, self.is_ready)

    def let_go(self) -> None:
        """Give back all descriptors."""
        for fd in (self._tasks_fd, self.results_fd, self._lifeline_fd, self.sentinel_fd):
            if fd >= 0:
                os.close(fd)

    def _send(self, message: bytes) -> None:
        self._unsent.append(memoryview(message))
        if len(self._unsent) == 1:
            self.send_rest()

    def _drained(self) -> Iterator[bytes]:
        """Yield what lies in the tasks pipe, packet by packet, and take it out."""
        # The writing end, opened for reading: held open, it would hide from a write that the process is dead.
        reader = os.open(f"/proc/self/fd/{self._tasks_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                yield os.read(reader, _CHUNK_BYTES)
        except BlockingIOError:
            return
        finally:
            os.close(reader)

    def _log_size(self) -> int:
        try:
            return self.log_path.stat().st_size
        except FileNotFoundError:
            return 0


def _sentinel(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if sys.platform == "linux" else -1
    except OSError:
        return -1  # an old kernel: the end of the results pipe will do


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
