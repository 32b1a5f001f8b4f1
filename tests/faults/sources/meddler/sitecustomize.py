"""Python imports this at its start where the folder is on the path: then a deed is done while a source is read."""

import importlib.abc
import os
import sys


class _WhenCollecting(importlib.abc.MetaPathFinder):
    """Steps in when the module that reads sources is imported, so that other processes start as they always do."""

    def find_spec(self, fullname, path, target=None):
        if fullname == "filiera.project.collecting":
            sys.meta_path.remove(self)
            from tests.faults.sources.meddling import meddle

            meddle(*os.environ["MEDDLING"].split(" ", 1))


if "MEDDLING" in os.environ:
    sys.meta_path.insert(0, _WhenCollecting())
