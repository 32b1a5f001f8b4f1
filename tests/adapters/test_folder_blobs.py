"""FolderBlobs keeps every promise of a blob store, on real disks and through real kills."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters import folder_blobs
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.core.digest import blob_digest
from filiera.errors import BlobCorrupted, BlobMissing, StoreError, StoreFull
from filiera.testing.blob_store import BlobStoreContract
from tests.adapters.disks import DiskWithoutPower, fill, run_unprivileged

CONTENT = b"content" * 1000
DIGEST = blob_digest(CONTENT)


def file_of(root: Path, digest: str) -> Path:
    return root / digest[:2] / digest[2:]


def change(file: Path, content: bytes) -> None:
    """Change a read-only file in place; its time differs from before even on a coarse clock."""
    file.chmod(0o644)
    file.write_bytes(content)
    os.utime(file, (1.0, 1.0))


def names_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(root: Path) -> FolderBlobs:
    return FolderBlobs(root)


class TestFolderBlobs(BlobStoreContract):
    @pytest.fixture(params=["flipped", "shorter", "empty"])
    def damage(self, root: Path, request: pytest.FixtureRequest) -> Callable[[str], None]:
        def damage(digest: str) -> None:
            file = file_of(root, digest)
            content = file.read_bytes()
            flipped = content[:-1] + bytes([content[-1] ^ 1])
            change(file, {"flipped": flipped, "shorter": content[:-1], "empty": b""}[request.param])

        return damage


@given(contents=st.lists(st.binary(max_size=2000), max_size=5))
def test_any_bytes_come_back(contents: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the bytes, each digest returns its own, and the store lists exactly the different ones."""
    store = FolderBlobs(tmp_path_factory.mktemp("blobs"), sync=lambda descriptor: None)
    digests = [store.put(content) for content in contents]
    assert [store.get(digest) for digest in digests] == contents
    assert {(digest, size) for digest, size, _ in store.blobs()} == {(blob_digest(c), len(c)) for c in contents}


def test_reading_makes_nothing_on_disk(store: FolderBlobs, root: Path) -> None:
    """A store that is only asked leaves no trace, so that a mistyped folder is not created."""
    assert not store.has(DIGEST)
    store.delete(DIGEST)
    assert store.sweep_scratch(0) == 0
    with pytest.raises(BlobMissing):
        store.get(DIGEST)
    assert not root.exists()


def test_blobs_are_files_named_by_their_digest(store: FolderBlobs, root: Path) -> None:
    """A blob is one file, first two digits as folder, and nothing else is left behind."""
    store.put(CONTENT)
    assert names_below(root) == [f"{DIGEST[:2]}/{DIGEST[2:]}"]


def test_a_file_is_hashed_once_per_process_until_it_changes(store: FolderBlobs, root: Path) -> None:
    """path trusts what it verified before, by inode, times and size; get verifies each time."""
    other = FolderBlobs(root)
    store.put(CONTENT)
    other.path(DIGEST)
    file = file_of(root, DIGEST)
    known = file.stat()
    change(file, CONTENT)
    assert other.path(DIGEST) == file
    assert file.stat().st_mtime_ns != known.st_mtime_ns
    change(file, CONTENT[::-1])
    for read in (other.path, other.get):
        with pytest.raises(BlobCorrupted, match="filiera doctor"):
            read(DIGEST)


def test_putting_again_marks_a_blob_as_newly_stored(store: FolderBlobs, root: Path) -> None:
    """Clean-up by age spares a blob that was put again, and its file stays the same one."""
    store.put(CONTENT)
    file = file_of(root, DIGEST)
    os.utime(file, (1.0, 1.0))
    inode = file.stat().st_ino
    store.put(CONTENT)
    [(_, _, stored_at)] = store.blobs()
    assert stored_at > 1e9
    assert file.stat().st_ino == inode


def test_foreign_files_are_left_alone(store: FolderBlobs, root: Path) -> None:
    """Listing shows blobs only, whatever else lies in the folder."""
    store.put(CONTENT)
    (root / "README").write_text("mine")
    (root / "ab").mkdir(exist_ok=True)
    (root / "ab" / "notes").write_text("mine")
    assert [digest for digest, _, _ in store.blobs()] == [DIGEST]


def test_sweeping_removes_old_unfinished_files_only(store: FolderBlobs) -> None:
    """What a killed process left goes; what somebody may still write to stays."""
    store.put(CONTENT)
    old, new = store.scratch() / "old", store.scratch() / "new"
    old.write_bytes(b"12345")
    new.write_bytes(b"123")
    os.utime(old, (1.0, 1.0))
    assert store.sweep_scratch(3600) == 5
    assert (old.exists(), new.exists(), store.has(DIGEST)) == (False, True, True)


class FailingSync:
    """A disk that takes some syncs and then no more."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, descriptor: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("number", range(3))
def test_a_failed_sync_is_said_and_nothing_counts_as_settled(root: Path, number: int) -> None:
    """When the disk refuses to sync at any point, settle says so. What it refused is gone: it only looks written."""
    FolderBlobs(root).put(b"other" * 1000)
    store = FolderBlobs(root, sync=FailingSync(number))
    store.put(CONTENT)
    with pytest.raises(StoreError, match="cannot use") as caught:
        store.settle([DIGEST])
    assert "Input/output error" in str(caught.value)
    assert store.has(DIGEST) is (number > 0)
    FolderBlobs(root).put(CONTENT)
    FolderBlobs(root).settle([DIGEST])
    assert FolderBlobs(root).get(DIGEST) == CONTENT


def test_many_are_settled_with_few_files_open(root: Path) -> None:
    """A run may have stored more blobs than a process may have open."""
    most_open = []
    store = FolderBlobs(root, sync=lambda _: most_open.append(len(list(Path("/dev/fd").iterdir()))))
    digests = [store.put(b"%d" % number) for number in range(400)]
    store.settle(digests)
    assert max(most_open) < 200
    assert all(file_of(root, digest).stat().st_mode & 0o777 == 0o444 for digest in digests)


def test_a_store_without_links_works(store: FolderBlobs, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot have two names, it is renamed."""

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    store.put(b"the first makes its folder")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(Path, "replace", Path.rename)
    file_of(root, DIGEST).parent.mkdir(exist_ok=True)
    assert store.put(CONTENT) == DIGEST
    assert list((root / "scratch").iterdir()) == []


def test_a_full_disk_is_said_and_left_clean(small_disk: Path) -> None:
    """Without space put is StoreFull, what was stored stays, no part remains, and with space again it works."""
    store = FolderBlobs(small_disk / "blobs")
    kept = store.put(b"kept")
    filler = fill(small_disk)
    with pytest.raises(StoreFull, match="No space is left") as caught:
        store.put(CONTENT * 5)
    assert "Free space" in caught.value.do
    assert store.get(kept) == b"kept"
    assert len(names_below(small_disk / "blobs")) == 1
    filler.unlink()
    assert store.get(store.put(CONTENT * 5)) == CONTENT * 5


LIMITED = """
import resource, sys
from pathlib import Path
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.errors import StoreFull
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = FolderBlobs(Path(sys.argv[1]))
try:
    store.put(b"x" * 20_000)
except StoreFull as error:
    print(error.what)
store.put(b"small")
"""


def test_a_limit_on_file_size_counts_as_full(root: Path) -> None:
    """A quota of the system is StoreFull too, and leaves no part behind."""
    assert resource.RLIMIT_FSIZE is not None
    printed = subprocess.run([sys.executable, "-c", LIMITED, root], capture_output=True, text=True, check=True).stdout
    assert "No space is left" in printed
    assert [size for _, size, _ in FolderBlobs(root).blobs()] == [5]


READ_ONLY = """
from pathlib import Path
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.errors import StoreError
store = FolderBlobs(Path(sys.argv[1]))
print(store.get(sys.argv[2]) == store.path(sys.argv[2]).read_bytes(), len(list(store.blobs())))
print(store.put(store.get(sys.argv[2])) == sys.argv[2])
for call in (lambda: store.put(b"new"), lambda: store.delete(sys.argv[2]), store.scratch):
    try:
        call()
    except StoreError as error:
        print(type(error).__name__, "Give this user the right" in error.do)
"""


def test_a_read_only_folder_is_read_and_never_written(store: FolderBlobs, root: Path) -> None:
    """Without the right to write, everything that reads works, and everything that writes says what to do."""
    store.put(CONTENT)
    folders = [root, root / DIGEST[:2]]
    (root / "scratch").rmdir()
    for folder in folders:
        folder.chmod(0o555)
    try:
        lines = run_unprivileged(READ_ONLY, root, DIGEST).splitlines()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert lines == ["True 1", "True", *["StoreError True"] * 3]


def test_an_unreadable_blob_is_said(store: FolderBlobs, root: Path) -> None:
    """A blob that belongs to somebody else is a StoreError, not a missing one."""
    store.put(CONTENT)
    file_of(root, DIGEST).chmod(0o000)
    code = """
from pathlib import Path
from filiera.adapters.folder_blobs import FolderBlobs
from filiera.errors import StoreError
for name in ("get", "path"):
    try:
        getattr(FolderBlobs(Path(sys.argv[1])), name)(sys.argv[2])
    except StoreError as error:
        print(type(error).__name__)
"""
    assert run_unprivileged(code, root, DIGEST).split() == ["StoreError", "StoreError"]


def test_a_file_in_place_of_the_folder_is_said(root: Path) -> None:
    """A store whose folder is a file gives a StoreError for whatever is asked."""
    root.write_text("not a folder")
    store = FolderBlobs(root)
    for call in (lambda: store.put(b"x"), lambda: store.get(DIGEST), lambda: list(store.blobs()), store.scratch):
        with pytest.raises(StoreError):
            call()


KILLED_AT_SYNC = """
import os, signal, sys
from pathlib import Path
from filiera.adapters.folder_blobs import FolderBlobs
left = int(sys.argv[2])
def sync(descriptor):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    os.fsync(descriptor)
store = FolderBlobs(Path(sys.argv[1]), sync=sync)
for number in range(100):
    digest = store.put(str(number).encode() * 5000)
    if number % 5 == 0:
        store.settle([digest])
    print(number, flush=True)
"""


@pytest.mark.parametrize("syncs", range(0, 21, 4))
def test_a_kill_between_any_two_steps_of_put_leaves_whole_blobs(root: Path, syncs: int) -> None:
    """A process killed at a sync leaves every finished put, only intact blobs, and parts only where they are swept."""
    done = subprocess.run([sys.executable, "-c", KILLED_AT_SYNC, root, str(syncs)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert_whole(root, [int(line) for line in done.stdout.split()])


def test_a_kill_in_the_middle_leaves_whole_blobs(root: Path) -> None:
    """Killed from outside at some moment, the same holds."""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED_AT_SYNC, root, "-1"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        finished = [int(process.stdout.readline()) for _ in range(7)]
        process.kill()
        finished += [int(line) for line in process.stdout.read().split()]
        process.stdout.close()
        process.wait()
        assert_whole(root, finished)


def assert_whole(root: Path, finished: list[int]) -> None:
    store = FolderBlobs(root)
    for number in finished:
        assert store.get(blob_digest(str(number).encode() * 5000)) == str(number).encode() * 5000
    for digest, size, _ in store.blobs():
        assert len(store.get(digest)) == size
    store.sweep_scratch(0)
    assert not (root / "scratch").exists() or list((root / "scratch").iterdir()) == []


def test_two_processes_may_put_the_same_bytes(root: Path) -> None:
    """Two writers of the same bytes at once both finish, and every blob is whole."""
    command = [sys.executable, "-c", KILLED_AT_SYNC, str(root), "-1"]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert_whole(root, list(range(100)))


def test_what_is_settled_survives_a_power_cut(disk_without_power: DiskWithoutPower) -> None:
    """A settled blob is there after a power cut the moment after, although the disk loses what was not synced."""
    (disk_without_power.folder / "unsynced").write_bytes(CONTENT)
    store = FolderBlobs(disk_without_power.folder / "deep" / "blobs")
    digests = [store.put(content) for content in (b"", CONTENT)]
    file = store.scratch() / "finished"
    file.write_bytes(b"adopted")
    store.adopt(file, blob_digest(b"adopted"))
    store.settle([*digests, blob_digest(b"adopted")])
    with disk_without_power.after_power_cut() as folder:
        found = FolderBlobs(folder / "deep" / "blobs")
        assert [found.get(digest) for digest in digests] == [b"", CONTENT]
        assert found.get(blob_digest(b"adopted")) == b"adopted"
        unsynced = folder / "unsynced"
        assert not unsynced.exists() or unsynced.read_bytes() != CONTENT


def test_what_is_not_settled_is_not_believed_after_a_power_cut(disk_without_power: DiskWithoutPower) -> None:
    """A power cut may leave the name of a blob without its bytes: it does not count as there, and can be put again."""
    store = FolderBlobs(disk_without_power.folder / "blobs")
    digests = [store.put(str(number).encode() * 5000) for number in range(20)]
    names_only = os.open(disk_without_power.folder / "blobs", os.O_RDONLY)
    os.fsync(names_only)
    os.close(names_only)
    with disk_without_power.after_power_cut() as folder:
        found = FolderBlobs(folder / "blobs")
        for number, digest in enumerate(digests):
            if found.has(digest):
                assert found.get(digest) == str(number).encode() * 5000
            else:
                assert found.put(str(number).encode() * 5000) == digest
                found.settle([digest])


def test_an_unsettled_blob_without_its_bytes_is_not_there(store: FolderBlobs, root: Path) -> None:
    """What a power cut leaves of it is found before it is believed; putting it again heals it for good."""
    file = file_of(root, store.put(CONTENT))
    file.unlink()
    file.write_bytes(b"")
    file.chmod(0o544)
    assert not store.has(DIGEST)
    assert not FolderBlobs(root).has(DIGEST)
    store.put(CONTENT)
    store.settle([DIGEST])
    assert FolderBlobs(root).has(DIGEST)


def test_settled_bytes_are_never_replaced_by_unsettled_ones(store: FolderBlobs, root: Path) -> None:
    """Two processes store the same bytes; one has settled them when the other comes to naming its own."""
    digest = store.put(CONTENT)
    store.settle([digest])
    inode = file_of(root, digest).stat().st_ino
    synced = []
    late = FolderBlobs(root, sync=lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    file = late.scratch() / "mine"
    file.write_bytes(CONTENT)
    mine = file.stat().st_ino
    late._install(file, file_of(root, digest), digest)
    assert file_of(root, digest).stat().st_ino in {inode, *synced}
    assert mine in synced
    assert late.get(digest) == CONTENT


def test_what_was_put_or_asked_for_is_settled_with_the_rest(store: FolderBlobs, root: Path) -> None:
    """Whoever relies on a blob need not name it: to have put it, or to have asked whether it is there, will do."""
    other = FolderBlobs(root)
    mine, theirs, unasked = store.put(b"mine"), other.put(b"theirs"), other.put(b"unasked")
    gone = store.put(b"gone")
    other.delete(gone)
    assert store.has(theirs)
    store.settle([])
    settled = [file_of(root, digest).stat().st_mode & 0o100 == 0 for digest in (mine, theirs, unasked)]
    assert settled == [True, True, False]


def test_a_process_remembers_so_many_blobs_and_no_more(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that lives long settles what it would have to forget, and verifies again what it has forgotten."""
    monkeypatch.setattr(folder_blobs, "_REMEMBERED", 5)
    store = FolderBlobs(root)
    digests = [store.put(b"%d" % number) for number in range(23)]
    assert len(store._unsettled) < 5
    assert len(store._verified) <= 5
    assert all(store.path(digest).read_bytes() == b"%d" % number for number, digest in enumerate(digests))
