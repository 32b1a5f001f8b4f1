"""The prediction log as a folder of append-only segments.

A segment is a file of frames (``_segment_file.py``): some records, or those of some requests, in each. The records of
requests are bodies and answers as they went over the wire, which nobody has to encode again; reading takes them apart
(``_logged_records.py``). A process only appends to segments that it began, and several may log to one folder.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from filiera.adapters._segment_file import Segment, prove
from filiera.adapters.segment_folder import SegmentFolder, unusable
from filiera.errors import StoreError

_PROBE_S = 0.5
_PROBE_BYTES = 64 * 1024
_STUCK_S = 5.0


class SegmentLog:
    """Prediction log in a folder; the folder and the syncing thread come with the first record.

    ``append`` hands records to the system and does not wait for the disk, which a thread does at the latest
    *sync_every_s* later: a killed process loses nothing, a power cut at most that interval. When the disk takes nothing
    more, what is lost is counted, ``trouble`` says why, and every half second the thread tries whether there is room.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sync_every_s: float = 0.1,
        segment_bytes: int = 64 * 1024 * 1024,
        segment_s: float = 3600.0,
        max_pending_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """Use *folder*; nothing is touched yet.

        Args:
            folder: Made when it is absent.
            sync_every_s: How much a power cut may lose.
            segment_bytes: A larger segment is closed and another begun.
            segment_s: So is an older one: only closed ones can be compacted.
            max_pending_bytes: How much may wait for a slow disk; what comes beyond is counted as dropped. The system
                lets a writer wait only when much more than this waits for the disk.
        """
        self.damaged_frames = 0  #: how many places the latest ``read`` skipped
        self._folder = folder
        self._segment = Segment(folder, max_bytes=segment_bytes, max_s=segment_s)
        self._sync_every_s = sync_every_s
        self._max_pending_bytes = max_pending_bytes
        self._changed = threading.Condition()
        self._pending_bytes = 0  #: not on disk yet
        self._pending = 0  #: records of them
        self._accepted = 0  #: records that ever were appended
        self._settled = 0  #: of these, how many are on disk or counted as dropped
        self._dropped = 0
        self._trouble = ""
        self._largest_bytes = _PROBE_BYTES  #: of what was lost: there must be room for as much
        self._syncing_since = math.inf  #: monotonic; infinite while nothing waits for the disk
        self._is_urgent = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Make the folder and prove that it can be written, so that a service fails before it starts.

        Raises:
            StoreError: It cannot.
        """
        try:
            prove(self._folder, 0)
        except OSError as error:
            raise unusable(self._folder, error) from error

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep all of *records* or none. Raises TypeError for what JSON has no word for, StoreError once closed."""
        if records:
            self._write(msgspec.json.encode(records), (), len(records))

    def append_requests(
        self,
        about: Mapping[str, Any],
        requests: Sequence[bytes],
        answers: Sequence[bytes],
        *,
        count: int,
        raw: Sequence[bytes | memoryview] = (),
    ) -> None:
        """Keep the *count* records of some requests as they went over the wire. Raises StoreError once closed."""
        head, asked, answered = msgspec.json.encode(about)[:-1], b",".join(requests), b",".join(answers)
        self._write(b'%b,"requests":[%b],"answers":[%b]}' % (head, asked, answered), raw, count)

    def keep(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep *records*, and come back when they are on disk; of those that come at once one sync serves all.

        Raises:
            StoreError: That cannot be promised: while it was tried some record, perhaps of another caller, was lost.
        """
        lost = self.dropped()
        self.append(records)
        self.flush()
        if self.dropped() > lost:
            raise StoreError(f"{self._folder} takes nothing more.", do="Make room on its disk.")

    def flush(self) -> None:
        """Return when all that was appended before is on disk, or counted as dropped."""
        with self._changed:
            goal = self._accepted
            self._is_urgent = self._settled < goal
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._settled >= goal)

    def read(self, *, since: float = 0.0, until: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield intact records with ``since <= at < until``, segment after segment, each in order of logging.

        What this log was given before is included. What is not intact is skipped; ``damaged_frames`` then has the
        number of such places.

        Raises:
            StoreError: The folder or a segment cannot be read.
        """
        self.flush()
        folder = SegmentFolder(self._folder)
        with folder.held():
            yield from folder.read(folder.names(), since=since, until=until)
        self.damaged_frames = folder.damaged

    def dropped(self) -> int:
        """Return how many records this log could not keep."""
        with self._changed:
            return self._dropped

    def trouble(self) -> str:
        """Return why records are being lost now, or ''."""
        # Without the lock: it is asked for each request.
        if time.monotonic() - self._syncing_since > _STUCK_S:
            return "the disk does not answer"
        return self._trouble

    def close(self) -> None:
        """Flush and stop. Doing it twice is harmless."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _write(self, content: bytes, raw: Sequence[bytes | memoryview], count: int) -> None:
        size_bytes = len(content) + sum(map(len, raw)) if raw else len(content)
        with self._changed:
            if self._is_closed:
                raise StoreError("This prediction log is closed.")
            if self._pending_bytes + size_bytes > self._max_pending_bytes:
                self._drop(count, "the disk is too slow")
                return
            try:
                self._segment.write(content, raw)
            except OSError as error:
                self._largest_bytes = max(self._largest_bytes, size_bytes)
                self._drop(count, error.strerror or str(error))
                return
            self._accepted += count
            self._pending_bytes += size_bytes
            self._pending += count
            if self._pending == count:  # the thread sleeps, and for long when nothing is pending
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        is_closed = False
        while not is_closed:
            with self._changed:
                self._rest()
                count, self._pending, self._pending_bytes = self._pending, 0, 0
                is_closed, self._is_urgent = self._is_closed, False
            self._syncing_since = time.monotonic()
            error = _caught(self._segment.sync)
            self._syncing_since = math.inf
            with self._changed:
                if error is not None:
                    # What was written meanwhile is in the same file, of which nothing more is known.
                    count, self._pending, self._pending_bytes = count + self._pending, 0, 0
                    self._drop(count, error.strerror or str(error))
                if error is not None or self._segment.is_full or is_closed:
                    self._segment.close()
                self._settled += count
                self._changed.notify_all()
            if self._trouble and not is_closed:
                self._try_again()

    def _rest(self) -> None:
        """Wait until there is something to sync, to try again or to close, and a little for more of it."""
        if not (self._pending or self._trouble):
            rest_s = self._segment.rest_s()
            self._changed.wait_for(self._is_needed, None if math.isinf(rest_s) else max(rest_s, 0.0))
        if self._trouble:
            self._changed.wait_for(lambda: self._is_urgent or self._is_closed, _PROBE_S)
        elif self._pending:
            self._changed.wait_for(lambda: self._is_urgent or self._is_closed, self._sync_every_s)

    def _is_needed(self) -> bool:
        return bool(self._pending or self._trouble) or self._is_closed

    def _try_again(self) -> None:
        if _caught(lambda: prove(self._folder, self._largest_bytes)) is None:
            with self._changed:
                self._trouble, self._largest_bytes = "", _PROBE_BYTES
            _say(f"Predictions are logged again in {self._folder}; {self._dropped:,} could not be so far.")

    def _drop(self, count: int, why: str) -> None:
        self._dropped += count
        if not self._trouble:
            _say(f"Predictions are not logged in {self._folder}: {why}. /metrics counts them.")
            self._trouble = why
            if not self._is_closed:
                self._wake()


def _caught(act: Callable[[], None]) -> OSError | None:
    try:
        act()
    except OSError as error:
        return error
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
