"""What a set of images looks like, as values: how many, how large, which come twice or look alike, some to see."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from filiera.core.files import PROBLEM, Files
from filiera.core.value import dataclass
from filiera.data.likeness import perceptual_hashes
from filiera.data.near_images import is_plain, near_pairs
from filiera.data.pixels import image_of
from filiera.errors import UsageError

FACTS = ("width", "height", "channels", "mode", "format", "size_bytes")
"""Columns that collected images have."""
_NO_LABELS = {"path", "digest", *FACTS}
_MAX_LABELS = 50  # a text column with more different values is no label
_SHOWN_SIZES = 12
_SHOWN_REPEATS = 20
_SHOWN_PAIRS = 20
_ON_SHEET = 96
_THUMBNAIL = 112
_SAMPLED = 500
_FEW_IMAGES = 50
_MODE = pl.when(pl.col("channels") == 1).then(pl.format("{} (1 channel)", "mode")).otherwise(
    pl.format("{} ({} channels)", "mode", "channels")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many images something holds for."""

    label: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some numbers."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Alike:
    """Two images that look alike but are not the same bytes."""

    first: str  #: path
    second: str
    bits: int  #: of 256 in which their perceptual hashes differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Thumbnail:
    """A small picture of an image."""

    path: str
    labels: str  #: its values of the label columns
    address: str  #: a ``data:`` address


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageProfile:
    """A set of images."""

    title: str
    images: int
    size_bytes: int  #: of all files together
    set_aside: tuple[Count, ...]  #: files that are no sound images, by reason
    labels: Mapping[str, tuple[Count, ...]]  #: per label column its values, most frequent first
    sizes: tuple[Count, ...]  #: width and height, most frequent first
    other_sizes: int  #: images of sizes that are not among these
    formats: tuple[Count, ...]
    modes: tuple[Count, ...]  #: mode and number of channels
    spreads: Mapping[str, Spread]  #: of width and height in pixels, and of the files' bytes
    sampled: int  #: images whose pixels the next two are of
    channel_means: tuple[float, ...]  #: 0 to 1: one of grey images, else red, green, blue
    channel_deviations: tuple[float, ...]  #: standard deviations of all pixels
    repeated: int  #: files equal to an earlier one
    repeats: tuple[tuple[str, ...], ...]  #: paths of equal files, the largest groups first
    contradictory: Mapping[str, int]  #: per label column, images that have several of its values
    alike_pairs: int
    alike: tuple[Alike, ...]  #: the nearest of these pairs
    plain: int  #: images of hardly any structure
    sheet: tuple[Thumbnail, ...]  #: some of each label, the same ones every time

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what is worth a look, one sentence each, the gravest first."""
        return tuple(_findings(self))


def explore_images(files: Files, *, title: str) -> ImageProfile:
    """Return what *files* look like, which ``type = "images"`` collected.

    The table is counted whole, and each image is decoded once, to find those that look alike. Brightness is that of a
    sample that the digests choose, the same each time.

    Raises:
        UsageError: The table lacks a column that collected images have.
        CodecError: A file is no image.
    """
    table = files.table
    lacking = [name for name in ("path", *FACTS) if name not in table.columns]
    if lacking:
        raise UsageError(
            f"These files have no column {lacking[0]!r}.", why="It is collected of images.", do='type = "images"'
        )
    labels = {name: counts for name in table.columns if (counts := _label_counts(table, name))}
    unique = table.unique("digest", keep="first", maintain_order=True)
    sizes = _counts(table.select(pl.format("{} × {}", "width", "height").alias("size")), "size")
    hashes = perceptual_hashes(files)
    pairs = near_pairs([hashes[digest] for digest in unique["digest"]])
    paths = unique["path"]
    means, deviations, sampled = _channels(files, unique)
    return ImageProfile(
        title=title,
        images=table.height,
        size_bytes=int(table["size_bytes"].sum()),
        set_aside=_counts(files.rejected, PROBLEM),
        labels=labels,
        sizes=sizes[:_SHOWN_SIZES],
        other_sizes=sum(size.count for size in sizes[_SHOWN_SIZES:]),
        formats=_counts(table, "format"),
        modes=_counts(table.select(_MODE.alias("mode")), "mode"),
        spreads={name: _spread(table[name]) for name in ("width", "height", "size_bytes")} if table.height else {},
        sampled=sampled,
        channel_means=means,
        channel_deviations=deviations,
        repeated=table.height - unique.height,
        repeats=_repeats(table),
        contradictory=_contradictory(table, list(labels)),
        alike_pairs=len(pairs),
        alike=tuple(Alike(first=paths[a], second=paths[b], bits=bits) for a, b, bits in pairs[:_SHOWN_PAIRS]),
        plain=sum(is_plain(hashes[digest]) for digest in table["digest"]),
        sheet=tuple(_sheet(files, unique, list(labels))),
    )


def _counts(table: pl.DataFrame, column: str) -> tuple[Count, ...]:
    found = table.group_by(column).len().sort(["len", column], descending=[True, False])
    return tuple(Count(label=str(label), count=count) for label, count in found.iter_rows())


def _label_counts(table: pl.DataFrame, column: str) -> tuple[Count, ...]:
    is_label = column not in _NO_LABELS and table.schema[column] in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
    return _counts(table, column) if is_label and table[column].n_unique() <= _MAX_LABELS else ()


def _spread(column: pl.Series) -> Spread:
    low, middle, high = column.min(), column.median(), column.max()
    return Spread(minimum=float(low), median=float(middle), maximum=float(high))  # type: ignore[arg-type]


def _repeats(table: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    groups = table.group_by("digest").agg(pl.col("path").sort(), pl.len()).filter(pl.col("len") > 1)
    largest = groups.sort(["len", "digest"], descending=[True, False]).head(_SHOWN_REPEATS)
    return tuple(tuple(paths) for paths in largest["path"])


def _contradictory(table: pl.DataFrame, labels: Sequence[str]) -> dict[str, int]:
    different = table.group_by("digest").agg(pl.col(name).n_unique() for name in labels)
    return {name: count for name in labels if (count := int((different[name] > 1).sum()))}


def _channels(files: Files, unique: pl.DataFrame) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return the means and deviations of the channels, 0 to 1, of a sample, and of how many images that is."""
    mode = "L" if (unique["channels"] <= 2).all() else "RGB"
    shallow = unique.filter(~pl.col("mode").str.contains("^[IF]"))
    sample = shallow.sort("digest").head(_SAMPLED)["digest"]
    count, total, squares = 0, np.zeros(len(mode)), np.zeros(len(mode))
    for digest in sample:
        values = np.asarray(image_of(files, digest).convert(mode), dtype=np.float64).reshape(-1, len(mode)) / 255
        count, total, squares = count + len(values), total + values.sum(axis=0), squares + (values**2).sum(axis=0)
    if not count:
        return (), (), 0
    means = total / count
    deviations = np.sqrt(np.maximum(squares / count - means**2, 0))
    return tuple(means.tolist()), tuple(deviations.tolist()), len(sample)


def _sheet(files: Files, unique: pl.DataFrame, labels: Sequence[str]) -> Iterator[Thumbnail]:
    """Yield small pictures of some images, equally many of each combination of labels as far as there are."""
    if not unique.height:
        return
    by_label = unique.sort("digest")
    if labels:
        place = pl.int_range(pl.len()).over(*labels).alias("place")
        by_label = by_label.with_columns(place).sort("place", *labels, "digest").head(_ON_SHEET).sort(*labels, "place")
    for row in by_label.head(_ON_SHEET).iter_rows(named=True):
        shown = " · ".join(str(row[name]) for name in labels)
        yield Thumbnail(path=row["path"], labels=shown, address=thumbnail(files, row["digest"]))


def thumbnail(files: Files, digest: str) -> str:
    """Return a small picture of an image as a ``data:`` address. Raises what ``image_of`` does."""
    image: Any = image_of(files, digest)
    if image.mode.startswith(("I", "F")):
        deep = image.convert("F")
        low, high = deep.getextrema()
        scale = 255 / (high - low) if high > low else 0.0
        image = deep.point(lambda value: value * scale - low * scale).convert("L")
    is_small = max(image.size) <= _THUMBNAIL
    image = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), reducing_gap=2.0)
    stream = io.BytesIO()
    kind = "PNG" if is_small or image.mode == "RGBA" else "JPEG"
    image.save(stream, kind, **({"optimize": True} if kind == "PNG" else {"quality": 80}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _findings(profile: ImageProfile) -> Iterator[str]:
    for column, count in profile.contradictory.items():
        yield (
            f"{_many(count, 'image')} {'has' if count == 1 else 'have'} more than one {column}, in files with the same "
            "bytes. If that is the class, one is wrong; if it is the part to test on, the test knows the answer."
        )
    aside = sum(reason.count for reason in profile.set_aside)
    if aside:
        reasons = "; ".join(f"{reason.label} ({reason.count:,})" for reason in profile.set_aside[:3])
        yield f"Set aside: {_many(aside, 'file')}. {reasons}{' …' if len(profile.set_aside) > 3 else ''}."
    if profile.repeated:
        yield f"Repeated: {_many(profile.repeated, 'file')} of {profile.images:,} equal an earlier one, byte for byte."
    if profile.alike_pairs:
        yield f"Look alike: {_many(profile.alike_pairs, 'pair')} of images that are not the same bytes."
    if profile.plain:
        yield f"Hardly any structure: {_many(profile.plain, 'image')}, such as black or white surfaces."
    for column, counts in profile.labels.items():
        rare = [f"{count.label} ({count.count:,})" for count in counts if count.count < _FEW_IMAGES]
        if rare and len(counts) > 1:
            yield f"Rare in {column}: {', '.join(rare[:6])}{' …' if len(rare) > 6 else ''}."
    if len(profile.sizes) > 1:
        yield f"Several sizes: scale them to one for a model, {profile.sizes[0].label} is the most frequent."
    if len(profile.modes) > 1:
        yield f"Several modes: {', '.join(mode.label for mode in profile.modes)}. Convert them to one for a model."


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
