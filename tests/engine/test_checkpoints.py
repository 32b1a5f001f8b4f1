from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filiera.core import checkpoint
from filiera.core.artifact import ArtifactRef
from filiera.engine.checkpoints import Checkpoint, Checkpoints
from filiera.errors import BlobMissing, CodecError, StoreFull
from tests.engine.plain_artifacts import PlainArtifacts

KEY = "a" * 64


@contextmanager
def running(kept: Checkpoint) -> Iterator[None]:
    """Be the step that *kept* is for."""
    token = checkpoint.begin(kept)
    try:
        yield
    finally:
        checkpoint.end(token)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", PlainArtifacts())


def test_what_was_saved_last_is_loaded(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Each key has one value, the last; removing it leaves nothing behind."""
    with running(checkpoints.of(KEY)):
        assert checkpoint.load("none") == "none"
        for value in ([1], [1, 2]):
            checkpoint.save(value)
    with running(checkpoints.of(KEY)):
        assert checkpoint.load("none") == [1, 2]
    with running(checkpoints.of("b" * 64)):
        assert checkpoint.load("none") == "none"
    checkpoints.of(KEY).remove()
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_outside_a_run_nothing_is_kept(checkpoints: Checkpoints) -> None:
    """A step called as a plain function loads its default, also after one that ran."""
    with running(checkpoints.of(KEY)):
        checkpoint.save(1)
    checkpoint.save(2)
    assert checkpoint.load("default") == "default"
    with running(checkpoints.of(KEY)):
        assert checkpoint.load() == 1


def test_threads_of_a_step_save_too(checkpoints: Checkpoints) -> None:
    """A thread that a step starts has a context of its own, and saves for that step."""
    with running(checkpoints.of(KEY)):
        thread = threading.Thread(target=checkpoint.save, args=(3,))
        thread.start()
        thread.join()
        assert checkpoint.load() == 3


def test_steps_in_two_threads_are_kept_apart(checkpoints: Checkpoints) -> None:
    """Two runs in one process each save for their own step."""

    def other() -> None:
        with running(checkpoints.of("b" * 64)):
            checkpoint.save("other")
            saved.set()
            done.wait()

    saved, done = threading.Event(), threading.Event()
    with running(checkpoints.of(KEY)):
        checkpoint.save("own")
        thread = threading.Thread(target=other)
        thread.start()
        saved.wait()
        assert checkpoint.load() == "own"
        done.set()
        thread.join()


@pytest.mark.parametrize("content", [b"", b'"list"\n', b"\0\0\0", b'"list"\n["xyz","json/1",2]\n'])
def test_damaged_one_is_as_if_it_were_not_there(
    checkpoints: Checkpoints, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a power cut left of a checkpoint makes the step begin anew, and its log says so."""
    checkpoints.of(KEY).save(1)
    (tmp_path / "checkpoints" / KEY).write_bytes(content)
    assert checkpoints.of(KEY).load("anew") == "anew"
    assert "begins anew" in capsys.readouterr().err


def test_value_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint whose bytes are gone from the store is none."""

    class Empty(PlainArtifacts):
        def get(self, ref: ArtifactRef, *, lazily: bool = False) -> object:
            raise BlobMissing("No blob.")

    kept = Checkpoints(tmp_path, Empty()).of(KEY)
    kept.save(1)
    assert kept.load("anew") == "anew"
    assert "No blob." in capsys.readouterr().err


def test_value_that_no_codec_takes(checkpoints: Checkpoints) -> None:
    """Saving what cannot be stored is an error, and what was saved before stays."""
    kept = checkpoints.of(KEY)
    kept.save(1)
    with pytest.raises(CodecError):
        kept.save(object())
    assert kept.load(None) == 1


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """When the file cannot be written, the error says so, and nothing half written is left."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreFull, match="cannot be kept"):
        Checkpoints(tmp_path / "file", PlainArtifacts()).of(KEY).save(1)
