"""Images from an archive to a published version, by the command alone."""

from __future__ import annotations

import json
import shutil
import signal
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import done, filiera, read_until, started


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that has published xrays@1, executed in one process; tests only look at it, or copy it."""
    place = tmp_path_factory.mktemp("images")
    done("init", "scans", "--template", "images", cwd=place)
    config = place / "scans/filiera.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"processes" ', '"inline" '), encoding="utf-8")
    answer = done("run", "xrays", cwd=place / "scans")
    assert "xrays-1 succeeded: 6 ran, 0 from cache" in answer.out
    return place / "scans"


def test_the_version_has_rows_and_bytes(scans: Path, tmp_path: Path) -> None:
    """What is published is the images themselves, written anywhere; the report is a page of its own."""
    shown = done("show", "xrays@1", "--json", cwd=scans).data
    assert (shown["description"]["rows"], shown["description"]["set aside"]) == (1511, 0)
    assert shown["description"]["checks"]["passed"] == 8
    done("show", "xrays@1", "--open", tmp_path / "images", cwd=scans)
    written = sorted((tmp_path / "images").rglob("*.png"))
    assert len(written) == 1511
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[:50])
    done("show", "xrays/explore_xrays", "--open", tmp_path / "report.html", cwd=scans)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<img ") == 96
    assert "8 images have more than one split" in done("show", "xrays/explore_xrays", cwd=scans).out


def test_the_profile_of_images_is_of_images(scans: Path, tmp_path: Path) -> None:
    """In the terminal, as data, and as a page with a contact sheet."""
    out = done("data", "profile", "xrays/collect-raw_xrays", "--html", tmp_path / "x.html", cwd=scans).out
    assert "8 images have more than one split" in out
    assert "<img " in (tmp_path / "x.html").read_text(encoding="utf-8")
    assert done("data", "profile", "xrays@1", "--json", cwd=scans).data["repeated"] == 0


def test_images_are_stored_once(scans: Path) -> None:
    """Three steps hand them on; the store holds them a single time."""
    archive = (scans / "data/xrays.zip").stat().st_size
    stored = sum(path.stat().st_size for path in (scans / ".filiera/blobs").rglob("*") if path.is_file())
    assert stored < 1.7 * archive  # with tables, records of steps and the report
    assert "would free 0 B" in done("gc", "--dry-run", cwd=scans).out
    assert filiera("doctor", cwd=scans).code == 0


def test_an_unsound_image_goes_to_quarantine(scans: Path, tmp_path: Path) -> None:
    """A file that was cut is counted and kept with the version, and the others are published."""
    project = Path(shutil.copytree(scans, tmp_path / "scans"))
    shutil.unpack_archive(project / "data/xrays.zip", project / "data/xrays")
    cut = project / "data/xrays/val/normal/cut.png"
    cut.write_bytes((project / "data/xrays/val/normal/val_00000.png").read_bytes()[:300])
    config = project / "filiera.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("xrays.zip", "xrays"), encoding="utf-8")
    done("run", "xrays", cwd=project)
    shown = done("show", "xrays@2", "--json", cwd=project).data
    assert (shown["description"]["rows"], shown["description"]["set aside"]) == (1511, 1)


def test_an_archive_that_leads_out_publishes_nothing(scans: Path, tmp_path: Path) -> None:
    """One message with the archive and the path in it, and the version before stays the newest."""
    project = Path(shutil.copytree(scans, tmp_path / "scans"))
    with tarfile.open(project / "odd.tar", "w") as made:
        made.addfile(tarfile.TarInfo("../side.png"))
    config = project / "filiera.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("data/xrays.zip/", "odd.tar/"), encoding="utf-8")
    answer = filiera("run", "xrays", cwd=project)
    assert answer.code != 0
    assert "'../side.png' in it leads out of the archive" in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    assert done("show", "xrays@latest", "--json", cwd=project).data["version"] == 1


def test_a_model_of_images_answers_images(scans: Path, tmp_path: Path) -> None:
    """Its service takes the file as it is, names the version it asks, and refuses what is none, or says it is huge."""
    project = Path(shutil.copytree(scans, tmp_path / "scans"))
    done("run", "train", cwd=project)
    with started("serve", "diagnose", "--port", "0", cwd=project) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        assert "pneumonia@1" in read_until(process.stdout, "asks")
        with zipfile.ZipFile(project / "data/xrays.zip") as archive:
            names = [name for name in archive.namelist() if name.startswith("val/")][::20]
            answers = [(name, _asked(url, archive.read(name))) for name in names]
        refused = [
            _asked(url, content) for content in (b"", b"hello", b"P6 100000 100000 255 ", answers[0][0].encode())
        ]
        process.send_signal(signal.SIGINT)
        process.communicate()
    right = [answer["result"]["label"] in name for name, answer in answers]
    assert len(right) > 20
    assert sum(right) > 0.8 * len(right)
    assert [(answer["status"], answer["title"]) for answer in refused] == [
        (422, "The function refuses this request")
    ] * 4


def _asked(url: str, content: bytes) -> Any:
    request = urllib.request.Request(f"{url}/v1/functions/diagnose:call", content, {"Content-Type": "image/png"})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
