"""Steps are functions: call them with a few images."""

import io

import polars as pl
from flows.data import clean, measure
from PIL import Image

from filiera import Files
from filiera.data.new_files import new_files


def images(shades: dict[str, int]) -> Files:
    """Return grey images of one shade each, at these paths."""
    contents = []
    for shade in shades.values():
        stream = io.BytesIO()
        Image.new("L", (28, 28), shade).save(stream, "PNG")
        contents.append(stream.getvalue())
    return new_files(pl.DataFrame({"path": list(shades), "split": [path.split("/")[0] for path in shades]}), contents)


def test_an_image_in_both_parts_is_not_trained_on() -> None:
    """Whatever is validated with was never seen in training."""
    cleaned = clean(images({"train/normal/1.png": 50, "train/normal/2.png": 60, "val/normal/3.png": 50}))
    assert cleaned.table["path"].to_list() == ["train/normal/2.png", "val/normal/3.png"]


def test_brightness_is_that_of_the_pixels() -> None:
    """Black is 0, white is 1."""
    measured = measure(images({"val/normal/1.png": 0, "val/normal/2.png": 255}))
    assert measured.table["brightness"].to_list() == [0.0, 1.0]
