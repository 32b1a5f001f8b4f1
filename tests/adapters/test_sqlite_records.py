"""SqliteRecords keeps every promise of a metadata store, on real disks, through real kills and forks."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import SchemaTooNew, StoreBusy, StoreError, StoreFull
from filiera.sql.loader import SCHEMA_VERSION, load_migrations
from filiera.testing.metadata_store import MetadataStoreContract, OpenStore, event, run, seqs
from tests.adapters.disks import DiskWithoutPower, fill, run_python, run_unprivileged

BATCH = 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records" / "records.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteRecords]:
    store = SqliteRecords(file)
    yield store
    store.close()


class TestSqliteRecords(MetadataStoreContract):
    @pytest.fixture
    def open_store(self, file: Path) -> OpenStore:
        return lambda: SqliteRecords(file)


def test_constructing_opens_nothing(file: Path) -> None:
    """A store is opened at first use: constructing and closing it leave no trace."""
    SqliteRecords(file).close()
    assert not file.parent.exists()


def test_the_database_has_a_write_ahead_log_and_the_version(store: SqliteRecords, file: Path) -> None:
    """A new database is in WAL mode, and says which version its tables have."""
    store.read("find_aliases")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]


keys = st.sampled_from(["a", "b", "c"])
puts = st.tuples(keys, st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
writes = st.lists(st.tuples(st.lists(puts, max_size=4), st.booleans(), st.booleans()), max_size=8)
_numbers = count()


@settings(max_examples=60)
@given(transactions=writes)
def test_writes_behave_like_a_dictionary(
    transactions: list[tuple[list[tuple[str, str]], bool, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is written, kept or rolled back in whatever order: the records hold what a dictionary would."""
    file = tmp_path_factory.getbasetemp() / "model.db"
    case = str(next(_numbers))
    store, model = SqliteRecords(file), dict.fromkeys("abc", "")
    for changes, fails, durable in transactions:
        statements = [("put_cache_entry", _entry(case + key, outputs)) for key, outputs in changes]
        if fails:
            with pytest.raises(StoreError):
                store.write([*statements, ("add_event", {})], durable=durable)
        else:
            store.write(statements, durable=durable)
            model |= dict(changes)
        found = {key: store.read("try_cache_entry", {"key": case + key}) for key in model}
        assert {key: rows[0]["outputs"] if rows else "" for key, rows in found.items()} == model
    store.close()


def _entry(key: str, outputs: str) -> dict[str, object]:
    return {"key": key, "outputs": outputs, "blocked": "", "run_id": "r", "step": "s", "stored_at": 1.0}


def test_a_held_database_is_busy(store: SqliteRecords, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process writes for longer than the time-out, the error names the file; then writing works again."""
    monkeypatch.setattr("filiera.adapters.sqlite_records._WAIT_S", 0.01)
    store.write([event(1)])
    impatient = SqliteRecords(file, busy_timeout_s=0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match=r"records\.db") as caught:
            impatient.write([event(2)], durable=True)
        assert "lsof" in caught.value.do
        assert seqs(impatient) == [1]
        other.execute("ROLLBACK")
    impatient.write([event(2)])
    assert seqs(impatient) == [1, 2]
    impatient.close()


WRITE_ONCE = """
import sys
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.testing.metadata_store import event
store = SqliteRecords(Path(sys.argv[1]))
print("ready", flush=True)
store.write([event(2)])
"""


def test_waiting_for_a_held_database_ends_with_ctrl_c(store: SqliteRecords, file: Path) -> None:
    """Who waits for another process can be interrupted, long before the time-out of 30 s."""
    store.write([event(1)])
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = [sys.executable, "-c", WRITE_ONCE, str(file)]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"ready\n"
        waiting.send_signal(signal.SIGINT)
        _, complaint = waiting.communicate(timeout=20)
        assert b"KeyboardInterrupt" in complaint


def test_a_new_database_that_is_held_is_busy(file: Path) -> None:
    """The tables cannot be made while another process holds the empty file: StoreBusy, and nothing is half-made."""
    file.parent.mkdir()
    impatient = SqliteRecords(file, busy_timeout_s=0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy):
            impatient.read("find_aliases")
        other.execute("ROLLBACK")
    assert impatient.read("find_aliases") == []
    impatient.close()


@pytest.mark.parametrize(
    "content", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 4080], ids=["text", "torn"]
)
def test_a_file_that_is_no_database_is_said(file: Path, content: bytes) -> None:
    """A damaged or foreign file is a StoreError that says what to do, and it stays as it is."""
    file.parent.mkdir()
    file.write_bytes(content)
    store = SqliteRecords(file)
    for call in (lambda: store.read("find_aliases"), lambda: store.write([event(1)])):
        with pytest.raises(StoreError, match="damaged or is no database") as caught:
            call()
        assert "Put back a copy" in caught.value.do
    assert file.read_bytes() == content


def test_a_damaged_page_is_said(store: SqliteRecords, file: Path) -> None:
    """Pages overwritten from outside are a StoreError when they are read."""
    store.write([event(seq, body="x" * 5000) for seq in range(1, 50)])
    store.close()
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(StoreError, match="damaged"):
        seqs(store)


def test_a_database_of_another_program_is_left_alone(file: Path) -> None:
    """A database with tables that are not ours is refused, unchanged."""
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE photos (name)")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="another program") as caught:
        SqliteRecords(file).write([event(1)])
    assert "photos" in caught.value.why
    assert file.read_bytes() == before


def test_a_newer_database_is_refused_before_it_is_touched(store: SqliteRecords, file: Path) -> None:
    """Records of a newer version are SchemaTooNew for readers and writers, and not one byte of them changes."""
    store.write([event(1)])
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (?, 1.0)", (SCHEMA_VERSION + 1,))
    store.close()
    before = file.read_bytes()
    for call in (lambda: store.read("find_aliases"), lambda: store.write([event(2)])):
        with pytest.raises(SchemaTooNew, match="newer Filiera") as caught:
            call()
        assert f"version {SCHEMA_VERSION + 1}" in caught.value.why
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["records.db"]


@pytest.fixture
def next_version(store: SqliteRecords, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the program one version newer than records that hold one event; return the new migration to fill in."""
    store.write([event(1)])
    store.close()
    statements = ["CREATE TABLE added (name TEXT)"]
    module = "filiera.adapters.sqlite_records"
    monkeypatch.setattr(f"{module}.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setattr(
        f"{module}.load_migrations",
        lambda after: [
            *load_migrations(after),
            *([(SCHEMA_VERSION + 1, statements)] if after <= SCHEMA_VERSION else []),
        ],
    )
    return statements


def versions(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM schema_version ORDER BY version")]


def test_older_records_are_migrated_once(next_version: list[str], file: Path) -> None:
    """Several users who open older records at once bring them up to date together, and keep what they hold."""
    stores = [SqliteRecords(file) for _ in range(4)]
    with ThreadPoolExecutor(max_workers=4) as threads:
        assert list(threads.map(seqs, stores)) == [[1]] * 4
    for store in stores:
        store.close()
    assert versions(file) == [SCHEMA_VERSION, SCHEMA_VERSION + 1]


def test_a_migration_is_all_or_nothing(next_version: list[str], file: Path) -> None:
    """A migration that fails halfway leaves the older records as they were, and says so."""
    next_version.append("CREATE TABLE added (name TEXT)")
    store = SqliteRecords(file)
    with pytest.raises(StoreError, match="refused"):
        store.read("find_aliases")
    assert versions(file) == [SCHEMA_VERSION]
    next_version.pop()
    assert seqs(store) == [1]
    store.close()


READ_OLDER = """
from pathlib import Path
import filiera.adapters.sqlite_records as module
from filiera.errors import StoreError
module.SCHEMA_VERSION += 1
module.load_migrations = lambda after: [(module.SCHEMA_VERSION, ["CREATE TABLE added (name TEXT)"])]
file = Path(sys.argv[1])
file.parent.chmod(0o555)
try:
    module.SqliteRecords(file).read("find_aliases")
except StoreError as error:
    print("Give this user the right" in error.do)
file.parent.chmod(0o755)
"""


def test_older_records_in_a_read_only_folder_are_said(store: SqliteRecords, file: Path) -> None:
    """Where records cannot be brought up to date, that is said, with what to do."""
    store.write([event(1)])
    store.close()
    assert run_unprivileged(READ_OLDER, file).split() == ["True"]


def test_a_folder_in_place_of_the_file_is_said(file: Path) -> None:
    """A database path that is a folder is a StoreError."""
    file.mkdir(parents=True)
    with pytest.raises(StoreError):
        SqliteRecords(file).write([event(1)])


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    """A database inside a file is a StoreError."""
    (tmp_path / "plain").write_text("not a folder")
    store = SqliteRecords(tmp_path / "plain" / "records.db")
    for call in (lambda: store.write([event(1)]), lambda: store.read("find_aliases")):
        with pytest.raises(StoreError):
            call()


def test_a_full_disk_is_said_and_the_records_stay_whole(small_disk: Path) -> None:
    """Without space a write is StoreFull and leaves nothing of itself; with space again the store goes on."""
    store = SqliteRecords(small_disk / "records.db")
    store.write([event(1)])
    filler = fill(small_disk)
    for durable in (False, True):
        with pytest.raises(StoreFull, match="No space is left") as caught:
            store.write([event(2), event(3, body="x" * 200_000)], durable=durable)
        assert "Free space" in caught.value.do
        assert seqs(store) == [1]
    filler.unlink()
    store.write([event(2)])
    store.close()
    assert seqs(store) == [1, 2]
    store.close()


def test_closed_records_on_a_full_disk_can_be_read(small_disk: Path) -> None:
    """Without space for the log closed records are read all the same, and a write is StoreFull."""
    store = SqliteRecords(small_disk / "records.db")
    store.write([event(1)])
    store.close()
    filler = fill(small_disk)
    assert seqs(store) == seqs(store) == [1]
    with pytest.raises(StoreFull):
        store.write([event(2)])
    filler.unlink()
    store.write([event(2)])
    assert seqs(store) == [1, 2]
    store.close()


LIMITED = """
import resource, sys
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import StoreFull
from filiera.testing.metadata_store import event, seqs
store = SqliteRecords(Path(sys.argv[1]))
store.write([event(1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    store.write([event(seq, body="x" * 50_000) for seq in range(2, 10)])
except StoreFull as error:
    print(error.what)
print(seqs(store))
"""


def test_a_limit_on_file_size_counts_as_full(file: Path) -> None:
    """A quota of the system is StoreFull too: what SQLite calls an input/output error is looked into."""
    lines = run_python(LIMITED, file).splitlines()
    assert "No space is left" in lines[0]
    assert lines[1] == "[1]"


def test_a_new_database_on_a_full_disk_is_said(small_disk: Path) -> None:
    """Without space for the tables the first use is StoreFull; with space again it works."""
    filler = fill(small_disk)
    store = SqliteRecords(small_disk / "records.db")
    with pytest.raises(StoreFull):
        store.write([event(1)])
    filler.unlink()
    store.write([event(1)])
    assert seqs(store) == [1]
    store.close()


READ_ONLY = """
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import StoreError
from filiera.testing.metadata_store import event, seqs
store = SqliteRecords(Path(sys.argv[1]))
print(seqs(store), seqs(store))
try:
    store.write([event(7)])
except StoreError as error:
    print(type(error).__name__, "Give this user the right" in error.do)
print(seqs(store))
store.close()
"""


@pytest.mark.parametrize("left", ["closed", "held", "killed", "file"])
def test_records_that_cannot_be_written_can_be_read(store: SqliteRecords, file: Path, left: str) -> None:
    """In a read-only folder, or with a read-only file, in any state of the log: reading works, writing says why."""
    store.write([event(1)])
    if left == "killed":
        run_python(WRITE_AND_DIE, file)
        with pytest.raises(StoreError):
            store.write([event(1)])
    if left in ("closed", "file"):
        store.close()
    paths = [file] if left == "file" else [file.parent, *file.parent.iterdir()]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        lines = run_unprivileged(READ_ONLY, file).splitlines()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    seen = "[1, 2]" if left == "killed" else "[1]"
    assert lines == [f"{seen} {seen}", "StoreError True", seen]


WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.testing.metadata_store import event
SqliteRecords(Path(sys.argv[1])).write([event(2)])
os._exit(0)
"""


READ_BETWEEN_WRITES = """
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.testing.metadata_store import event, seqs
file = Path(sys.argv[1])
reader = SqliteRecords(file)
for seq in range(1, 4):
    file.parent.chmod(0o755)
    writer = SqliteRecords(file)
    writer.write([event(seq)])
    writer.close()
    file.parent.chmod(0o555)
    print(seqs(reader))
file.parent.chmod(0o755)
reader.write([event(4)])
print(seqs(reader))
"""


def test_a_reader_of_a_read_only_database_sees_later_writes(file: Path) -> None:
    """Where nothing can be locked nothing is kept open either: each use looks at the file as it is then."""
    file.parent.mkdir()
    assert run_unprivileged(READ_BETWEEN_WRITES, file).splitlines() == ["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2, 3, 4]"]


def test_a_database_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Without the right to make the database, the first use is a StoreError that says what to do."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(0o555)
    code = """
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.errors import StoreError
for name in ("records.db", "deep/records.db"):
    try:
        SqliteRecords(Path(sys.argv[1]) / name).read("find_aliases")
    except StoreError as error:
        print("Give this user the right" in error.do)
"""
    assert run_unprivileged(code, folder).split() == ["True", "True"]
    folder.chmod(0o755)


WRITE_BATCHES = """
import sys
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.testing.metadata_store import event
store = SqliteRecords(Path(sys.argv[1]))
for batch in range(int(sys.argv[2])):
    numbers = range(batch * 5 + 1, batch * 5 + 6)
    store.write([event(seq, run_id=sys.argv[3], body="x" * 3000) for seq in numbers], durable=batch % 2 == 0)
    print(batch, flush=True)
"""


def test_a_killed_writer_leaves_whole_transactions(file: Path) -> None:
    """Killed at some moment, a writer leaves each write it finished, no part of another, and sound records."""
    for number in range(4):
        run_id = f"train-{number}"
        process = start_writer(file, "1000000", run_id)
        assert process.stdout is not None
        finished = [int(process.stdout.readline()) for _ in range(1 + 10 * number)]
        process.kill()
        finished += [int(line) for line in process.stdout.read().split()]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        store = SqliteRecords(file)
        kept = seqs(store, run_id)
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) % BATCH == 0
        assert len(kept) >= len(finished) * BATCH
        store.close()
    assert is_sound(file)


def test_processes_write_at_once(file: Path) -> None:
    """Several processes that make the database and write to it at once lose nothing."""
    writers = [start_writer(file, "20", f"train-{number}") for number in range(4)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4
    store = SqliteRecords(file)
    assert [seqs(store, f"train-{number}") for number in range(4)] == [list(range(1, 101))] * 4
    store.close()
    assert is_sound(file)


def start_writer(file: Path, batches: str, run_id: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITE_BATCHES, file, batches, run_id], stdout=subprocess.PIPE)


def is_sound(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def start_child(action: Callable[[], object]) -> int:
    """Run *action* in a fork of this process; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def wait_for(pid: int) -> int:
    """Return the exit code of a child."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_connection_of_its_own(store: SqliteRecords, file: Path) -> None:
    """A store used before a fork works on both sides after it, also when the parent closes first."""
    store.write([event(1)])
    ready, closed = os.pipe(), os.pipe()

    def child() -> None:
        os.close(closed[1])
        store.write([event(2)])
        os.write(ready[1], b"x")
        os.read(closed[0], 1)
        store.write([event(4)])
        store.close()

    pid = start_child(child)
    os.close(ready[1])
    assert os.read(ready[0], 1) == b"x"
    store.write([event(3)])
    store.close()
    assert file.with_name("records.db-wal").exists(), "the child's connection keeps the log"
    os.write(closed[1], b"x")
    assert wait_for(pid) == 0
    for descriptor in (ready[0], *closed):
        os.close(descriptor)
    assert seqs(store) == [1, 2, 3, 4]
    store.close()
    assert is_sound(file)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_a_write_in_another_thread(store: SqliteRecords, file: Path) -> None:
    """Forking while threads write copies no open transaction: nothing is lost, nothing hangs."""
    store.write([event(1)])
    with ThreadPoolExecutor(max_workers=1) as threads:
        writing = threads.submit(lambda: [store.write([run("train"), run("flows")]) for _ in range(100)])
        for seq in range(2, 7):
            assert wait_for(start_child(partial(store.write, [event(seq)]))) == 0
        assert len(writing.result()) == 100
    assert seqs(store) == [1, 2, 3, 4, 5, 6]
    store.close()
    assert is_sound(file)


def test_a_durable_write_survives_a_power_cut(disk_without_power: DiskWithoutPower) -> None:
    """A durable write and all writes before it are there after a power cut, from the very first one on."""
    store = SqliteRecords(disk_without_power.folder / "new" / "records.db")
    for first, durable_at in ((1, 1), (2, 5), (6, 40)):
        for seq in range(first, durable_at + 1):
            store.write([event(seq, body="x" * 500)], durable=seq == durable_at)
        with disk_without_power.after_power_cut() as folder:
            found = SqliteRecords(folder / "new" / "records.db")
            assert seqs(found) == list(range(1, durable_at + 1))
            found.close()
            assert is_sound(folder / "new" / "records.db")
    store.close()


def test_a_power_cut_after_ordinary_writes_leaves_sound_records(disk_without_power: DiskWithoutPower) -> None:
    """Ordinary writes may be lost with the power, the latest first, and never leave damage or a gap."""
    store = SqliteRecords(disk_without_power.folder / "records.db")
    store.write([event(1)], durable=True)
    for seq in range(2, 600):
        store.write([event(seq, body="x" * 5000)])
    with disk_without_power.after_power_cut() as folder:
        found = SqliteRecords(folder / "records.db")
        kept = seqs(found)
        found.close()
        assert kept[:1] == [1]
        assert kept == list(range(1, len(kept) + 1))
        assert is_sound(folder / "records.db")
    store.close()


def test_a_copied_database_is_read(store: SqliteRecords, file: Path, tmp_path: Path) -> None:
    """Closed records are one file, which can be copied and used elsewhere, whatever its name."""
    store.write([event(1)])
    store.close()
    copy = tmp_path / "a copy? #1.db"
    shutil.copyfile(file, copy)
    other = SqliteRecords(copy)
    assert seqs(other) == [1]
    other.close()
