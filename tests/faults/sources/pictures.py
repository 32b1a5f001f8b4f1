"""Chest X-rays in a folder: what can be wrong with images, their names and their labels."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin

from filiera.core.check import Check
from tests.faults.sources import wrong_checks
from tests.faults.sources.world import (
    TEMPLATES,
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

XRAYS = TEMPLATES / "images/data/xrays.zip"
PARTS = {("train", "normal"): 40, ("train", "pneumonia"): 80, ("val", "normal"): 20, ("val", "pneumonia"): 40}
CHECKS = {
    "rows": Check.rows_near(within=0.2),
    "digest": Check.unique("digest"),
    "likeness": Check.unique("perceptual_hash"),
    "split": Check.in_set("split", ["train", "val"]),
    "label": Check.in_set("label", ["normal", "pneumonia"]),
    "mode": Check.in_set("mode", ["L"]),
    "format": Check.in_set("format", ["PNG"]),
    "width": Check.in_range("width", 28, 28),
    "height": Check.in_range("height", 28, 28),
    "drift": Check.no_drift("label", "brightness", effect=0.15),
    "dark": Check.in_range("brightness", 0.1, 0.9, severity="quarantine"),
}

CODE = """
import polars as pl

from filiera import Dataset, Files, Source, pipeline, step
from filiera.data.likeness import perceptual_hashes
from filiera.data.pixels import pixels
from tests.faults.sources.pictures import CHECKS


@step(stage="transform")
def measured(xrays: Files) -> Files:
    brightness = [float(pixels(xrays.with_table(row), mode="L").mean() / 255) for row in xrays.table.iter_slices(1)]
    hashes = pl.col("digest").replace_strict(perceptual_hashes(xrays), return_dtype=pl.String)
    return xrays.with_table(xrays.table.with_columns(brightness=pl.Series(brightness), perceptual_hash=hashes))


@pipeline(kind="data", publishes=Dataset("xrays", checks=list(CHECKS.values())))
def xrays(raw: Files = Source("raw_xrays")):
    return measured(raw)
"""
FOLDER_PATH = "xrays/{split}/{label}/*.png"


def catalog(path: str) -> str:
    """Return an entry of images."""
    return f'\n[catalog.raw_xrays]\ntype = "images"\npath = "{path}"\n'


@cache
def sound() -> Mapping[str, bytes]:
    """Return by path all images that are there once and look like no other."""
    found: dict[str, bytes] = {}
    seen = set()
    with zipfile.ZipFile(XRAYS) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                content = archive.read(name)
                like = _likeness(content)
                if like not in seen:
                    seen.add(like)
                    found[name] = content
    return found


def _likeness(content: bytes) -> str:
    from filiera.data.likeness import perceptual_hash

    return perceptual_hash(Image.open(io.BytesIO(content)))


def chosen(dice: random.Random) -> dict[str, bytes]:
    """Return images of all parts, and one that is set aside for its darkness and one that is cut off."""
    files = {}
    for (split, label), count in PARTS.items():
        names = [name for name in sound() if name.startswith(f"{split}/{label}/")]
        files |= {name: sound()[name] for name in dice.sample(names, count)}
    files["train/normal/dark.png"] = as_png(Image.new("L", (28, 28), 3))
    files["train/normal/cut.png"] = next(iter(files.values()))[:300]
    return files


def as_png(image: Image.Image, **options: object) -> bytes:
    """Return an image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def make(root: Path) -> None:
    """Write the project."""
    put(root / "xrays", chosen(random.Random(0)))
    write_project(root, catalog=catalog(FOLDER_PATH), package="folder_flows", code=CODE)


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files(place: Place) -> list[Path]:
    """Return the sound images of the folder."""
    found = (place / "xrays").glob("*/*/*.png")
    return sorted(path for path in found if path.name not in ("dark.png", "cut.png"))


def _image(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def _spoiled(change: Callable[[bytes, random.Random], bytes]) -> Spoil:
    """Return a fault in the bytes of some images, which are set aside."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        some = dice.sample(files(place), dice.randint(1, 5))
        for path in some:
            path.write_bytes(change(path.read_bytes(), dice))
        return set_aside("", len(some))

    return spoil


def _redrawn(change: Callable[[Image.Image, random.Random], Image.Image], wanted: str) -> Spoil:
    """Return a fault in one image that is sound, and not what a check asks for."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        path = dice.choice(files(place))
        path.write_bytes(as_png(change(_image(path), dice)))
        return set_aside(CHECKS[wanted].name, 1) if wanted == "dark" else by_check(CHECKS[wanted].name)

    return spoil


def _flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    changed[dice.randrange(16, len(content) - 12)] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _zip_behind(content: bytes, dice: random.Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("run.sh", "rm -rf .")
    return content + file.getvalue()


def _page_behind(content: bytes, dice: random.Random) -> bytes:
    return content + dice.choice(
        [b"<script>alert(1)</script>", b"%PDF-1.7\n1 0 obj", b"\x7fELF" + dice.randbytes(99), b"<?php ?>"]
    )


def _huge(content: bytes, dice: random.Random) -> bytes:
    """Return an image that says it has billions of pixels."""
    side = dice.choice([20_000, 65_535, 2**31 - 1])
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def _no_image(content: bytes, dice: random.Random) -> bytes:
    return dice.choice(
        [
            b"",
            b"hello",
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            dice.randbytes(500),
            bytes(500),
        ]
    )


def _another_format(place: Place, dice: random.Random) -> Caught:
    path = dice.choice(files(place))
    image = _image(path)
    image.save(path, dice.choice(["JPEG", "GIF", "BMP", "WEBP"]))
    with Image.open(path) as again:
        return by_check(CHECKS["format"].name, again.format)


def _under_two_labels(place: Place, dice: random.Random) -> Caught:
    path = dice.choice(files(place))
    other = {"normal": "pneumonia", "pneumonia": "normal"}[path.parent.name]
    shutil.copy(path, path.parents[1] / other / f"copy_{path.name}")
    return by_check(CHECKS["digest"].name)


def _saved_anew_under_two_labels(place: Place, dice: random.Random) -> Caught:
    path = dice.choice(files(place))
    other = {"normal": "pneumonia", "pneumonia": "normal"}[path.parent.name]
    copy = path.parents[1] / other / f"copy_{path.name}"
    copy.write_bytes(as_png(_image(path), compress_level=dice.choice([0, 1])))
    return by_check(CHECKS["likeness"].name)


def _unknown_label(place: Place, dice: random.Random) -> Caught:
    path = dice.choice(files(place))
    folder = path.parents[1] / dice.choice(["pnuemonia", "Normal", "unknown", " normal"])
    folder.mkdir(exist_ok=True)
    shutil.move(path, folder / path.name)
    return by_check(CHECKS["label"].name, folder.name.strip())


def _unknown_split(place: Place, dice: random.Random) -> Caught:
    name = dice.choice(["test", "TRAIN", "val2"])
    shutil.move(place / "xrays/val", place / "xrays" / name)
    return by_check(CHECKS["split"].name, name)


def _labels_exchanged(place: Place, dice: random.Random) -> Caught:
    for split in ("train", "val"):
        folder = place / "xrays" / split
        (folder / "normal").rename(folder / "kept")
        (folder / "pneumonia").rename(folder / "normal")
        (folder / "kept").rename(folder / "pneumonia")
    return by_check(CHECKS["drift"].name, "label")


def _one_label_lost(place: Place, dice: random.Random) -> Caught:
    label = dice.choice(["normal", "pneumonia"])
    for path in files(place):
        if path.parent.name == label:
            path.unlink()
    return by_check(CHECKS["drift"].name, "label")


def _half_lost(place: Place, dice: random.Random) -> Caught:
    for path in files(place):
        if dice.random() < 0.5:
            path.unlink()
    return by_check(CHECKS["rows"].name)


def _all_inverted(place: Place, dice: random.Random) -> Caught:
    for path in files(place):
        if dice.random() < 0.8:
            image = _image(path)
            path.write_bytes(as_png(dice.choice([ImageOps.invert(image), image.point(lambda value: value // 2)])))
    return by_check(CHECKS["drift"].name, "brightness")


def _all_spoiled(place: Place, dice: random.Random) -> Caught:
    for path in (place / "xrays").glob("*/*/*.png"):
        path.write_bytes(path.read_bytes()[: dice.randrange(100)])
    return by_source("xrays", "no sound image")


def _gone(place: Place, dice: random.Random) -> Caught:
    shutil.rmtree(place / "xrays")
    way = dice.choice(["missing", "empty", "file"])
    if way == "empty":
        (place / "xrays").mkdir()
    elif way == "file":
        (place / "xrays").write_text("no folder")
    return by_source("xrays")


def _odd_file(place: Place, dice: random.Random) -> Caught:
    path = dice.choice(files(place))
    path.unlink()
    way = dice.choice(["pipe", "broken link", "circle", "device"])
    if way == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"broken link": "nowhere.png", "circle": path.name, "device": "/dev/zero"}[way])
    return by_source(path.name)


def _wrong_pattern(place: Place, dice: random.Random) -> Caught:
    place.entry("*.png", dice.choice(["*.jpg", "x/*.png", "train_9????.png"]))
    return by_source("xrays")


def _gone_while_read(place: Place, dice: random.Random) -> Caught:
    _other_files(place, dice)
    files(place)[0].unlink()  # else it would not be read again
    last = files(place)[-1]
    deed = dice.choice(["deleted", "replaced"])
    return replace(by_source("xrays"), meddling=(deed, str(last.relative_to(place.root))))


FAULTS: Mapping[str, Spoil] = {
    **wrong_checks.faults("folder_flows/data.py", "label"),
    "deleted or replaced while read": _gone_while_read,
    "cut off": _spoiled(lambda content, dice: content[: dice.randrange(1, len(content))]),
    "one bit flipped": _spoiled(_flipped),
    "an archive behind it": _spoiled(_zip_behind),
    "a page or program behind it": _spoiled(_page_behind),
    "billions of pixels": _spoiled(_huge),
    "no image": _spoiled(_no_image),
    "too dark or bright, to be set aside": _redrawn(
        lambda image, dice: Image.new("L", (28, 28), dice.choice([0, 9, 250])), "dark"
    ),
    "another width": _redrawn(lambda image, dice: image.resize((dice.choice([27, 29, 280]), 28)), "width"),
    "another height": _redrawn(lambda image, dice: image.resize((28, dice.choice([27, 29, 1]))), "height"),
    "in colours": _redrawn(lambda image, dice: image.convert(dice.choice(["RGB", "RGBA", "P", "1", "LA"])), "mode"),
    "another format by the same name": _another_format,
    "under two labels": _under_two_labels,
    "saved anew under two labels": _saved_anew_under_two_labels,
    "unknown label": _unknown_label,
    "unknown part": _unknown_split,
    "labels exchanged": _labels_exchanged,
    "one label lost": _one_label_lost,
    "half of them lost": _half_lost,
    "most inverted or darkened": _all_inverted,
    "all cut off": _all_spoiled,
    "folder gone, empty, a file": _gone,
    "pipe, link to nothing, device": _odd_file,
    "pattern that nothing fits": _wrong_pattern,
}


def _saved_anew(place: Place, dice: random.Random) -> None:
    for path in files(place):
        about = PngImagePlugin.PngInfo()
        about.add_text("Comment", f"saved {dice.random()}")
        how = dice.choice([{"compress_level": dice.randint(0, 9)}, {"optimize": True}, {"pnginfo": about}])
        path.write_bytes(as_png(_image(path), **how))


def _renamed(place: Place, dice: random.Random) -> None:
    for path in files(place):
        if dice.random() < 0.5:
            path.rename(path.with_name(f"{dice.choice(['ü', 'a b', 'z'])}{path.name}"))


def _other_files(place: Place, dice: random.Random) -> None:
    folder = dice.choice([place / "xrays", place / "xrays/train", place / "xrays/val/normal"])
    (folder / dice.choice(["README.md", "Thumbs.db", ".DS_Store", "labels.csv"])).write_bytes(dice.randbytes(99))


def _in_an_archive(place: Place, dice: random.Random) -> None:
    kind = dice.choice(["zip", "tar", "gztar", "bztar", "xztar"])
    made = Path(shutil.make_archive(str(place / "packed"), kind, place / "xrays"))
    shutil.rmtree(place / "xrays")
    place.entry("xrays/{", f"{made.name}/{{")


def _next_partition(place: Place, dice: random.Random) -> None:
    shutil.rmtree(place / "xrays")
    put(place / "xrays", chosen(dice))


HARMLESS: Mapping[str, Change] = {
    "saved anew without loss": _saved_anew,
    "renamed": _renamed,
    "files that are not meant": _other_files,
    "in an archive": _in_an_archive,
    "next partition of the same law": _next_partition,
}

WORLD = World(name="Images", make=make, pipeline="xrays", faults=FAULTS, harmless=HARMLESS)
