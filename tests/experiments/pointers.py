"""A filter of git that keeps pointers in branches, and files in a folder, in the way of LFS.

python tests/experiments/pointers.py clean|smudge FOLDER
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HEAD = b"version pointers/1\nsha256 "


def main() -> None:
    word, folder = sys.argv[1], Path(sys.argv[2])
    given = sys.stdin.buffer.read()
    if word == "clean" and not given.startswith(HEAD):
        name = hashlib.sha256(given).hexdigest()
        (folder / name).write_bytes(given)
        given = HEAD + name.encode() + b"\n"
    elif word == "smudge" and given.startswith(HEAD):
        given = (folder / given.removeprefix(HEAD).decode().strip()).read_bytes()
    sys.stdout.buffer.write(given)


if __name__ == "__main__":
    main()
