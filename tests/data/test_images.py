"""A set of images is described as it is: counts by a naive count, duplicates by their bytes, pictures to look at."""

from __future__ import annotations

import io
import json
from dataclasses import asdict

import polars as pl
import pytest
from PIL import Image

from filiera.core.files import Files
from filiera.data.images import ImageProfile, explore_images
from filiera.data.images_report import images_html, images_text
from filiera.data.new_files import new_files
from filiera.errors import UsageError


def images_of(rows: list[tuple[str, str, Image.Image]]) -> Files:
    """Return images with the columns that are collected, and a label."""
    contents = []
    for _, _, image in rows:
        stream = io.BytesIO()
        image.save(stream, "PNG")
        contents.append(stream.getvalue())
    table = pl.DataFrame(
        {
            "path": [path for path, _, _ in rows],
            "label": [label for _, label, _ in rows],
            "width": [image.width for _, _, image in rows],
            "height": [image.height for _, _, image in rows],
            "channels": [len(image.getbands()) for _, _, image in rows],
            "mode": [image.mode for _, _, image in rows],
            "format": "PNG",
        },
        schema_overrides=dict.fromkeys(("path", "label", "mode"), pl.String)
        | dict.fromkeys(("width", "height", "channels"), pl.UInt32),
    )
    return new_files(table, contents)


BLACK, WHITE = Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 255)
RED = Image.new("RGB", (8, 2), (255, 0, 0))


@pytest.fixture
def profile() -> ImageProfile:
    files = images_of(
        [("a/1.png", "a", BLACK), ("b/1.png", "b", BLACK), ("a/2.png", "a", WHITE), ("<b>/3.png", "<b>", RED)]
    )
    rejected = files.table.head(1).with_columns(problem=pl.lit("is cut off"))
    return explore_images(files.with_table(files.table, rejected=rejected), title="<Shapes>")


def test_counts(profile: ImageProfile) -> None:
    """What there is, how often, and what is worth a look."""
    assert (profile.images, profile.repeated, profile.plain) == (4, 1, 4)
    assert [(size.label, size.count) for size in profile.sizes] == [("4 × 4", 3), ("8 × 2", 1)]
    assert [(mode.label, mode.count) for mode in profile.modes] == [("L (1 channel)", 3), ("RGB (3 channels)", 1)]
    assert [(label.label, label.count) for label in profile.labels["label"]] == [("a", 2), ("<b>", 1), ("b", 1)]
    assert profile.repeats == (("a/1.png", "b/1.png"),)
    assert profile.contradictory == {"label": 1}
    assert [(reason.label, reason.count) for reason in profile.set_aside] == [("is cut off", 1)]
    assert profile.findings[0].startswith("1 image has more than one label")


def test_brightness_is_of_the_pixels(profile: ImageProfile) -> None:
    """Of the three different images: 16 black, 16 white and 16 red pixels."""
    assert profile.sampled == 3
    assert profile.channel_means == pytest.approx((2 / 3, 1 / 3, 1 / 3))


def test_it_is_data(profile: ImageProfile) -> None:
    """The profile is plain values, without anything of Pillow or NumPy."""
    assert json.loads(json.dumps(asdict(profile)))["images"] == 4


def test_page_is_self_contained(profile: ImageProfile) -> None:
    """Pictures are in it, texts are escaped, nothing is fetched and nothing runs."""
    page = images_html(profile).text
    assert page.count('<img src="data:image/png;base64,') == 3
    assert "&lt;Shapes&gt;" in page
    assert "<b>/" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_text_has_the_same_figures(profile: ImageProfile) -> None:
    """The terminal shows what the page does."""
    text = images_text(profile)
    assert "! 1 image has more than one label" in text
    assert "  4 × 4          3  " in text


def test_large_and_odd_images_are_shown_small() -> None:
    """Deep, transparent and large images become small pictures, and the page stays small."""
    odd = [Image.new("I;16", (900, 5), 60_000), Image.new("RGBA", (300, 300)), Image.effect_noise((900, 900), 90)]
    page = images_html(explore_images(images_of([(str(i), "x", one) for i, one in enumerate(odd)]), title="odd")).text
    assert page.count("<img ") == 3
    assert len(page) < 100_000


def test_no_images_are_described_too() -> None:
    """All of them may have been set aside later."""
    empty = images_of([])
    profile = explore_images(empty, title="none")
    assert (profile.images, profile.sheet) == (0, ())
    assert "0" in images_text(profile)
    assert images_html(profile).text


def test_other_files_are_refused() -> None:
    """Only images have a width."""
    with pytest.raises(UsageError, match="no column 'width'"):
        explore_images(new_files(pl.DataFrame({"path": ["a"]}), [b"1"]), title="x")
