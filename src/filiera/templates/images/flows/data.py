"""From an archive of chest X-rays to the dataset "xrays"."""

import polars as pl

from filiera import Check, Dataset, Files, Source, pipeline, step
from filiera.data.images import ImageProfile, explore_images
from filiera.data.pixels import pixels

LABELS = ["normal", "pneumonia"]
CHECKS = [
    Check.rows(at_least=1000),
    Check.unique("digest"),
    Check.in_set("split", ["train", "val"]),
    Check.in_set("label", LABELS),
    Check.in_set("mode", ["L"]),
    Check.in_range("width", 28, 28),
    Check.in_range("height", 28, 28),
    Check.in_range("brightness", 0.1, 0.9, severity="quarantine"),
]


@step(stage="explore")
def explore_xrays(raw: Files) -> ImageProfile:
    """Return sizes, labels, duplicates and a contact sheet."""
    return explore_images(raw, title="Chest X-rays, as collected")


@step(stage="clean")
def clean(raw: Files) -> Files:
    """Return each image once; of those in both parts, the copy to validate with."""
    validation_first = raw.table.sort("split", descending=True, maintain_order=True)
    return raw.with_table(validation_first.unique("digest", keep="first", maintain_order=True).sort("path"))


@step(stage="transform")
def measure(xrays: Files) -> Files:
    """Return the images with their mean brightness, 0 to 1."""
    brightness = pixels(xrays, mode="L").mean(axis=(1, 2)) / 255
    return xrays.with_table(xrays.table.with_columns(brightness=pl.Series(brightness)))


@pipeline(kind="data", publishes=Dataset("xrays", checks=CHECKS))
def xrays(raw: Files = Source("raw_xrays")):
    """Collect, explore, clean, transform, validate and publish the images."""
    explore_xrays(raw)
    return measure(clean(raw))
