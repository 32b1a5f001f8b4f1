"""Loads projects one after the other, fresh, and prints a closure of each: ``python closure_runner.py FOLDER…``."""

from __future__ import annotations

import importlib
import sys
import warnings

from filiera.core.closure import closure_of, encode


def is_project(module: str) -> bool:
    return module.partition(".")[0] == "traffic"


def closure_in(folder: str, module: str, name: str) -> bytes:
    sys.path.insert(0, folder)
    try:
        thing = getattr(importlib.import_module(module), name)
        return encode(closure_of(thing, is_project=is_project))
    finally:
        sys.path.remove(folder)
        for loaded in [loaded for loaded in sys.modules if is_project(loaded)]:
            del sys.modules[loaded]


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    start, *folders = sys.argv[1:]
    for folder in folders:
        sys.stdout.write(closure_in(folder, *start.split(":")).decode() + "\n")
