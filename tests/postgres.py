"""A real PostgreSQL server for tests, in a folder and on a socket of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.servers import Program, running

_RULES = "local all app scram-sha-256\nlocal all all trust\n"
_numbers = count(1)


def _program(name: str) -> str | None:
    """Return where a program of PostgreSQL is; Debian keeps them out of the search path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return shutil.which(name) or (str(found[-1]) if found else None)


def _is_ready(data: Path) -> bool:
    """Tell what the server itself notes: that it takes connections."""
    with suppress(OSError, IndexError):
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    return False


class PostgresServer:
    """A server that is started and stopped by tests. Nobody else can reach it: it listens on a socket only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The server refuses to run as root.
        self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "nobody", "nogroup")

        self._server = Program(folder, "server")

    def start(self) -> None:
        """Make the databases' folder and start the server."""
        data = self.folder / "data"
        self._do("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        (data / "pg_hba.conf").write_text(_RULES)
        options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off"]
        words = [str(_program("postgres")), "-D", str(data), *options]
        self._server.start(words, lambda: _is_ready(data), cwd=self.folder, **self._user)
        self.sql("CREATE ROLE app LOGIN PASSWORD 's3cret/@:word'")

    def stop(self) -> None:
        """Stop the server at once."""
        self._server.end(signal.SIGQUIT)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Do something in a database; return what psql prints, one row a line."""
        words = [
            _program("psql"),
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-U",
            "postgres",
            "-d",
            database,
        ]
        done = subprocess.run([*map(str, words), "-f", "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def uri(self, database: str, user: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Return the name of a new, empty database."""
        name = f"shop_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def _do(self, program: str, *words: str) -> None:
        found = _program(program)
        done = subprocess.run(
            [str(found), *words], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            check=False, **self._user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server; tests that need it are skipped where there is none."""
    missing = [name for name in ("initdb", "postgres", "psql") if _program(name) is None]
    if missing:
        pytest.skip(f"PostgreSQL is not installed: no {missing[0]} (Debian: apt-get install postgresql)")
    with running(PostgresServer) as server:
        yield server
