"""Places that machines share: folder and object store keep to the same rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.shared_place import SharedFolder, SharedPlace, shared_place
from filiera.errors import StoreError, UsageError
from tests.adapters.sources.test_remote_files import server, shop

__all__ = ["server", "shop"]

Make = Callable[[], SharedPlace]


@pytest.fixture(params=["folder", "store", "part of a store"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what opens the same empty place again and again."""
    if request.param == "folder":
        return lambda: shared_place(str(tmp_path / "a/b"))
    request.getfixturevalue("shop")
    return lambda: shared_place("s3://shop" if request.param == "store" else "s3://shop/a/b/")


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 40_000])
def test_what_is_put_comes_back(make: Make, content: bytes, tmp_path: Path) -> None:
    """Whole, under its name, for whoever opens the place; putting it again changes nothing."""
    assert make().names() == set()
    (tmp_path / "file").write_bytes(content)
    for _ in range(2):
        make().put("one.filiera", tmp_path / "file")
    assert make().names() == {"one.filiera"}
    make().get("one.filiera", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_what_is_not_there(make: Make, tmp_path: Path) -> None:
    """It is said, not made up."""
    with pytest.raises(StoreError):
        make().get("none", tmp_path / "file")


def test_a_place_that_nothing_speaks() -> None:
    """The known ones are named."""
    with pytest.raises(UsageError, match=r"nothing here speaks ftp.\n?(.|\n)*s3"):
        shared_place("ftp://host/x")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in its place is told as such, and no part of a file stays."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="taken"):
        SharedFolder(tmp_path / "taken").put("one", tmp_path / "taken")


def test_an_address_is_shown_as_it_is(shop: Any) -> None:
    """A bucket that is not there is named."""
    with pytest.raises(StoreError, match="s3://nowhere/x"):
        shared_place("s3://nowhere/x").names()
