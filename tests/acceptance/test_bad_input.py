"""Each bad input gives one clear message, the documented exit code, and nothing lost or half-written."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.project import plugins
from tests.adapters.disks import DROP_PRIVILEGES, fill, mounted
from tests.cli.command import Answer, done, environment, filiera, make_project
from tests.cli.conftest import Ask
from tests.cli.conftest import ask as ask

TOML = """\
[project]
name = "small"

[catalog.orders]
type = "csv"
path = "orders.csv"

[profile.local]
store = ".filiera"
workers = 1
"""

TABLES = """\
import polars as pl

from filiera import Check, Dataset, Source, pipeline, step


@step
def keep(raw: pl.DataFrame, column: str) -> pl.DataFrame:
    return raw.filter(pl.col(column).is_not_null())


@pipeline(kind="data", publishes=Dataset("orders", checks=[Check.not_null("pieces"), Check.in_range("pieces", 0, 9)]))
def orders(raw: pl.DataFrame = Source("orders"), column: str = "pieces"):
    return keep(raw, column)
"""

TEXTS = """\
from filiera import pipeline, step


@step
def write(size: int, seed: str) -> str:
    return seed * size


@step
def count(text: str) -> int:
    return len(text)


@pipeline(kind="data")
def texts(size: int = 50_000, seed: str = "x"):
    return count(write(size, seed))
"""


def sound(folder: Path) -> None:
    """Check that the project's store has nothing to complain of."""
    findings = done("doctor", "--json", cwd=folder).data
    assert [finding for finding in findings if finding["state"] != "ok"] == []


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Return a project that publishes a small table."""
    folder = make_project(tmp_path / "small", code=TABLES, toml=TOML)
    (folder / "orders.csv").write_text("pieces,price\n1,2.5\n2,3.5\n")
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Return a project whose first step returns a large text."""
    return make_project(tmp_path / "small", code=TEXTS)


def missing(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def empty(file: Path) -> None:
    file.write_text("")


def cut_off(file: Path) -> None:
    file.write_bytes(gzip.compress(file.read_bytes() * 100)[:-20])


def ragged(file: Path) -> None:
    file.write_text("pieces,price\n1,2\n1,2,3,4\n")


def no_text(file: Path) -> None:
    file.write_bytes(b"pieces,price\n\xff\xfe,2\n")


@pytest.mark.parametrize("spoil", [missing, a_folder, empty, cut_off, ragged, no_text])
def test_a_source_that_cannot_be_read(spoil: Callable[[Path], None], tables: Path) -> None:
    """Missing, a folder, empty, cut off, ragged, not text: the file is named, with the exit code of sources."""
    spoil(tables / "orders.csv")
    answer = filiera("run", "orders", cwd=tables)
    assert (answer.code, "Traceback" in answer.out + answer.err) == (6, False), answer
    assert "orders.csv" in answer.out + answer.err
    assert done("versions", cwd=tables).out == "Nothing is published yet.\n"


def test_a_source_that_can_be_read_again(tables: Path) -> None:
    """Once the file is whole, the next run is right, and nothing is left of the one that failed."""
    content = (tables / "orders.csv").read_text()
    cut_off(tables / "orders.csv")
    assert filiera("run", "orders", cwd=tables).code == 6
    (tables / "orders.csv").write_text(content)
    assert "published dataset orders@1" in done("run", "orders", cwd=tables).out
    sound(tables)


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('type = "csv"', 'type = "cvs"', 4, ["no source type 'cvs'", "Did you mean 'csv'?"]),
        ('path = "orders.csv"', "", 4, ["needs the option 'path'"]),
        ('path = "orders.csv"', 'path = "orders.csv"\nseparater = ";"', 4, ["no option 'separater'"]),
        ("[catalog.orders]", "[catalog.order]", 6, ["no source 'orders'", "Did you mean 'order'?"]),
        ("[project]", "[project", 4, ["not valid TOML", "line 1"]),
        ("[project]", "[porject]", 4, ["'porject', which means nothing", "Did you mean 'project'?"]),
        ("workers = 1", "worker = 1", 4, ["'worker', which means nothing", "Did you mean 'workers'?"]),
        ("workers = 1", 'workers = "two"', 4, ["whole number from 0 to 1024"]),
        ('name = "small"', 'name = "small"\nflows = ["flow"]', 4, ["'flow'", "neither a folder nor a module"]),
    ],
)
def test_a_configuration_that_is_wrong(old: str, new: str, code: int, said: list[str], tables: Path) -> None:
    """The word that is wrong and the likely right one; nothing is recorded."""
    file = tables / "filiera.toml"
    content = file.read_text()
    file.write_text(content.replace(old, new, 1))
    filiera("run", "orders", cwd=tables).said(code, *said)
    file.write_text(content)
    assert done("runs", "--json", cwd=tables).data == []


BODIES = {
    "cycle": ("    return rounds()", ["calls itself: rounds → rounds"]),
    "types": ("    return count(count('x'))", ["wants text: str, but step 'count' gives int"]),
    "attribute": ("    return count(write(3, 'x').strip())", ["uses the value of step 'write'", "strip"]),
    "missing argument": ("    return count()", ["Step 'count' is called wrongly", "missing a required argument"]),
    "no step": ("    return 3", ["calls no step"]),
    "unstorable": ("    return count(object())", ["text=object"]),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_pipeline_that_is_no_graph(body: str, texts: Path) -> None:
    """A circle, types that do not fit, a value that is not there yet: told before anything runs."""
    text, said = BODIES[body]
    module = texts / "flows" / "small.py"
    module.write_text(module.read_text() + f'\n\n@pipeline(kind="data")\ndef rounds():\n{text}\n')
    filiera("run", "rounds", cwd=texts).said(4, *said)
    assert done("runs", "--json", cwd=texts).data == []
    done("run", "texts", cwd=texts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", ["ZeroDivisionError", "small.py, line "]),
        ("import nowhere_at_all", ["No module named 'nowhere_at_all'"]),
        ("raise SystemExit(0)", ["SystemExit"]),
        ("def (", ["small.py, line "]),
        ("texts.parameters.x", ["AttributeError"]),
        ('@pipeline(kind="dta")\ndef other():\n    pass', ["not 'dta'"]),
        ('@pipeline(kind="data")\ndef texts():\n    pass', ["Two pipelines are called 'texts'"]),
    ],
)
def test_a_module_that_cannot_be_used(text: str, said: list[str], texts: Path) -> None:
    """Whatever goes wrong in it, the message leads to the place."""
    module = texts / "flows" / "small.py"
    module.write_text(module.read_text() + f"\n\n{text}\n")
    filiera("run", "texts", cwd=texts).said(4, *said)


def test_a_step_that_names_a_missing_column(tables: Path) -> None:
    """The step fails with the column's name, and nothing is published."""
    answer = filiera("run", "orders", "--column", "peices", cwd=tables)
    assert (answer.code, answer.err) == (1, "")
    assert "peices" in answer.out and "step keep failed" in answer.out
    assert done("versions", cwd=tables).out == "Nothing is published yet.\n"
    sound(tables)


def test_a_check_that_names_a_missing_column(tables: Path) -> None:
    """A dataset that lacks a column it promises is not published."""
    (tables / "orders.csv").write_text("peices,price\n1,2.5\n")
    answer = filiera("run", "orders", "--column", "price", cwd=tables)
    assert (answer.code, answer.err) == (3, "")
    assert "pieces" in answer.out and "orders-1 rejected" in answer.out
    assert done("versions", cwd=tables).out == "Nothing is published yet.\n"
    sound(tables)


def test_rows_that_break_a_rule_publish_nothing(tables: Path) -> None:
    """A blocking check ends the run as rejected, says how many rows broke it, and runs again when they are gone."""
    content = (tables / "orders.csv").read_text()
    done("run", "orders", cwd=tables)
    (tables / "orders.csv").write_text(content + "11,1.0\n-1,1.0\n")
    answer = filiera("run", "orders", cwd=tables)
    assert (answer.code, answer.err) == (3, "")
    assert "2 of 4 rows" in answer.out
    assert filiera("run", "orders", "--json", cwd=tables).code == 3
    assert [version["version"] for version in done("versions", "--json", cwd=tables).data] == [1]
    (tables / "orders.csv").write_text(content)
    assert "0 ran, 4 from cache" in done("run", "orders", cwd=tables).out
    sound(tables)


def largest_blob(folder: Path) -> Path:
    """Return the file of the largest blob."""
    blobs = (path for path in (folder / ".filiera" / "blobs").rglob("*") if path.is_file())
    return max(blobs, key=lambda path: path.stat().st_size)


def flip(file: Path) -> None:
    """Change one bit of a file, as a bad disk does."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def test_a_blob_whose_bytes_changed(texts: Path) -> None:
    """It is named wherever it is read; a run that meets it makes it again, as does one after doctor has found it."""
    done("run", "texts", cwd=texts)
    blob = largest_blob(texts)
    digest = blob.parent.name + blob.name
    flip(blob)
    filiera("show", "texts/write", cwd=texts).said(5, digest[:12])
    healed = done("run", "texts", "--fresh", "count", cwd=texts)
    assert "2 ran, 0 from cache" in healed.out
    assert [path.name.startswith(digest) for path in (texts / ".filiera" / "damaged").iterdir()] == [True]
    flip(blob)
    found = filiera("doctor", cwd=texts)
    assert (found.code, f"blob {digest[:12]}" in found.out) == (5, True)
    repaired = filiera("doctor", "--repair", cwd=texts)
    assert (repaired.code, "repaired" in repaired.out) == (0, True)
    again = done("run", "texts", cwd=texts)
    assert "its result is not in the cache" in done("explain", cwd=texts).out
    assert "1 ran, 1 from cache" in again.out
    assert largest_blob(texts) == blob
    sound(texts)


def test_a_blob_that_is_gone(texts: Path) -> None:
    """As if the step had never run; what depends on it is still a hit."""
    done("run", "texts", cwd=texts)
    largest_blob(texts).unlink()
    filiera("show", "texts/write", cwd=texts).said(5, "is not in")
    assert "1 ran, 1 from cache" in done("run", "texts", cwd=texts).out
    sound(texts)


@pytest.mark.parametrize("verb", [["run", "texts"], ["runs"], ["doctor"], ["versions"]])
def test_records_of_a_newer_version(verb: list[str], texts: Path) -> None:
    """They are left alone, to the byte."""
    done("run", "texts", cwd=texts)
    records = texts / ".filiera" / "records.sqlite"
    with closing(sqlite3.connect(records)) as connection:
        connection.execute("UPDATE schema_version SET version = 999")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = records.read_bytes()
    filiera(*verb, cwd=texts).said(5, "was written by a newer Filiera", "pip install --upgrade filiera")
    assert records.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_records_that_are_damaged(content: bytes, texts: Path) -> None:
    """A file that is no database is told, and left as it is."""
    (texts / ".filiera").mkdir()
    (texts / ".filiera" / "records.sqlite").write_bytes(content)
    filiera("run", "texts", cwd=texts).said(5, "records.sqlite")
    assert (texts / ".filiera" / "records.sqlite").read_bytes() == content


def test_records_that_another_process_holds(texts: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """After waiting, the message says so; reading goes on meanwhile."""
    done("run", "texts", cwd=texts)

    def impatient(store: Path) -> SqliteRecords:
        return SqliteRecords(store / "records.sqlite", busy_timeout_s=0.05)

    monkeypatch.setattr(plugins, "metadata_store", impatient)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with closing(sqlite3.connect(texts / ".filiera" / "records.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert ask("runs", "--json", cwd=texts).data[0]["run"] == "texts-1"
        ask("resume", "texts", cwd=texts).said(2, "has succeeded")
        for name in [name for name in sys.modules if name.partition(".")[0] == "flows"]:
            del sys.modules[name]
        ask("run", "texts", cwd=texts).said(5, "records.sqlite")
        for name in [name for name in sys.modules if name.partition(".")[0] == "flows"]:
            del sys.modules[name]
        other.execute("ROLLBACK")
    assert len(done("runs", "--json", cwd=texts).data) == 1
    sound(texts)


def unprivileged(*words: str, cwd: Path) -> Answer:
    """Run ``filiera`` as somebody who must obey the permissions of files."""
    code = f"{DROP_PRIVILEGES}\nfrom filiera.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, env=environment(), check=False
    )
    return Answer(code=ended.returncode, out=ended.stdout, err=ended.stderr)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take away the permission to write anything in a folder."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for place in places:
        place.chmod(0o555)
    try:
        yield
    finally:
        for place in places:
            place.chmod(0o755)


def test_a_project_that_may_not_be_written(texts: Path) -> None:
    """A run says so; what was recorded before can still be looked at."""
    with read_only(texts):
        unprivileged("run", "texts", cwd=texts).said(5, ".filiera", "ermission")
    assert not (texts / ".filiera").exists()
    done("run", "texts", cwd=texts)
    with read_only(texts):
        looked = unprivileged("runs", cwd=texts)
        assert (looked.code, "texts-1" in looked.out) == (0, True), looked
        unprivileged("run", "texts", "--seed", "y", cwd=texts).said(5)
        unprivileged("init", "new", cwd=texts).said(5, "new cannot be made: Permission denied")
    sound(texts)


def test_a_source_that_may_not_be_read(tables: Path) -> None:
    """The system's reason is told."""
    (tables / "orders.csv").chmod(0)
    answer = unprivileged("run", "orders", cwd=tables).said(6, "orders.csv", "Permission denied")
    assert answer.out == ""
    (tables / "filiera.toml").chmod(0)
    unprivileged("run", "orders", cwd=tables).said(4, "filiera.toml cannot be read: Permission denied")


def test_a_full_disk(tmp_path: Path) -> None:
    """The run fails for want of space and nothing is half-written; with space, it goes on."""
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m") as disk:
        folder = make_project(disk / "small", code=TEXTS)
        done("run", "texts", cwd=folder)
        filler = fill(disk)
        answer = filiera("run", "texts", "--seed", "y", cwd=folder)
        assert (answer.code, "Traceback" in answer.out + answer.err) == (5, False), answer
        assert "space" in (answer.out + answer.err).lower()
        looked = filiera("runs", "--json", cwd=folder)
        assert (looked.code, looked.data[-1]["run"]) == (0, "texts-1"), looked
        filler.unlink()
        assert "2 ran" in done("run", "texts", "--seed", "y", cwd=folder).out
        done("doctor", "--repair", cwd=folder)
        sound(folder)


def test_a_value_too_large_for_the_disk(tmp_path: Path) -> None:
    """The step that returned it fails; what was finished before stays, and no partial file."""
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m") as disk:
        folder = make_project(disk / "small", code=TEXTS)
        answer = filiera("run", "texts", "--size", str(30_000_000), cwd=folder)
        assert (answer.code, "Traceback" in answer.out + answer.err) == (5, False), answer
        assert "texts-1 failed" in answer.out and "pace" in answer.out
        leftover = [path for path in (folder / ".filiera").rglob("*") if path.stat().st_size > 1_000_000]
        assert leftover == []
        assert "2 ran" in done("run", "texts", cwd=folder).out
        sound(folder)
