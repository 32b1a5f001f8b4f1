"""Collecting images, beside reading and hashing the same files: ``python benchmarks/images.py --images 10000``.

Rounds alternate, and a ratio is that of one round. *bare* reads each file and hashes it, *fingerprint* is what is done
when a run is planned, *collect* also decodes each image and puts its bytes where they are stored from, *store* writes
these to a new store. *decode* is what Pillow takes at least: opening and decoding each image in memory, in one thread.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blake3 import blake3
from PIL import Image

from filiera.adapters.folder_blobs import FolderBlobs
from filiera.adapters.sources.images import ImagesSource
from filiera.core.collected import Collected
from filiera.engine.artifacts import Artifacts
from filiera.project.plugins import codec_named, find_codec


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=28, help="pixels")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size_bytes = _write(Path(folder) / "images", options.images, options.side)
        print(f"{options.images:,} PNG images of {options.side} × {options.side}, {size_bytes / 1e6:.1f} MB")
        _measure(Path(folder), options.rounds)


def _write(folder: Path, images: int, side: int) -> int:
    chance = random.Random(0)
    total = 0
    for number in range(images):
        smooth = Image.frombytes("L", (8, 8), chance.randbytes(64)).resize((side, side))
        stream = io.BytesIO()
        smooth.save(stream, "PNG")
        file = folder / f"{number % 10}" / f"{number:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        total += file.write_bytes(stream.getvalue())
    return total


def _measure(folder: Path, rounds: int) -> None:
    source, entry = ImagesSource(), {"type": "images", "path": "images/{label}/*.png"}
    kept: list[Any] = []

    def collect() -> None:
        kept[:] = [source.read(entry, folder, Collected(entry=entry))]

    def store() -> None:
        blobs = FolderBlobs(Path(tempfile.mkdtemp(dir=folder)))
        Artifacts(blobs, find_codec, codec_named).put(kept[0])
        blobs.settle([])

    def decode() -> None:
        for content in contents:
            Image.open(io.BytesIO(content)).load()

    contents = [file.read_bytes() for file in (folder / "images").rglob("*.png")]
    work: dict[str, Callable[[], object]] = {
        "bare": lambda: [blake3(file.read_bytes()).digest() for file in sorted((folder / "images").rglob("*.png"))],
        "decode": decode,
        "fingerprint": lambda: source.fingerprint(entry, folder),
        "collect": collect,
        "store": store,
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, act in work.items():
            start = time.perf_counter()
            act()
            taken[name].append(time.perf_counter() - start)
    for name, times in taken.items():
        speeds = [bare / one for bare, one in zip(taken["bare"][1:], times[1:], strict=True)]
        print(f"{name:<12} {statistics.median(times[1:]):7.3f} s  {statistics.median(speeds):5.2f} × the speed of bare")


if __name__ == "__main__":
    main()
