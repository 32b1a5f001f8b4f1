"""The small model served by a real server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_ROOT = Path(__file__).parents[2]


@contextmanager
def running(
    folder: Path, *more: str, body_s: float = 30.0, stderr: IO[str] | int = subprocess.PIPE
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service until the block ends; gives the process and what it says once it is ready: its URL.

    With *more* of ``grpc``, the URL and behind it the address for gRPC; of ``access``, it writes an access log beside
    the folder.
    """
    command = [sys.executable, "-m", "tests.serving.serve_rule", str(folder), str(body_s), *more]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
