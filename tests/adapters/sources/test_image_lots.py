"""Helpers see what this process would see, in the same order, and end with it."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from filiera.adapters.sources import image_help, image_lots, images
from filiera.adapters.sources.images import ImagesSource
from filiera.core.collected import Collected
from filiera.core.files import PACK_BYTES, Files
from filiera.errors import SourceError

ENTRY = {"type": "images", "path": "images/{label}/*"}


def picture(seed: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.frombytes("L", (8, 8), random.Random(seed).randbytes(64)).save(stream, kind)
    return stream.getvalue()


def collect(root: Path, entry: dict[str, Any] = ENTRY, **collected: Any) -> Files:
    return ImagesSource().read(entry, root, Collected(entry=entry, **collected))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with small images, some of which are no longer sound, and one as large as a pack."""
    folder = tmp_path / "images"
    for seed in range(40):
        content = picture(seed % 30, "JPEG" if seed % 3 else "PNG")
        file = folder / f"{seed % 4}" / f"{seed:02d}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[:-5] if seed % 7 == 6 else content)
    Image.frombytes("RGB", (700, 700), random.Random(0).randbytes(3 * 700 * 700)).save(folder / "3" / "large.png")
    return tmp_path


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have helpers do all but the first lot."""
    monkeypatch.setattr(image_lots, "_HERE", 1)
    monkeypatch.setattr(image_lots, "_LOT", 4)


def same(one: Files, other: Files) -> bool:
    return (
        one.table.equals(other.table)
        and one.rejected.equals(other.rejected)
        and one.packs() == other.packs()
        and all(one.read(digest) == other.read(digest) for digest in one.table["digest"])
    )


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "zip"])
def test_helpers_change_nothing(archive: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows, packs and bytes, whoever looked at which lot."""
    entry = dict(ENTRY)
    if archive:
        entry["path"] = "x.zip/{label}/*"
        with zipfile.ZipFile(root / "x.zip", "w") as made:
            for file in sorted((root / "images").rglob("*")):
                made.write(file, file.relative_to(root / "images"))
    alone = collect(root, entry)
    assert (len(alone), len(alone.rejected)) == (36, 5)
    monkeypatch.setattr(image_lots, "_HERE", 1)
    monkeypatch.setattr(image_lots, "_LOT", 4)
    assert same(collect(root, entry), alone)


@pytest.mark.usefixtures("helped")
def test_much_is_not_sent_back_but_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots are as large as images were so far; when they grow all at once, memory does not."""
    for number in range(8):
        Image.effect_noise((800, 800), 90).save(root / "images" / "3" / f"x{number}.png")
    assert all(file.stat().st_size < PACK_BYTES for file in (root / "images/3").glob("x*"))
    lot = [str(file) for file in sorted((root / "images/3").glob("x*"))]
    seen = image_help.LotLooker(10**8, ()).look(lot)
    assert 0 < sum(content is not None for content in seen.contents) < 8
    found = collect(root)
    assert found.table.filter(pl.col("width") == 800).height == 8
    assert all(len(found.read(digest)) for digest in found.table["digest"])


@pytest.mark.usefixtures("helped")
def test_what_a_helper_cannot_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it is read here: it went away after it was found."""
    (root / "images/3/zz").symlink_to(root / "gone")
    (root / "gone").write_bytes(b"")
    found = list(images.file_trees._in_folder(images.file_paths(ENTRY, root)))
    (root / "gone").unlink()
    with pytest.raises(SourceError, match=r"3/zz is a link to .* not there"):
        list(image_lots.looks(iter(found), 10**8, ()))


@pytest.mark.usefixtures("helped")
def test_a_helper_that_dies_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that crashes takes no run with it, and the lot is named."""
    monkeypatch.setattr(image_lots, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(SourceError, match="died") as caught:
        collect(root)
    assert "images/" in caught.value.why


@pytest.mark.usefixtures("helped")
def test_helpers_end_when_nobody_asks_any_more(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at a part only leaves no process behind."""
    started: list[Any] = []
    real = image_lots._Helper.__init__

    def noting(self: Any, *args: Any) -> None:
        real(self, *args)
        started.append(self._process)

    monkeypatch.setattr(image_lots._Helper, "__init__", noting)
    found = images.file_trees._in_folder(images.file_paths(ENTRY, root))
    seen = image_lots.looks(found, 10**8, ())
    next(seen), next(seen)
    seen.close()  # type: ignore[attr-defined]
    assert started
    assert all(process.returncode == 0 for process in started)


def test_a_helper_ends_when_its_pipe_does() -> None:
    """Also when the process that asked was killed: what it held is closed by the system."""
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert image_help.received(pipe) is None


def test_what_was_collected_before_is_not_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts of an image are known by its digest; the value is the same as if all had been decoded."""
    told = Collected(entry=ENTRY)
    before = ImagesSource().read(ENTRY, root, told)
    (root / "images/0/new").write_bytes(picture(99))
    expected = collect(root)
    decoded: list[bytes] = []
    real = image_help.ImageLooker.facts

    def noting(self: Any, content: bytes) -> Any:
        decoded.append(content)
        return real(self, content)

    monkeypatch.setattr(image_help.ImageLooker, "facts", noting)
    found = ImagesSource().read_more(ENTRY, root, Collected(entry=ENTRY), (before.table.lazy(), told))
    assert same(found, expected)
    assert len(decoded) == len(before.rejected) + 1


def test_facts_of_another_reader_do_not_count(root: Path) -> None:
    """What an earlier version of this code said of images is not taken over."""
    before = collect(root)
    wrong = before.table.lazy().with_columns(width=pl.lit(1, pl.UInt32))
    found = ImagesSource().read_more(ENTRY, root, Collected(entry=ENTRY), (wrong, Collected(entry=ENTRY)))
    assert same(found, before)


def test_what_was_read_is_what_was_planned(root: Path) -> None:
    """Then nobody need read it again to know; else the step fails, even if the folder is by then what it was."""
    planned = Collected(entry=ENTRY, fingerprint=ImagesSource().fingerprint(ENTRY, root))
    ImagesSource().read(ENTRY, root, planned)
    assert planned.is_snapshot
    with pytest.raises(SourceError, match="changed after it was read"):
        collect(root, fingerprint="0" * 64)
