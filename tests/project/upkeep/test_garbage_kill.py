"""The process that cleans up is killed for good, with runs beside it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
from pathlib import Path

from tests.project.keeping import DAY_S, House
from tests.projects import command

KILLS = 4


def test_killed_while_cleaning_up(tmp_path: Path) -> None:
    """Killed wherever it is, clean-up leaves all that is named, and the next one ends what it began; seed printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    house = House(tmp_path)
    for x in range(8):
        house.run("values", x=x)
        house.run("salty", x=x)
    house.publish("values-2")
    house.let_pass(3 * DAY_S)
    words = command("gc", "--keep-days", "1", "--keep-runs", "2")
    for _ in range(KILLS):
        process = subprocess.Popen(words, **house.surroundings(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until_it_writes(house, process, chance.randrange(12))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        house.check_whole()
        assert {"values-2", "values-7", "values-8", "salty-7", "salty-8"} <= house.runs()
    subprocess.run(words, **house.surroundings(), check=True, stdout=subprocess.DEVNULL)
    assert house.runs() == {"values-2", "values-7", "values-8", "salty-7", "salty-8"}
    house.check_whole()
    house.check_clean()


def wait_until_it_writes(house: House, process: subprocess.Popen[bytes], times: int) -> None:
    """Return when the records have changed so often since, or the process has ended."""
    database = sqlite3.connect(house.store / "records.sqlite")
    seen = database.execute("PRAGMA data_version").fetchone()
    while times > 0 and process.poll() is None:
        now = database.execute("PRAGMA data_version").fetchone()
        if now != seen:
            seen, times = now, times - 1
    database.close()
