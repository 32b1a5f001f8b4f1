"""A process that starts what is about to be shipped, from that alone.

Started in the shipped project's folder, with a path on which there is nothing but the standard library and what the
lock names; its word is JSON with what is ``served``. Models and graphs answer their examples. Functions are imported,
their models are read, and they are not called: what they need may be there only where they are shipped to.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence

from filiera.errors import FilieraError
from filiera.project.project import Project
from filiera.project.serving.functions import FoundFunction
from filiera.project.serving.given import given_to
from filiera.project.serving.offers import find_offered, offers_of


def rehearse(served: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths at which each of *served* is called. Raises whatever keeps it from starting."""
    from filiera.serving.app import App

    offers = offers_of(served, profile=None, tell=_ignore)
    app = App([offer.mount() for offer in offers if offer.kind == "models"])
    app.start()
    asyncio.run(app.stop())
    project = Project.open()
    for found in (find_offered(project, text) for text in served):
        for version in given_to(project, found).versions if isinstance(found, FoundFunction) else ():
            project.value(version.artifact)
    for offer in offers:
        if offer.log is not None:
            offer.log.close()
    return {text: list(offer.calls) for text, offer in zip(served, offers, strict=True)}


def _ignore(line: str) -> None: ...


def _missing(error: BaseException | None) -> str:
    """Return the top-level module whose absence was the reason, or ""."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__ or error.__context__
    return ""


def main() -> int:
    """Rehearse what the command line names, print what came of it as JSON, and return the exit code."""
    try:
        answer: dict[str, object] = {"calls": rehearse(json.loads(sys.argv[1])["served"])}
    except FilieraError as error:
        answer = {"what": error.what, "why": error.why, "do": error.do, "missing": _missing(error)}
    except ModuleNotFoundError as error:
        answer = {"what": f"{error}.", "why": "", "do": "", "missing": _missing(error)}
    print(json.dumps(answer))
    return 0
