"""Steps that treat their process badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import get_context
from pathlib import Path


class Odd(BaseException):
    """Cannot be made again from its arguments, and cannot be shown."""

    def __init__(self, *, needed: int) -> None:
        super().__init__("x", object())

    def __str__(self) -> str:
        raise RuntimeError("no text")


def pid() -> int:
    return os.getpid()


def variable(name: str) -> str:
    return os.environ.get(name, "")


def raise_odd() -> None:
    raise Odd(needed=1)


def interrupt() -> None:
    raise KeyboardInterrupt


def close_files(first: int, last: int) -> str:
    os.closerange(first, last)
    return "done"


def write_garbage(size: int) -> int:
    os.write(1, b"\0\xff garbage \n")
    sys.stdout.write("\udc80 x" * size)
    sys.stdout = None
    return size


def close_streams() -> int:
    print("before closing")
    sys.stdout.close()
    sys.stderr.close()
    return 1


def say(text: str) -> None:
    print(text)


def signal_myself(number: int) -> None:
    print("about to be killed", flush=True)
    os.kill(os.getpid(), number)


def leave_thread() -> int:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return os.getpid()


def leave_process(fifo: str) -> int:
    """Start a process that holds *fifo* open for ever, and return."""
    _hold(fifo)
    return os.getpid()


def hang_with_process(fifo: str) -> None:
    """Start a process that holds *fifo* open, then hang holding the interpreter's only thread."""
    _hold(fifo)
    while True:
        signal.pause()


def leave_fork(fifo: str) -> int:
    """Leave a forked process, which shares all descriptors of the worker, then kill the worker."""
    get_context("fork").Process(target=_open_and_wait, args=(fifo,), daemon=True).start()
    with Path(fifo).open("rb") as file:
        file.read(1)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def return_twice() -> int:
    """Fork, and let both processes return."""
    return os.fork()


def set_alarm() -> int:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return os.getpid()


def await_alarm() -> bool:
    """Tell whether an alarm goes off within the time that ``set_alarm`` sets."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    return signal.sigtimedwait([signal.SIGALRM], 0.05) is not None


def ignore_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def exit_code_of_child() -> int:
    return subprocess.run([sys.executable, "-c", "raise SystemExit(7)"], check=False).returncode


def wait_for(fifo: str) -> str:
    """Return what somebody writes to *fifo*."""
    with Path(fifo).open() as file:
        return file.read()


def read_variable(name: str) -> str | None:
    return os.environ.get(name)


def command_line() -> str:
    return Path("/proc/self/cmdline").read_bytes().decode()


def open_descriptors() -> list[str]:
    return sorted(str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


def _hold(fifo: str) -> None:
    """Start a process that has *fifo*, which has a reader, open for writing and does nothing."""
    with Path(fifo).open("wb", 0) as file:
        file.write(b".")
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[file.fileno()])


def _open_and_wait(fifo: str) -> None:
    with Path(fifo).open("wb", 0) as file:
        file.write(b".")
        signal.pause()


def wait_if(fifo: str) -> int:
    """Return at once, or when somebody has written to *fifo*, if one is named."""
    if fifo:
        wait_for(fifo)
    return os.getpid()


def grow(value: str) -> tuple[int, str]:
    """Return who made it, and much of *value*."""
    return os.getpid(), value * 2_000_000


def who_has(value: str) -> int:
    return os.getpid()
