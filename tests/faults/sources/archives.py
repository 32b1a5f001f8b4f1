"""The same X-rays in archives: what hostile or broken archives hold, and the many ways to pack the same files."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.faults.sources import pictures
from tests.faults.sources.world import (
    Caught,
    Change,
    Place,
    Spoil,
    World,
    by_check,
    by_source,
    set_aside,
    write_project,
)

FILE = "xrays.zip"
PATH = f"{FILE}/{{split}}/{{label}}/*.png"
TARS = ("tar", "tar.gz", "tar.bz2", "tar.xz")
LEADS_OUT = (
    "../out.png",
    "train/normal/../../../out.png",
    "/etc/out.png",
    "..\\out.png",
    "C:\\out.png",
    "train/../../x",
)


def make(root: Path) -> None:
    """Write the project."""
    (root / FILE).write_bytes(as_zip(pictures.chosen(random.Random(0))))
    write_project(root, catalog=pictures.catalog(PATH), package="archive_flows", code=pictures.CODE)


def as_zip(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return files as a zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def as_tar(files: Mapping[str, bytes], kind: str, odd: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """Return files, and odd members, as a tar archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w:{kind.partition('.')[2]}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info)
    return made.getvalue()


def held(place: Place) -> dict[str, bytes]:
    """Return the files of the archive."""
    with zipfile.ZipFile(place / FILE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _use_tar(place: Place, dice: random.Random, odd: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """Let the project read a tar archive, and return it."""
    kind = dice.choice(TARS)
    files = held(place)
    (place / f"xrays.{kind}").write_bytes(as_tar(files, kind, odd))
    place.entry(FILE, f"xrays.{kind}")
    return place / f"xrays.{kind}"


def _leads_out(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(LEADS_OUT)
    if dice.random() < 0.5:
        path = place / FILE
        path.write_bytes(as_zip({**held(place), name: b"x"}))
    else:
        path = _use_tar(place, dice, (tarfile.TarInfo(name),))
    assert not (place.root.parent / "out.png").exists()
    return by_source(path.name, f"{name!r} in it")


def _link(place: Place, dice: random.Random) -> Caught:
    target = dice.choice(["/etc/passwd", "../../../x", "train_00000.png"])
    if dice.random() < 0.4:
        info = zipfile.ZipInfo("train/normal/link.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        with zipfile.ZipFile(place / FILE, "a") as archive:
            archive.writestr(info, target)
        return by_source(FILE, "'train/normal/link.png' in it is a link")
    odd = tarfile.TarInfo("train/normal/link.png")
    odd.type, odd.linkname = dice.choice([tarfile.SYMTYPE, tarfile.LNKTYPE]), target
    return by_source(_use_tar(place, dice, (odd,)).name, "'train/normal/link.png' in it is a link")


def _device(place: Place, dice: random.Random) -> Caught:
    odd = tarfile.TarInfo("train/normal/zero.png")
    odd.type = dice.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    return by_source(_use_tar(place, dice, (odd,)).name, "'train/normal/zero.png' in it is no regular file")


def _zip_bomb(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(["train/normal/zeros.png", "elsewhere/zeros.bin"])
    (place / FILE).write_bytes(as_zip({**held(place), name: bytes(dice.choice([70, 90]) << 20)}))
    return by_source(FILE, f"{name!r} in it would unpack to more than")


def _tar_bomb(place: Place, dice: random.Random) -> Caught:
    path = place / "xrays.tar.gz"
    path.write_bytes(gzip.compress(as_tar({"train/normal/zeros.png": bytes(80 << 20)}, "tar"), 1))
    place.entry(FILE, path.name)
    return by_source(path.name, "would unpack to more than")


def _many_for_little(place: Place, dice: random.Random) -> Caught:
    """Many names of the same packed bytes: a bomb whose files overlap."""
    (place / FILE).write_bytes(_overlapping(dice.randint(100, 300)))
    return by_source(FILE)


def _overlapping(count: int) -> bytes:
    packed = as_zip({"train/normal/00000.png": bytes(1 << 20)})
    start = packed.index(b"PK\x01\x02")
    end = packed.index(b"PK\x05\x06")
    entry = packed[start:end]
    entries = b"".join(entry.replace(b"00000.png", b"%05d.png" % number) for number in range(count))
    tail = bytearray(packed[end:])
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = len(entries).to_bytes(4, "little")
    return packed[:start] + entries + bytes(tail)


def _twice(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(list(held(place)))
    with zipfile.ZipFile(place / FILE, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(name, b"another")
    return by_source(FILE, f"{name!r} in it is there twice")


def _encrypted(place: Place, dice: random.Random) -> Caught:
    content = bytearray((place / FILE).read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    (place / FILE).write_bytes(content)
    return by_source(FILE, "is encrypted")


def _cut(place: Place, dice: random.Random) -> Caught:
    path = place / FILE if dice.random() < 0.5 else _use_tar(place, dice)
    content = path.read_bytes()
    path.write_bytes(content[: dice.randrange(300, len(content) * 9 // 10)])
    return by_source(path.name, "damaged archive")


def _damaged(place: Place, dice: random.Random) -> Caught:
    """Flip a bit of what is packed, which has a checksum in zip, gzip, bzip2 and xz."""
    if dice.random() < 0.5:
        content = bytearray((place / FILE).read_bytes())
        with zipfile.ZipFile(place / FILE) as archive:
            info = dice.choice(archive.infolist())
        start = info.header_offset + 30 + len(info.filename)
        content[dice.randrange(start, start + info.compress_size)] ^= 1 << dice.randrange(8)
        path = place / FILE
    else:
        kind = dice.choice(TARS[1:])
        path = place / f"xrays.{kind}"
        content = bytearray(as_tar(held(place), kind))
        content[dice.randrange(len(content) // 4, len(content) * 3 // 4)] ^= 1 << dice.randrange(8)
        place.entry(FILE, path.name)
    path.write_bytes(content)
    return by_source(path.name, "damaged archive")


def _no_archive(place: Place, dice: random.Random) -> Caught:
    odd = [
        b"",
        b"Rar!\x1a\x07\x01\x00",
        b"7z\xbc\xaf\x27\x1c" + dice.randbytes(99),
        b"<html>404</html>",
        dice.randbytes(3000),
    ]
    (place / FILE).write_bytes(dice.choice(odd))
    return by_source(FILE, "neither a folder nor an archive")


def _nothing_in_it(place: Place, dice: random.Random) -> Caught:
    (place / FILE).write_bytes(as_zip(dice.choice([{}, {"README.md": b"none"}, {"train/normal/x.jpg": b"x"}])))
    return by_source(FILE, "has no rows")


def _other_size(place: Place, dice: random.Random) -> Caught:
    content = bytearray((place / FILE).read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = dice.choice([1, 10_000_000]).to_bytes(4, "little")
    (place / FILE).write_bytes(content)
    return by_source(FILE)


def _gone(place: Place, dice: random.Random) -> Caught:
    (place / FILE).unlink()
    return by_source(FILE)


def _spoiled_member(place: Place, dice: random.Random) -> Caught:
    files = held(place)
    names = dice.sample([name for name in files if not name.endswith(("dark.png", "cut.png"))], dice.randint(1, 4))
    for name in names:
        files[name] = files[name][: dice.randrange(len(files[name]))]
    (place / FILE).write_bytes(as_zip(files))
    return set_aside("", len(names))


def _member_twice_by_content(place: Place, dice: random.Random) -> Caught:
    files = held(place)
    name = dice.choice([name for name in files if not name.endswith(("dark.png", "cut.png"))])
    (place / FILE).write_bytes(as_zip({**files, "val/normal/again.png": files[name]}))
    return by_check(pictures.CHECKS["digest"].name)


def _cut_while_read(place: Place, dice: random.Random) -> Caught:
    _reordered(place, dice)  # else it would not be read again
    return replace(by_source(FILE), meddling=(dice.choice(["cut", "overwritten", "replaced"]), FILE))


FAULTS: Mapping[str, Spoil] = {
    "cut, overwritten, replaced while read": _cut_while_read,
    "path that leads out": _leads_out,
    "link": _link,
    "device, pipe": _device,
    "zip bomb": _zip_bomb,
    "tar bomb": _tar_bomb,
    "bomb of overlapping files": _many_for_little,
    "one path twice": _twice,
    "encrypted": _encrypted,
    "cut off": _cut,
    "damaged": _damaged,
    "no archive": _no_archive,
    "nothing in it that is meant": _nothing_in_it,
    "another size than it says": _other_size,
    "gone": _gone,
    "images in it cut off": _spoiled_member,
    "one image in it twice": _member_twice_by_content,
}


def _as_tar(place: Place, dice: random.Random) -> None:
    _use_tar(place, dice)


def _stored(place: Place, dice: random.Random) -> None:
    method = dice.choice([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    (place / FILE).write_bytes(as_zip(held(place), method))


def _reordered(place: Place, dice: random.Random) -> None:
    files = list(held(place).items())
    dice.shuffle(files)
    (place / FILE).write_bytes(as_zip(dict(files)))


def _more_files(place: Place, dice: random.Random) -> None:
    (place / FILE).write_bytes(
        as_zip({"README.md": b"read", **held(place), "train/labels.csv": b"a,b", "__MACOSX/._x": b"x"})
    )


def _folders_and_dots(place: Place, dice: random.Random) -> None:
    """Write a tar archive as ``tar -C folder -cf x .`` does."""
    folder = tarfile.TarInfo("./train")
    folder.type = tarfile.DIRTYPE
    files = {f"./{name}": content for name, content in held(place).items()}
    (place / "xrays.tar").write_bytes(as_tar(files, "tar", (folder,)))
    place.entry(FILE, "xrays.tar")


def _unpacked(place: Place, dice: random.Random) -> None:
    pictures.put(place / "unpacked", held(place))
    place.entry(FILE, "unpacked")


HARMLESS: Mapping[str, Change] = {
    "a tar archive": _as_tar,
    "compressed otherwise": _stored,
    "files in another order": _reordered,
    "files that are not meant": _more_files,
    "folders, and dots before paths": _folders_and_dots,
    "unpacked": _unpacked,
}

WORLD = World(name="Archives", make=make, pipeline="xrays", faults=FAULTS, harmless=HARMLESS)
