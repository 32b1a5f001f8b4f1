"""Several experiments at once, each in a process of its own: their code may differ."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from filiera.cli.output import print_json


def run_several(names: Sequence[str], options: argparse.Namespace) -> int:
    """Run them, ``--jobs`` at once, say how each ended, and return the worst exit code.

    What two of them need alike is computed by one: the store is shared.
    """
    told, codes = [], []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        running = {pool.submit(_run, name, options): name for name in names}
        for each in as_completed(running):
            name, (code, answer, problem) = running[each], each.result()
            codes.append(code)
            told.append({"experiment": name, "exit_code": code, **answer, "problem": problem})
            if not options.json:
                run_id, status = answer.get("run", ""), answer.get("status", "failed")
                print(f"{name}  {run_id} {status}" if run_id else f"{name}  {problem}", flush=True)
    if options.json:
        print_json(sorted(told, key=lambda one: names.index(str(one["experiment"]))))
    return max(codes)


def _run(name: str, options: argparse.Namespace) -> tuple[int, dict[str, object], str]:
    words = ["experiment", "run", name, "--json"]
    words += [word for text in options.set for word in ("--set", text)]
    words += [word for text in options.fresh for word in ("--fresh", text)]
    words += ["--pipeline", options.pipeline] if options.pipeline else []
    words += ["--profile", options.profile] if options.profile else []
    done = subprocess.run(
        [sys.executable, "-m", "filiera.cli.main", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    lines = done.stderr.strip().removeprefix("filiera: ").splitlines()
    return done.returncode, answer, "" if answer else (lines[0] if lines else f"ended with {done.returncode}")
