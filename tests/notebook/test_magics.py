"""``%filiera`` in the kernel of a notebook: cells are sent to a real one, as a notebook sends them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

LIMIT_S = 120
EVIL = "<script>alert(1)</script>"
STEPS = """
from filiera import pipeline, step

FACTOR = 2

def scaled(number):
    return number * FACTOR

@step
def load(n: int) -> list[int]:
    return list(range(n))

@step
def total(numbers: list[int]) -> int:
    if len(numbers) > 90:
        raise ValueError("<script>alert(1)</script>")
    return scaled(sum(numbers))

@pipeline(kind="data")
def here(n: int = 5):
    return total(load(n))
"""
FILE = """
from filiera import Html, pipeline, step

@step
def times(n: int) -> int:
    return n * 10

@step
def both(n: int) -> tuple[Html, int]:
    return Html(f"<h1>{n}</h1>"), n

@pipeline(kind="data")
def there(n: int = 1):
    return both(times(n))
"""


@dataclass
class Cell:
    """What came of a cell."""

    printed: str = ""
    html: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    error: str = ""  #: the name of the exception
    shown: list[str] = field(default_factory=list)  #: what is shown of it


class Kernel:
    """A kernel that runs cells in the folder of a project."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def __call__(self, code: str) -> Cell:
        cell = Cell()

        def hear(message: Any) -> None:
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    cell.printed += content["text"]
                case "execute_result" | "display_data":
                    cell.text.append(content["data"]["text/plain"])
                    cell.html += [content["data"]["text/html"]] if "text/html" in content["data"] else []
                case "error":
                    cell.error, cell.shown = content["ename"], content["traceback"]

        self._client.execute_interactive(textwrap.dedent(code), output_hook=hear, timeout=LIMIT_S)
        return cell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with one pipeline in a file."""
    root = tmp_path_factory.mktemp("notebook") / "small"
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "__init__.py").touch()
    (root / "flows" / "there.py").write_text(FILE)
    (root / "filiera.toml").write_text('[project]\nname = "small"\n[profile.local]\nworkers = 1\n')
    return root


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    manager = KernelManager()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("FILIERA_")}
    here = {"IPYTHONDIR": str(folder.parent / "ipython"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    manager.start_kernel(cwd=str(folder), env={**variables, **here, "PYTHONDONTWRITEBYTECODE": "1"})
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LIMIT_S)
        ready = Kernel(client)
        assert ready("%load_ext filiera").error == ""
        yield ready
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def cells(kernel: Kernel) -> Kernel:
    """Return the kernel with a pipeline defined in a cell, as it was at first."""
    assert kernel(STEPS).error == ""
    return kernel


def test_a_pipeline_of_a_cell_runs(cells: Kernel) -> None:
    """Its parameters are options; what comes back is the run, shown with its graph and steps."""
    told = cells("run = %filiera run here --n 7\nrun")
    assert told.error == ""
    assert "total" in told.printed
    (page,) = told.html
    assert "<svg" in page
    assert "<td" in page
    assert told.text[0].startswith("here-")
    assert cells("run.value('total')").text == ["42"]


def test_variables_of_the_notebook_are_parameters(cells: Kernel) -> None:
    """``{name}`` stands for the value of a variable."""
    assert cells("number = 4\nrun = %filiera run here --n {number}\nrun.value('total')").text[-1] == "12"


@pytest.mark.parametrize(
    ("cell", "value", "why"),
    [
        ("def scaled(number):\n    return number * FACTOR + 1", "21", "function __main__:scaled changed"),
        ("FACTOR = 3", "30", "constant __main__:FACTOR changed"),
        (
            "@step\ndef total(numbers: list[int]) -> int:\n    return scaled(sum(numbers)) - 1",
            "19",
            "function __main__:total changed",
        ),
    ],
    ids=["helper", "constant", "step"],
)
def test_a_cell_run_again_changes_what_depends_on_it(cells: Kernel, cell: str, value: str, why: str) -> None:
    """The key of a step has the code that the notebook holds now: what it reaches runs again, the rest is a hit."""
    assert cells("run = %filiera run here\nrun.value('total')").text[-1] == "20"
    cells(cell)
    told = cells("run = %filiera run here\n(run.value('total'), run.state.steps['load'].status)")
    assert told.text[-1] == f"({value}, 'hit')"
    assert why in cells("%filiera explain here").printed


def test_a_step_that_fails_ends_the_cell(cells: Kernel) -> None:
    """The run is shown with what was raised where, as text; then the error, in our words and no traceback of ours."""
    told = cells("%filiera run here --n 99")
    assert told.error == "StepFailed"
    assert told.shown[0].startswith("Run here-")
    assert not any("Traceback" in line for line in told.shown)
    (page,) = told.html
    assert EVIL not in page
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_pipeline_of_a_file_runs_as_the_file_is_now(kernel: Kernel, folder: Path) -> None:
    """The kernel lives long: a file that was edited is read anew, here and by the workers."""
    ask = "run = %filiera run there --n 2\nrun.value('times')"
    assert kernel(ask).text[-1] == "20"
    file = folder / "flows" / "there.py"
    file.write_text(FILE.replace("n * 10", "n * 1000"))
    assert kernel(ask).text[-1] == "2000"
    file.write_text(FILE)
    assert kernel(ask).text[-1] == "20"
    assert kernel("run.state.steps['times'].status").text == ["'hit'"]


def test_outputs_are_shown_as_what_they_are(kernel: Kernel) -> None:
    """The outputs of a step come back as values; a report is in its frame."""
    kernel("%filiera run there --n 2")
    told = kernel("%filiera show there/both")
    assert 'sandbox="" srcdoc="&lt;h1&gt;20&lt;/h1&gt;"' in told.html[0]
    assert kernel("value = %filiera show there/times\nvalue + 1").text == ["21"]


def test_other_verbs_print_as_the_command_does(cells: Kernel) -> None:
    """What is listed is listed here."""
    cells("%filiera run here")
    assert cells("%filiera runs").printed.startswith("RUN")
    assert "there" in cells("%filiera pipelines").printed
    assert "usage: filiera" in cells("%filiera --help").printed
    assert "--n" in cells("%filiera run there --help").printed


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("serve m", "UsageError", "goes on until it is stopped"),
        ("run here --m 3", "UsageError", "has no option '--m'"),
        ("run nowhere", "UsageError", "no pipeline 'nowhere'"),
        ("show m@1", "UsageError", "no dataset, model or service 'm'"),
        ("show nothing", "FilieraError", "ended with exit code 2"),
        ("rnus", "FilieraError", "ended with exit code 2"),
        ("run 'here", "UsageError", "No closing quotation"),
        ("run here --fresh", "UsageError", "not how filiera run is used"),
    ],
)
def test_wrong_lines_end_the_cell(cells: Kernel, line: str, error: str, words: str) -> None:
    """A notebook that is run from top to bottom stops there, with a message instead of a traceback."""
    told = cells(f"%filiera {line}")
    assert told.error == error
    assert words in "\n".join(told.shown)
    assert "magics.py" not in "\n".join(told.shown)


def test_a_graph_and_a_pipeline_are_drawings(cells: Kernel) -> None:
    """Before anything has run."""
    assert cells("here").html[0].count("<rect") == 2
    assert "<svg" in cells("here.trace({})").html[0]


def test_other_errors_keep_their_traceback(kernel: Kernel) -> None:
    """Only our own errors are shown in short."""
    told = kernel("1 / 0")
    assert told.error == "ZeroDivisionError"
    assert "Traceback" in "\n".join(told.shown)


def test_the_extension_can_be_taken_back(kernel: Kernel) -> None:
    """Unloaded, nothing of it is left; loaded again, all of it is there."""
    assert kernel("%unload_ext filiera").error == ""
    assert "not found" in kernel("%filiera runs").printed
    assert kernel(f"{STEPS}\nhere").html == []
    assert kernel("%load_ext filiera").error == ""
    assert kernel("here").html != []
