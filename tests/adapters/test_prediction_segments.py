"""The prediction log over files: the port's promises, crashes, full disks, several writers."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.prediction_segments import SegmentLog
from filiera.errors import StoreError
from filiera.testing.prediction_log import PredictionLogContract, prediction
from tests.adapters.disks import DiskWithoutPower

_WRITER = """
import sys
from pathlib import Path
from filiera.adapters.prediction_segments import SegmentLog
from filiera.testing.prediction_log import prediction
log = SegmentLog(Path(sys.argv[1]))
number = 0
while True:
    log.append([prediction(number + i) for i in range(50)])
    number += 50
    log.flush()
    print(number, flush=True)
    log.append([prediction(-1)] * 3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "predictions"


def ids(log: SegmentLog) -> list[float]:
    return [record["at"] for record in log.read()]


class TestSegmentLog(PredictionLogContract):
    @pytest.fixture
    def log(self, folder: Path) -> Iterator[SegmentLog]:
        log = SegmentLog(folder)
        yield log
        log.close()


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def test_reading_leaves_no_trace(folder: Path) -> None:
    """A log that is only read makes no folder, no file and no thread."""
    assert list(SegmentLog(folder).read()) == []
    assert not folder.exists()


def test_records_reach_the_disk_without_being_asked(folder: Path) -> None:
    """Another process sees records though nobody flushes: the interval alone brings them there."""
    log = SegmentLog(folder, sync_every_s=0.0)
    log.append([prediction(1)])
    while not ids(SegmentLog(folder)):  # looking again is not a flush, which would hurry it
        pass
    log.close()


@given(cut=st.integers(min_value=1, max_value=400), flip=st.booleans())
def test_a_torn_tail_is_skipped_and_counted(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bool) -> None:
    """Whatever of the last line a crash left, the records before it are intact and later ones go elsewhere."""
    folder = tmp_path_factory.mktemp("log")
    log = SegmentLog(folder)
    log.append([prediction(1)])
    log.flush()
    last = segments(folder)[0].stat().st_size
    log.append([prediction(2)])
    log.close()
    (segment,) = segments(folder)
    content = segment.read_bytes()
    keep = max(last, len(content) - cut)
    torn = content[:keep] + (b"\0" * 7 if flip else b"")
    segment.write_bytes(torn)

    again = SegmentLog(folder)
    again.append([prediction(3)])
    assert ids(again) == [1, 3]
    assert again.damaged_frames == (0 if torn == content[:last] else 1)
    assert segment.read_bytes() == torn
    again.close()


@given(place=st.integers(min_value=0), bit=st.integers(0, 7), raw=st.binary(max_size=64))
def test_a_damaged_frame_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, raw: bytes
) -> None:
    """One flipped bit anywhere loses the records that it is in, whatever else the file holds; none is made up."""
    folder = tmp_path_factory.mktemp("log")
    log = SegmentLog(folder)
    ends = []
    for number in range(3):
        answers = json.dumps([{"id": str(number)}]).encode()
        log.append_requests({"at": number}, [b'{"instances":[{}]}'], [answers], count=1, raw=[raw])
        log.flush()
        ends.append(segments(folder)[0].stat().st_size)
    log.close()
    (segment,) = segments(folder)
    content = bytearray(segment.read_bytes())
    place %= len(content)
    content[place] ^= 1 << bit
    segment.write_bytes(content)
    hit = next(number for number, end in enumerate(ends) if place < end)
    assert ids(log) == [number for number in range(3) if number != hit]
    assert log.damaged_frames == 1


def test_a_frame_within_a_body_is_none_of_ours(folder: Path) -> None:
    """What a caller sends is never read as a frame, even where the frame around it is damaged."""
    log = SegmentLog(folder)
    log.append([prediction(1)])
    log.flush()
    forged = segments(folder)[0].read_bytes()
    log.close()
    log = SegmentLog(folder)
    log.append_requests({"at": 2}, [b'{"instances":[]}'], [b"[]"], count=0, raw=[forged])
    log.close()
    content = segments(folder)[1].read_bytes()
    segments(folder)[1].write_bytes(content.replace(b"instances", b"INSTANCES"))
    assert ids(log) == [1]
    assert log.damaged_frames == 1


def test_segments_are_closed_when_they_are_large(folder: Path) -> None:
    """A log of many records has many segments, read in order."""
    log = SegmentLog(folder, segment_bytes=1000)
    for number in range(30):
        log.append([prediction(number)])
        log.flush()
    assert ids(log) == list(range(30))
    assert len(segments(folder)) > 5
    log.close()


def test_two_logs_share_a_folder(folder: Path) -> None:
    """Each writer has segments of its own; a reader sees both, each in its order."""
    logs = [SegmentLog(folder), SegmentLog(folder)]
    for number in range(10):
        logs[number % 2].append([prediction(number)])
    for log in logs:
        log.close()
    found = ids(SegmentLog(folder))
    assert sorted(found) == list(range(10))
    assert [number for number in found if number % 2] == [1, 3, 5, 7, 9]


_UNFLUSHED = _WRITER.replace("log.flush()", "").replace("sys.argv[1])", "sys.argv[1]), sync_every_s=3600.0")


@pytest.mark.parametrize("program", [_WRITER, _UNFLUSHED], ids=["flushed", "appended"])
def test_a_killed_process_keeps_all_it_was_given(folder: Path, program: str) -> None:
    """After kill -9 while logging, every record that was acknowledged is intact, in order, flushed or not."""
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(5):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    found = [number for number in ids(SegmentLog(folder)) if number >= 0]
    assert found[:acknowledged] == list(range(acknowledged))
    assert found == list(range(len(found)))


@contextmanager
def files_at_most(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond *size_bytes*: what a full disk feels like, without being root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_counted_and_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When nothing more can be written, appending goes on, losses are counted, what is on disk stays readable."""
    log = SegmentLog(folder)
    log.append([prediction(number) for number in range(10)])
    log.flush()
    with files_at_most(segments(folder)[0].stat().st_size + 100):
        log.append([prediction(10)])
        log.flush()
        log.append([prediction(11), prediction(12)])
        log.flush()
        assert log.dropped() == 3
    log.append([prediction(13)])
    assert ids(log) == [*range(10), 13]
    assert log.damaged_frames == 0
    assert log.dropped() == 3
    log.close()
    assert capsys.readouterr().err.count("not logged") == 1


def test_a_torn_line_that_cannot_be_cut_costs_only_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the rest of a failed write stays in the file, what is written later begins on a line of its own."""
    log = SegmentLog(folder)
    log.append([prediction(1)])
    log.flush()

    def refuse(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch, files_at_most(segments(folder)[0].stat().st_size + 100):
        patch.setattr("os.ftruncate", refuse)
        log.append([prediction(2)])
    log.append([prediction(3)])
    assert ids(log) == [1, 3]
    assert (log.dropped(), log.damaged_frames) == (1, 1)
    log.close()


def test_a_sync_that_fails_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not proven to be on disk counts as lost, and the next records go to another file."""

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    log = SegmentLog(folder)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        log.append([prediction(1), prediction(2)])
        log.flush()
    assert log.dropped() == 2
    log.append([prediction(3)])
    log.close()
    assert len(segments(folder)) == 2


def test_a_slow_disk_does_not_fill_the_memory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes beyond the bound on waiting bytes is dropped at once, and counted."""
    log = SegmentLog(folder, max_pending_bytes=1000)
    log.append([prediction(number) for number in range(50)])
    assert log.dropped() == 50
    assert ids(log) == []
    assert "too slow" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_told_before_serving(tmp_path: Path) -> None:
    """Where a file stands in the way, opening fails with a reason, and so does reading."""
    (tmp_path / "file").write_text("x")
    log = SegmentLog(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be used"):
        log.open()
    with pytest.raises(StoreError, match="cannot be used"):
        list(log.read())


def test_opening_leaves_the_folder_empty(folder: Path) -> None:
    """The proof that the folder can be written leaves nothing behind."""
    SegmentLog(folder).open()
    assert list(folder.iterdir()) == []


def test_a_folder_that_vanished_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that cannot even make its folder drops and counts, and never raises into the service."""
    (tmp_path / "file").write_text("x")
    log = SegmentLog(tmp_path / "file" / "log")
    log.append([prediction(1)])
    log.flush()
    assert log.dropped() == 1
    assert "not logged" in capsys.readouterr().err
    log.close()


def test_a_closed_log_takes_nothing(folder: Path) -> None:
    """Appending after close is a programming error, said so."""
    log = SegmentLog(folder)
    log.close()
    with pytest.raises(StoreError, match="closed"):
        log.append([prediction(1)])


def test_a_value_without_words_is_refused_at_the_door(folder: Path) -> None:
    """A record that JSON cannot say is the caller's error, not the writing thread's end."""
    log = SegmentLog(folder)
    with pytest.raises(TypeError):
        log.append([{**prediction(1), "inputs": {"x": object()}}])
    log.append([prediction(2)])
    assert ids(log) == [2]
    log.close()


def test_a_power_cut_takes_nothing_that_was_synced(disk_without_power: DiskWithoutPower) -> None:
    """What was flushed or kept is there after a power cut, names of segments too; later records are torn or gone."""
    folder = disk_without_power.folder / "log"
    log = SegmentLog(folder, sync_every_s=3600.0, segment_bytes=2000)
    for number in range(10):
        log.append([prediction(number)])
        log.flush()
    log.keep([prediction(10)])
    log.append([prediction(11)])
    with disk_without_power.after_power_cut() as found:
        assert ids(SegmentLog(found / "log"))[:11] == list(range(11))
    log.close()
