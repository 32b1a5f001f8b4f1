"""What every subject runs: functions that do next to nothing, so that what is measured is what is around them."""

import os
import time
from pathlib import Path


def add_one(number: int) -> int:
    """Return the next number."""
    return number + 1


def note_start(number: int) -> int:
    """Write down when a step's first line ran, on the clock that all processes of a machine share."""
    Path(os.environ["BENCHMARK_STARTED"]).write_text(str(time.monotonic()), encoding="utf-8")
    return number
