"""Collecting small images, beside reading and hashing the same files: ``python benchmarks/images.py --images 100000``.

Half of the images are PNG, half JPEG, grey or in colours, of 28 to 64 pixels. Rounds alternate, and a ratio is that of
one round. *bare* opens, reads and hashes each file, in one process; *bare, all* the same in as many processes as there
are processors. *fingerprint* is what is done when a run is planned, *collect* looks at each image too and puts its
bytes where they are stored from, *again* does so for a folder that was collected before, *store* writes these to a new
store. *decode* is what Pillow takes at least: opening and decoding each image in memory, in one thread.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
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
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size_bytes = _write(Path(folder) / "images", options.images)
        print(f"{options.images:,} images, {size_bytes / 1e6:.1f} MB")
        _measure(Path(folder), options.rounds)


def _write(folder: Path, images: int) -> int:
    chance = random.Random(0)
    total = 0
    for number in range(images):
        mode, side = chance.choice(("L", "RGB")), chance.choice((28, 32, 48, 64))
        kind = chance.choice(("PNG", "JPEG"))
        smooth = Image.frombytes(mode, (8, 8), chance.randbytes(64 * len(mode))).resize((side, side))
        stream = io.BytesIO()
        smooth.save(stream, kind)
        file = folder / f"{number % 10}" / f"{number:06d}.{kind.lower()}"
        file.parent.mkdir(parents=True, exist_ok=True)
        total += file.write_bytes(stream.getvalue())
    return total


def _read_and_hash(files: Sequence[str]) -> None:
    for name in files:
        with open(name, "rb") as file:  # noqa: PTH123 the shortest loop in Python that people write
            blake3(file.read()).digest()


def _bare(folder: Path, processes: int = 1) -> None:
    files = [os.path.join(base, name) for base, _, names in os.walk(folder) for name in names]  # noqa: PTH118 same
    children = []
    for number in range(1, processes):
        pid = os.fork()
        if not pid:
            _read_and_hash(files[number::processes])
            os._exit(0)
        children.append(pid)
    _read_and_hash(files[::processes])
    for pid in children:
        os.waitpid(pid, 0)


def _measure(folder: Path, rounds: int) -> None:
    source, entry = ImagesSource(), {"type": "images", "path": "images/{label}/*"}
    told = Collected(entry=entry)
    kept: list[Any] = []

    def collect() -> None:
        kept[:] = [source.read(entry, folder, told)]

    def again() -> None:
        source.read_more(entry, folder, Collected(entry=entry), (kept[0].table.lazy(), told))

    def store() -> None:
        blobs = FolderBlobs(Path(tempfile.mkdtemp(dir=folder)))
        Artifacts(blobs, find_codec, codec_named).put(kept[0])
        blobs.settle([])

    def decode() -> None:
        for content in contents:
            Image.open(io.BytesIO(content)).load()

    contents = [file.read_bytes() for file in (folder / "images").rglob("*.*")]
    work: dict[str, Callable[[], object]] = {
        "bare": lambda: _bare(folder / "images"),
        "bare, all": lambda: _bare(folder / "images", os.cpu_count() or 1),
        "fingerprint": lambda: source.fingerprint(entry, folder),
        "collect": collect,
        "again": again,
        "store": store,
        "decode": decode,
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
