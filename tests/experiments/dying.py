"""Runs ``filiera`` commands in processes of its own making, and kills them; asked on standard input, a line each.

A request names the folder, the words, and when the process dies: ``number`` 7 and ``moment`` "before" or "after" the
seventh of its calls of git, waits for the disk, renamings, removals of files and writes to the records, all counted
together; or ``after_s`` seconds after its beginning; or never. With ``is_group`` a git process that it has started dies
with it. The answer says how it ended, how many calls it made, how long it took, and what it printed.

python -m tests.experiments.dying
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from filiera.adapters.git_repository import Repository
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.cli.main import main as filiera

VERBS = ("start", "run", "drop", "restore", "sync", "accept", "doctor", "list", "gc")
_BYTES = 8


class Fate:
    """Counts calls, and ends the process at one of them."""

    def __init__(self, moment: str, number: int, *, is_group: bool) -> None:
        self.moment, self.number, self.is_group = moment, number, is_group
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def seen(self) -> int:
        return int.from_bytes(self.shared[:_BYTES], "big")

    def wrap(self, owner: Any, name: str) -> None:
        """Let a function be counted."""
        former = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            self.shared[:_BYTES] = (self.seen + 1).to_bytes(_BYTES, "big")
            at = self.seen
            self.meets("before", at)
            result = former(*args, **options)
            self.meets("after", at)
            return result

        setattr(owner, name, counted)

    def meets(self, moment: str, at: int) -> None:
        if (self.moment, self.number) == (moment, at):
            os.kill(0 if self.is_group else os.getpid(), signal.SIGKILL)


def live(request: dict[str, Any], fate: Fate, out: int) -> None:
    """Be the command."""
    os.setpgid(0, 0)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    fate.wrap(Repository, "_run")
    fate.wrap(SqliteRecords, "write")
    for name in ("fsync", "replace", "rename", "unlink"):
        fate.wrap(os, name)
    code = 70
    try:
        code = filiera(request["words"])
        sys.stdout.flush()
    except Exception:  # noqa: BLE001  a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Start a command, kill it when its time has come, and tell how it ended."""
    fate = Fate(request.get("moment", ""), request.get("number", 0), is_group=request.get("is_group", False))
    with tempfile.TemporaryFile() as out:
        began_s = time.monotonic()
        pid = os.fork()
        if pid == 0:
            live(request, fate, out.fileno())
        with suppress(OSError):
            os.setpgid(pid, pid)
        handle = os.pidfd_open(pid)
        if "after_s" in request and not select.select([handle], [], [], request["after_s"])[0]:
            with suppress(ProcessLookupError):
                (os.killpg if fate.is_group else os.kill)(pid, signal.SIGKILL)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        took_s = time.monotonic() - began_s
        out.seek(0)
        said = out.read().decode("utf-8", "replace")
    return {"code": os.waitstatus_to_exitcode(status), "seen": fate.seen, "took_s": took_s, "said": said}


def main() -> None:
    for verb in VERBS:
        with suppress(ImportError):
            importlib.import_module(f"filiera.cli.experiment_{verb}")
    importlib.import_module("filiera.project.builtin")
    assert "polars" not in sys.modules, "its threads would not be there after a fork"
    Path("/proc/self/comm").write_text("dying")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
