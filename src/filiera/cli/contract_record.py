"""``filiera contract record``."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from filiera.cli.contract_sides import find_contract, listening
from filiera.errors import FilieraError, UsageError
from filiera.serving.contracts.pact import check_parts, write_pact
from filiera.serving.contracts.recorder import Recorder, require_requests

URL_VARIABLE = "FILIERA_URL"


def run(options: argparse.Namespace) -> int:
    """Run the application's tests beside a mock; when they pass, write down what they asked and need."""
    contract = find_contract(options.contract, options.profile)
    reads = options.reads.split(",") if options.reads else None
    check_parts(contract.signature, reads or ())
    with Recorder(contract, options.consumer, thresholds=_thresholds(options.threshold)) as recorder:
        with listening(recorder.answer, 0) as server:
            _run(options.command, server.url)
        recorded = recorder.recorded(only=reads)
    require_requests(recorded)
    path = write_pact(recorded, Path(options.to))
    count = len(recorded.interactions)
    print(f"{path}: {count} request{'s' if count > 1 else ''} of {recorded.who} to {recorded.model}")
    return 0


def _run(command: Sequence[str], url: str) -> None:
    try:
        code = subprocess.run(list(command), env={**os.environ, URL_VARIABLE: url}, check=False).returncode
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run.", why=error.strerror or str(error)) from error
    if code:
        raise FilieraError(
            f"The tests of the application ended with exit code {code}: nothing was recorded.",
            why="What failed is no contract.",
            do=f"Let them pass against the mock; its address is in ${URL_VARIABLE}.",
        )


def _thresholds(given: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in given:
        place, _, number = text.partition("=")
        try:
            found[place] = float(number)
        except ValueError:
            raise UsageError(f"--threshold takes PART=NUMBER, not {text!r}.") from None
    return found
