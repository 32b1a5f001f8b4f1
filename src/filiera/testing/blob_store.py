"""The promises of a BlobStore, as tests to inherit. Needs pytest."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from filiera.core.digest import blob_digest
from filiera.errors import BlobCorrupted, BlobMissing, StoreError
from filiera.ports import BlobStore

_ABSENT = blob_digest(b"never stored")
_SIZES = [b"", b"x", b"line\r\n\0\xff", b"\0" * 3_000_000, b"seven b" * 1_000_000]


class BlobStoreContract:
    """Inherit, provide the fixtures ``store`` and ``damage``, and your store is held to the same promises as ours.

    ``store`` is an empty store; ``damage(digest)`` changes the bytes kept under a digest, behind the store's back.
    """

    @pytest.mark.parametrize("content", _SIZES, ids=["empty", "byte", "binary", "3 MB", "7 MB"])
    def test_bytes_come_back_unchanged(self, store: BlobStore, content: bytes) -> None:
        """What was put under a digest is what that digest returns, in memory and as a file."""
        digest = store.put(content)
        assert store.get(digest) == content
        assert store.path(digest).read_bytes() == content

    def test_the_digest_is_the_plain_blake3_of_the_bytes(self, store: BlobStore) -> None:
        """Every store gives the same bytes the same name, the one that b3sum prints."""
        assert store.put(b"content") == blob_digest(b"content")

    def test_putting_the_same_bytes_twice_keeps_one_blob(self, store: BlobStore) -> None:
        """Putting again is harmless: same digest, one blob."""
        assert store.put(b"twice") == store.put(b"twice")
        assert [digest for digest, _, _ in store.blobs()] == [blob_digest(b"twice")]

    def test_an_absent_blob_is_missing(self, store: BlobStore) -> None:
        """What was never stored is BlobMissing, which names the digest and what to do."""
        assert not store.has(_ABSENT)
        for read in (store.get, store.path):
            with pytest.raises(BlobMissing, match=_ABSENT[:12]) as caught:
                read(_ABSENT)
            assert caught.value.do

    def test_a_damaged_blob_is_never_returned(self, store: BlobStore, damage: Callable[[str], None]) -> None:
        """Bytes that no longer have their digest are BlobCorrupted, which names the digest and what to do."""
        digest = store.put(b"precious" * 1000)
        damage(digest)
        for read in (store.get, store.path):
            with pytest.raises(BlobCorrupted, match=digest[:12]) as caught:
                read(digest)
            assert caught.value.do

    def test_putting_a_damaged_blob_again_heals_it(self, store: BlobStore, damage: Callable[[str], None]) -> None:
        """A fresh put replaces damaged bytes, although the name is there."""
        digest = store.put(b"precious" * 1000)
        damage(digest)
        store.put(b"precious" * 1000)
        assert store.get(digest) == store.path(digest).read_bytes() == b"precious" * 1000

    def test_adopting_moves_a_finished_file_into_the_store(self, store: BlobStore) -> None:
        """A file of the scratch folder becomes a blob and is gone from there."""
        file = store.scratch() / "finished"
        file.write_bytes(b"adopted")
        store.adopt(file, blob_digest(b"adopted"))
        assert store.get(blob_digest(b"adopted")) == b"adopted"
        assert not file.exists()

    def test_adopting_what_is_there_keeps_one_blob(self, store: BlobStore) -> None:
        """Adopting bytes that are stored already is harmless, and the file is gone all the same."""
        digest = store.put(b"adopted")
        file = store.scratch() / "finished"
        file.write_bytes(b"adopted")
        store.adopt(file, digest)
        assert store.get(digest) == b"adopted"
        assert not file.exists()
        assert len(list(store.blobs())) == 1

    def test_a_wrong_digest_given_to_adopt_is_found_when_read(self, store: BlobStore) -> None:
        """Adopting believes the caller, reading the bytes does not."""
        file = store.scratch() / "finished"
        file.write_bytes(b"other bytes")
        store.adopt(file, _ABSENT)
        with pytest.raises(BlobCorrupted):
            store.get(_ABSENT)

    def test_settling_changes_nothing_that_is_seen(self, store: BlobStore) -> None:
        """A settled blob is read as before, settling again is fine, and so is putting the same bytes again."""
        digests = [store.put(str(number).encode() * 10_000) for number in range(5)]
        for _ in range(2):
            store.settle([*digests, digests[0]])
        assert store.put(b"0" * 10_000) == digests[0]
        assert [store.get(digest)[:1] for digest in digests] == [b"0", b"1", b"2", b"3", b"4"]
        assert all(map(store.has, digests))
        store.settle([])

    def test_what_is_absent_cannot_be_settled(self, store: BlobStore) -> None:
        """Nobody is told that bytes are safe which are not there."""
        digest = store.put(b"kept" * 2000)
        with pytest.raises(BlobMissing):
            store.settle([digest, _ABSENT])

    def test_scratch_files_are_no_blobs(self, store: BlobStore) -> None:
        """What lies unfinished in the scratch folder is never listed, whatever its name."""
        (store.scratch() / _ABSENT).write_bytes(b"unfinished")
        assert list(store.blobs()) == []
        assert not store.has(_ABSENT)

    def test_a_deleted_blob_is_missing_and_can_come_back(self, store: BlobStore) -> None:
        """Deleting removes, deleting again is fine, and the same bytes can be put anew."""
        digest = store.put(b"gone")
        store.delete(digest)
        store.delete(digest)
        assert not store.has(digest)
        for read in (store.get, store.path):
            with pytest.raises(BlobMissing):
                read(digest)
        assert store.put(b"gone") == digest
        assert store.get(digest) == b"gone"

    def test_blobs_lists_digest_size_and_time(self, store: BlobStore) -> None:
        """Every blob is listed once, with its length and a time of storing that is about now."""
        before = time.time()
        kept = {store.put(content): len(content) for content in (b"", b"one", b"three" * 100)}
        listed = list(store.blobs())
        assert {digest: size for digest, size, _ in listed} == kept
        assert len(listed) == len(kept)
        assert all(before - 5 <= stored_at <= time.time() + 5 for _, _, stored_at in listed)

    def test_an_empty_store_has_no_blobs(self, store: BlobStore) -> None:
        """Listing a store that nothing was put into gives nothing."""
        assert list(store.blobs()) == []

    @pytest.mark.parametrize("name", ["", "ab", "../../../etc/passwd", "/" * 64, "A" * 64, "g" * 64, "0" * 63 + "\n"])
    def test_only_digests_name_blobs(self, store: BlobStore, name: str) -> None:
        """Anything but 64 lower-case hex digits is refused, so that no name leads out of the store."""
        file = store.scratch() / "finished"
        file.write_bytes(b"stays")
        calls: list[Callable[[], object]] = [
            lambda: store.get(name),
            lambda: store.path(name),
            lambda: store.has(name),
            lambda: store.delete(name),
            lambda: store.adopt(file, name),
        ]
        for call in calls:
            with pytest.raises(StoreError):
                call()
        assert list(store.blobs()) == []

    def test_a_returned_file_cannot_be_changed_by_accident(self, store: BlobStore) -> None:
        """The file that path returns has no permission to write."""
        assert store.path(store.put(b"fixed")).stat().st_mode & 0o222 == 0

    def test_many_threads_may_put_the_same_bytes(self, store: BlobStore) -> None:
        """Writers of the same and of other bytes at once harm nobody."""
        contents = [str(number % 5).encode() * 10_000 for number in range(40)]
        with ThreadPoolExecutor(max_workers=8) as threads:
            digests = list(threads.map(store.put, contents))
        assert [store.get(digest) for digest in digests] == contents
        assert len(list(store.blobs())) == 5

    def test_the_scratch_folder_is_ready_to_write(self, store: BlobStore) -> None:
        """Asking for the scratch folder makes it; asking again returns the same one."""
        folder = store.scratch()
        assert isinstance(folder, Path)
        assert folder.is_dir()
        assert store.scratch() == folder
