"""Pages are run as they stand: every command, every program, every file they show."""

from __future__ import annotations

import difflib
import random
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, program

running = program("running")

ON_THEIR_OWN = (
    "add-a-source",
    "approve-a-step",
    "audit",
    "check-data",
    "compare-tables",
    "debug-a-step",
    "deliver-a-version",
    "evaluate",
    "experiments",
    "explore-a-table",
    "find-runs",
    "forecast",
    "gate-a-model",
    "go-on-inside-a-step",
    "group-machines",
    "hide-sensitive-columns",
    "isolate-a-step",
    "keep-a-contract",
    "keep-house",
    "keep-predictions",
    "know-a-model",
    "move-runs",
    "notebooks",
    "partitions",
    "prove-a-version",
    "read-databases",
    "read-xml",
    "resume-after-a-crash",
    "return-many-tables",
    "run-a-command",
    "run-many-pipelines",
    "serve-a-function",
    "services-and-queues",
    "serving-graphs",
    "set-rows-aside",
    "shape-a-graph",
    "sign-and-verify",
    "take-raw-rows",
    "tune",
    "use-another-model-library",
    "use-images",
    "use-more-processors",
    "watch-a-service",
    "watch-metrics",
    "why-did-it-run-again",
    "write-a-plug-in-codec",
)


GO_ON = ("serve-and-call", "another-server")
"""How-tos that begin where the tutorial ends."""
RECORDED = ("three-experiments",)
"""Explanations that take minutes."""


def assert_pages_are_true(pages: list[Path], home: Path) -> None:
    """Fail with the first command of the pages that prints something else than they show.

    If what it prints now is meant: ``python docs/running.py PAGE``.
    """
    count = 0
    for page, ran in running.run_pages(pages, home):
        count += 1
        difference = difflib.unified_diff(
            running.even(ran.expected).splitlines(), running.even(ran.actual).splitlines(), "page", "now", lineterm=""
        )
        assert ran.as_expected, "\n".join(
            [f"{page.name}: $ {ran.command}", f"exit code {ran.exit_code}", ran.actual, *difference]
        )
    assert count > 0


@pytest.mark.parametrize("name", ON_THEIR_OWN)
def test_how_to(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A how-to works for somebody who types what it says into an empty folder."""
    if name == "use-more-processors":  # it tells what is so where nobody has set how many threads there are
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            monkeypatch.delenv(variable)
    assert_pages_are_true([DOCS / "how-to" / f"{name}.md"], tmp_path)


@pytest.mark.campaign
@pytest.mark.parametrize("name", RECORDED)
def test_recording(name: str, tmp_path: Path) -> None:
    """What was recorded happens again."""
    assert_pages_are_true([DOCS / "explanation" / f"{name}.md"], tmp_path)


def test_tutorial(tmp_path: Path) -> None:
    """The tutorial works from an empty folder to a verdict, and then the how-tos that go on from there."""
    how_tos = [DOCS / "how-to" / f"{name}.md" for name in GO_ON]
    assert_pages_are_true([DOCS / "tutorial" / "first-chain.md", *how_tos], tmp_path)


def test_readme(tmp_path: Path) -> None:
    """The example of the README works, with a file of the columns that it names."""
    chance = random.Random(0)
    lines = ["duration,bytes,packets,label"]
    for _ in range(600):
        packets, is_attack = chance.randint(1, 40), chance.random() < 0.4
        size = packets * chance.randint(40, 60) if is_attack else packets * chance.randint(200, 1400)
        lines.append(f"{chance.randint(0, 900)},{size},{packets},{'attack' if is_attack else 'normal'}")
    (tmp_path / "flows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert_pages_are_true([ROOT / "README.md"], tmp_path)


def test_every_page_with_commands_is_run() -> None:
    """No page shows commands or programs that no test runs."""
    shown = {page for page in DOCS.rglob("*.md") if running.has_something_to_run(page)}
    run = {DOCS / "how-to" / f"{name}.md" for name in (*ON_THEIR_OWN, *GO_ON)}
    recorded = {DOCS / "explanation" / f"{name}.md" for name in RECORDED}
    assert shown == run | recorded | {DOCS / "tutorial" / "first-chain.md"}
