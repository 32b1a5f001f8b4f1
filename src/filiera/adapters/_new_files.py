"""New files in the form of patches that ``git apply`` takes: asking git for each would take a process a file."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Iterator

_LINE_BYTES = 52  # of compressed bytes, as git writes them


def patch_of_new_file(name: str, content: bytes, mode: str) -> bytes:
    r"""Return the patch that makes one file.

    Args:
        name: From the top of the repository, with slashes.
        content: Of the file; of a link, where it points.
        mode: ``100644``, ``100755`` or ``120000``, as git calls files, programs and links.

    >>> print(patch_of_new_file("a.py", b"x = 1\n", "100644").decode())
    diff --git a/a.py b/a.py
    new file mode 100644
    index 0000000000000000000000000000000000000000..7d4290a117a4ddcc11daae7ea675841033830c8f
    --- /dev/null
    +++ b/a.py
    @@ -0,0 +1,1 @@
    +x = 1
    <BLANKLINE>
    """
    before, after = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    # Only a name in git's own format: not for safety.
    named = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    head = [
        b"diff --git %b %b" % (before, after),
        b"new file mode %b" % mode.encode(),
        b"index %b..%b" % (b"0" * 40, named.encode()),
    ]
    lines = _binary(content) if b"\0" in content else _text(content, after)
    return b"\n".join([*head, *lines]) + b"\n"


def _text(content: bytes, name: bytes) -> Iterator[bytes]:
    if not content:
        return
    lines = content.split(b"\n")
    is_ended = lines[-1] == b""
    lines = lines[:-1] if is_ended else lines
    yield b"--- /dev/null"
    # A tab ends a name with blanks in it.
    yield b"+++ " + name + (b"\t" if b" " in name else b"")
    yield b"@@ -0,0 +1,%d @@" % len(lines)
    for line in lines:
        yield b"+" + line
    if not is_ended:
        yield b"\\ No newline at end of file"


def _binary(content: bytes) -> Iterator[bytes]:
    yield b"GIT binary patch"
    yield b"literal %d" % len(content)
    packed = zlib.compress(content)
    for start in range(0, len(packed), _LINE_BYTES):
        piece = packed[start : start + _LINE_BYTES]
        length = len(piece)
        yield bytes([length + 64 if length <= 26 else length + 70]) + base64.b85encode(piece, pad=True)
    yield b""


def _quoted(name: str) -> bytes:
    r"""Return a name as git writes it: in quotes, with escapes, when it has a quote, backslash or control character.

    >>> _quoted('a/"x"\n')
    b'"a/\\"x\\"\\012"'
    """
    raw = os.fsencode(name)
    if all(byte >= 32 and byte not in (34, 92, 127) for byte in raw):
        return raw
    escaped = b"".join(
        b"\\%c" % byte if byte in (34, 92) else b"\\%03o" % byte if byte < 32 or byte == 127 else bytes([byte])
        for byte in raw
    )
    return b'"%b"' % escaped
