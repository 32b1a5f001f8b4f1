"""Blobs leave their folder beside processes that put and read them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filiera.adapters.folder_blobs import FolderBlobs
from filiera.adapters.folder_sweep import FolderSweep
from filiera.errors import StoreError

CONTENT = b"x" * 5000
DAY_S = 86_400.0


class Store:
    """A folder of blobs with one old blob, and what takes blobs out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = FolderBlobs(root)
        self.sweep = FolderSweep(root)
        self.digest = self.blobs.put(CONTENT)
        self.file = root / self.digest[:2] / self.digest[2:]
        self.make_old()

    def make_old(self) -> None:
        """Let the blob have been stored two days ago."""
        os.utime(self.file, (time.time() - 2 * DAY_S,) * 2)

    def damage(self) -> None:
        """Change one bit."""
        self.file.chmod(0o600)
        self.file.write_bytes(b"y" + CONTENT[1:])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "blobs")


def test_an_old_blob_goes(store: Store) -> None:
    """A blob that was stored before the time is removed; asked again, or for one that never was, nothing is."""
    assert store.sweep.remove(store.digest, stored_before=time.time() - DAY_S)
    assert not store.blobs.has(store.digest)
    assert not store.sweep.remove(store.digest, stored_before=time.time())
    assert list(store.blobs.blobs()) == []


def test_a_young_blob_stays(store: Store) -> None:
    """A blob that was stored at the time or later stays, bytes and time."""
    before = store.file.stat().st_mtime
    assert not store.sweep.remove(store.digest, stored_before=before)
    assert store.blobs.get(store.digest) == CONTENT
    assert store.file.stat().st_mtime == before


@pytest.mark.parametrize("moment", ["rename", "stat"])
def test_a_put_at_the_same_time_wins(store: Store, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Whether another process puts the same bytes before or after the blob left its place, they are there."""
    other = FolderBlobs(store.root)
    original: Callable[..., object] = getattr(Path, moment)

    def put_first(path: Path, *args: object, **options: object) -> object:
        if path.name in (store.digest, store.digest[2:]) and not done:
            done.append(1)
            other.put(CONTENT)
        return original(path, *args, **options)

    done: list[int] = []
    monkeypatch.setattr(Path, moment, put_first)
    store.sweep.remove(store.digest, stored_before=time.time() - DAY_S)
    monkeypatch.undo()
    assert done == [1]
    assert FolderBlobs(store.root).get(store.digest) == CONTENT


def test_what_was_leaving_is_put_back(store: Store) -> None:
    """A blob on its way out when the process was killed is back in its place; what was put anew stays."""
    leaving = store.root / "leaving"
    leaving.mkdir()
    store.file.rename(leaving / store.digest)
    again = store.blobs.put(b"z" * 5000)
    (leaving / again).write_bytes(b"other")
    assert sorted(store.sweep.leaving()) == sorted([(store.digest, 5000), (again, 5)])
    assert store.sweep.put_back() == 2
    assert store.blobs.get(store.digest) == CONTENT
    assert store.blobs.get(again) == b"z" * 5000
    assert store.sweep.put_back() == 0


def test_a_damaged_blob_is_set_aside(store: Store, tmp_path: Path) -> None:
    """Damaged bytes move to the folder as they are, however often; sound and absent ones do not."""
    aside = tmp_path / "damaged"
    assert store.sweep.set_aside(store.digest, aside) is None
    for _ in range(2):
        store.blobs.put(CONTENT)
        store.damage()
        place = store.sweep.set_aside(store.digest, aside)
        assert place is not None and place.read_bytes() == b"y" + CONTENT[1:]
        assert not store.file.exists()
    assert len(list(aside.iterdir())) == 2
    assert store.sweep.set_aside(store.digest, aside) is None


def test_a_blob_put_while_it_is_set_aside_stays(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound blob that another process puts between reading the damaged one and moving it is not taken for it."""
    original = Path.rename

    def replace_first(path: Path, target: Path) -> Path:
        monkeypatch.undo()
        FolderBlobs(store.root).put(CONTENT)
        return original(path, target)

    store.damage()
    monkeypatch.setattr(Path, "rename", replace_first)
    assert store.sweep.set_aside(store.digest, tmp_path / "damaged") is None
    assert store.blobs.get(store.digest) == CONTENT
    assert list((tmp_path / "damaged").iterdir()) == []


def test_the_disks_errors_are_told(store: Store) -> None:
    """A folder that is a file is an error in our words."""
    (store.root / "leaving").write_text("in the way")
    with pytest.raises(StoreError):
        store.sweep.remove(store.digest, stored_before=time.time())
