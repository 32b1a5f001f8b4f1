from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from filiera import Html
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.engine.artifacts import Artifacts
from filiera.errors import CodecError, ProjectError
from filiera.project import plugins

STRANGER = """
class Coin:
    def __init__(self, side):
        self.side = side


class CoinCodec:
    name = "coin/1"

    def handles(self, value):
        return isinstance(value, Coin)

    def encode(self, value, writer):
        writer.stream.write(value.side.encode())

    def decode(self, reader):
        return Coin(reader.bytes().decode())


class ToyReader:
    def check(self, entry):
        return None
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a distribution of somebody else with a codec and a source reader."""
    (tmp_path / "coinage.py").write_text(STRANGER)
    info = tmp_path / "coinage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coinage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[filiera.codecs]\ncoinage = coinage:CoinCodec\n[filiera.sources]\ntoy = coinage:ToyReader\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield
    sys.modules.pop("coinage", None)
    _forget()


def _forget() -> None:
    plugins._entry_points.cache_clear()
    plugins._codecs_for.cache_clear()
    plugins.codec_named.cache_clear()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "json/1"),
        ({"a": 1}, "json/1"),
        (Html("<p>"), "html/1"),
        (np.arange(3), "npy/1"),
        (pl.DataFrame({"a": [1]}), "arrow-ipc/1"),
        (Path(__file__), "file/1"),
        (Path(__file__).parent, "folder/1"),
    ],
)
def test_a_value_finds_the_codec_of_its_type(value: object, name: str) -> None:
    """And the codec is found again by its name."""
    codec = plugins.find_codec(value)
    assert codec.name == name
    assert type(plugins.codec_named(name)) is type(codec)


def test_a_value_that_nobody_can_store() -> None:
    """The type is named, and what to return instead; nothing is pickled."""
    for value in (object(), lambda: 1, iter([])):
        with pytest.raises(CodecError) as error:
            plugins.find_codec(value).encode(value, None)  # type: ignore[arg-type]
        assert error.value.do


def test_a_codec_that_is_not_installed() -> None:
    """A value of another machine's plug-in is told as such."""
    with pytest.raises(CodecError, match="no codec 'coin/1'") as error:
        plugins.codec_named("coin/1")
    assert "Install that plug-in" in error.value.do


@pytest.mark.usefixtures("stranger")
def test_a_strangers_codec_and_source_are_found() -> None:
    """By entry point: the module of the type, and the type of the catalog entry."""
    import coinage  # type: ignore[import-not-found]

    assert plugins.find_codec(coinage.Coin("tails")).name == "coin/1"
    assert plugins.codec_named("coin/1").name == "coin/1"
    assert type(plugins.source_reader("toy")).__name__ == "ToyReader"


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "files", "sql"])
def test_our_sources(kind: str) -> None:
    """Every type of catalog entry that the documentation names has a reader."""
    assert plugins.source_reader(kind) is plugins.source_reader(kind)


def test_an_unknown_source_type() -> None:
    """With those there are, and the closest."""
    with pytest.raises(ProjectError, match="no source type 'cvs'") as error:
        plugins.source_reader("cvs")
    known = "There are: arrow, csv, files, images, jsonl, kedro, parquet, sql, xml."
    assert error.value.why == f"{known} Did you mean 'csv'?"


def test_adapters_are_loaded_when_they_are_used() -> None:
    """Storing plain values loads no table library."""
    code = (
        "import sys; from filiera.project import plugins; plugins.find_codec({'a': [1, 'x']});"
        "print(sorted({'polars', 'numpy', 'pandas', 'sklearn', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_blobs_of_a_list_are_those_of_its_items(tmp_path: Path) -> None:
    """However deep, and none for what is small enough to be in a record: what keeps a list alive keeps them all."""
    blobs = plugins.blob_store(tmp_path / "s")
    artifacts = Artifacts(blobs, plugins.find_codec, plugins.codec_named)
    for number in range(2):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / str(number)).write_bytes(b"file" * 2000)
    table = pl.DataFrame({"a": range(5000)})
    value = [table, [table.head(4000), 1], tmp_path / "files", *([pl.DataFrame({"a": [1]})] * 20)]
    ref = artifacts.put(value)
    assert ref.inline is None
    stored = {digest for digest, _, _ in blobs.blobs()}
    assert set(plugins.blobs_of(ref, blobs.get)) == stored
    assert len(stored) == 4
    assert list(plugins.blobs_of(artifacts.put(7), blobs.get)) == []


def test_a_manifest_that_is_none_is_told() -> None:
    """As bytes that no codec wrote."""
    ref = ArtifactRef(digest=blob_digest(b"x"), codec="parts/1", size_bytes=1, inline=b"x")
    with pytest.raises(CodecError, match="not a list"):
        list(plugins.blobs_of(ref, lambda digest: b""))


def test_the_stores_lie_in_their_folder(tmp_path: Path) -> None:
    """Records, blobs and predictions; nothing is made before something is stored."""
    plugins.metadata_store(tmp_path / "s")
    plugins.blob_store(tmp_path / "s")
    plugins.feedback_log(tmp_path / "s", "m")
    assert not (tmp_path / "s").exists()
    plugins.blob_store(tmp_path / "s").put(b"x")
    assert (tmp_path / "s" / "blobs").is_dir()
