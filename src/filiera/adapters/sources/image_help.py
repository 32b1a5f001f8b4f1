"""What is done with a lot of images, by this process or a helper, which loads this and little else."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import IO, Any, NamedTuple

from blake3 import blake3

from filiera.adapters.sources.image_facts import Facts, quiet_pillow
from filiera.adapters.sources.image_headers import ImageLooker
from filiera.adapters.sources.whole_files import read_whole
from filiera.core.files import PACK_BYTES

_SENT_BYTES = 1 << 21  # more of a lot is not sent back
_LENGTH_BYTES = 8

Asked = str | bytes
"""Where a file lies, or the bytes of one that is packed."""


class Seen(NamedTuple):
    """What there is to say of the files of a lot, in order."""

    digests: list[str]
    sizes: list[int]
    contents: list[bytes | None]  #: None of files that lie by themselves, when they are large or the lot is
    facts: list[Facts | None]  #: None of those whose digests are known


class LotLooker:
    """Looks at lots, and knows better with each."""

    def __init__(self, max_pixels: int, known: Collection[str]) -> None:
        self._images = ImageLooker(max_pixels=max_pixels)
        self._known = frozenset(known)

    def look(self, lot: Sequence[Asked]) -> Seen:
        """Return what there is to say of files. Raises OSError, which names the file."""
        seen = Seen([], [], [], [])
        left_bytes = _SENT_BYTES
        for file in lot:
            content = file if isinstance(file, bytes) else read_whole(file)
            size_bytes = len(content)
            digest = blake3(content).hexdigest()
            seen.digests.append(digest)
            seen.sizes.append(size_bytes)
            left_bytes -= size_bytes
            seen.contents.append(content if left_bytes >= 0 and size_bytes < PACK_BYTES else None)
            seen.facts.append(None if digest in self._known else self._images.facts(content))
        return seen


def help_out() -> None:
    """Look at lots until there are no more: the whole life of a helper."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it hears of it too, and ends it
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    told = received(asked)
    if told is None:
        return
    looker = LotLooker(*told[0])
    with quiet_pillow():
        while (lot := received(asked)) is not None:
            places, packed = lot
            try:
                send(answers, *_packed(looker.look(places or packed)))
            except OSError as error:
                send(answers, [error.errno, error.strerror, error.filename])


def ask(to: IO[bytes], answers: IO[bytes], lot: Sequence[Asked]) -> Seen | None:
    """Return what a helper has seen of a lot, None if it is no more. Raises OSError, which names the file."""
    places = [file for file in lot if isinstance(file, str)]
    send(to, places, [file for file in lot if isinstance(file, bytes)])
    answer = received(answers)
    if answer is None:
        return None
    if isinstance(answer[0], list):
        raise OSError(*answer[0])
    return _unpacked(*answer)


def send(pipe: IO[bytes], message: Any, pieces: Sequence[bytes] = ()) -> None:
    """Write a message: something that JSON knows, and bytes."""
    head = json.dumps([message, list(map(len, pieces))]).encode()
    pipe.write(b"".join((len(head).to_bytes(_LENGTH_BYTES), head, *pieces)))
    pipe.flush()


def received(pipe: IO[bytes]) -> tuple[Any, list[bytes]] | None:
    """Return the next message; None when the other side has ended."""
    length = pipe.read(_LENGTH_BYTES)
    head = pipe.read(int.from_bytes(length))
    if not head:
        return None
    message, sizes = json.loads(head)
    content = pipe.read(sum(sizes))
    ends = list(accumulate(sizes))
    return message, [content[end - size_bytes : end] for end, size_bytes in zip(ends, sizes, strict=True)]


def _packed(seen: Seen) -> tuple[dict[str, Any], list[bytes]]:
    """Return a message: facts, which most images share, are in it once."""
    distinct = {id(facts): facts for facts in seen.facts}
    numbers = {found: number for number, found in enumerate(distinct)}
    message = {
        "digests": seen.digests,
        "sizes": seen.sizes,
        "is_sent": [content is not None for content in seen.contents],
        "facts": list(distinct.values()),
        "which": [numbers[id(facts)] for facts in seen.facts],
    }
    return message, [content for content in seen.contents if content is not None]


def _unpacked(message: dict[str, Any], pieces: Sequence[bytes]) -> Seen:
    left = iter(pieces)
    return Seen(
        message["digests"],
        message["sizes"],
        [next(left) if is_sent else None for is_sent in message["is_sent"]],
        [message["facts"][number] for number in message["which"]],
    )
