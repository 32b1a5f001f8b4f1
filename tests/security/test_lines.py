"""What callers choose does not make a line, or steer who reads the log."""

from __future__ import annotations

import json
from pathlib import Path

from filiera.serving.access_log import AccessLine, AccessLog


def test_a_request_is_one_line_of_the_access_log(tmp_path: Path) -> None:
    """Line ends and escape codes in a path are written as JSON writes them."""
    paths = ['/a\n{"status":200}', "/b\r\n\r\n", "/c\x1b[2J\x1b]0;t\x07", "/d\0", "/e\u2028f", '/g"\\']
    log = AccessLog(str(tmp_path / "access.log"))
    for path in paths:
        log.add(AccessLine(at=1.0, method="GET", path=path, status=404, bytes=0, ms=0.1, request_id="1"))
    log.close()
    content = (tmp_path / "access.log").read_bytes()
    assert content.count(b"\n") == len(paths)
    assert not any(bytes([sign]) in content.replace(b"\n", b"") for sign in range(32))
    assert [json.loads(line)["path"] for line in content.splitlines()] == paths
