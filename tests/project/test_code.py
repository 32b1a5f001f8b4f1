"""Code as part of the key: exactly what a step depends on makes it run again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.projects import SmallProject, digests, statuses

ROOT = Path(__file__).parents[2]

FILES = {
    "flows/__init__.py": "",
    "flows/helpers.py": '''
        """What steps use."""

        FACTOR = 3
        UNUSED = 1


        def scaled(x):
            """Return a multiple."""
            return inner(x) * FACTOR


        def inner(x):
            return x + 1


        def is_even(x):
            return x % 2 == 0
        ''',
    "flows/numbers.py": """
        from filiera import pipeline, step
        from flows import helpers
        from flows.helpers import is_even


        @step
        def read(x: int) -> int:
            return x


        @step
        def scale(x: int) -> int:
            return helpers.scaled(x)


        @step
        def parity(x: int) -> bool:
            return is_even(x)


        @step
        def tell(even: bool) -> str:
            return "even" if even else "odd"


        @step
        def aside(x: int) -> int:
            return -x


        @step
        def apply(function, x: int) -> int:
            return function(x)


        @pipeline(kind="data")
        def numbers(x: int = 1):
            value = read(x)
            return tell(parity(scale(value))), aside(value)


        @pipeline(kind="data")
        def applied(x: int = 1):
            return apply(helpers.inner, x)
        """,
}
HITS = dict.fromkeys(("read", "scale", "parity", "tell", "aside"), "hit")


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    small = SmallProject(tmp_path / "one", FILES)
    assert small.run("numbers").status == "succeeded"
    return small


def test_a_changed_constant_reruns_what_depends_on_it(project: SmallProject) -> None:
    """A constant of a helper module that one step uses: that step runs again, the reason names module and constant."""
    project.replace("flows/helpers.py", "FACTOR = 3", "FACTOR = 4")
    run = project.run("numbers")
    assert statuses(run) == {**HITS, "scale": "succeeded", "parity": "succeeded"}
    assert project.reasons(run.run_id)["scale"] == "constant flows.helpers:FACTOR changed"
    assert project.reasons(run.run_id)["parity"] == "input from scale changed"


def test_what_depends_on_the_changed_output_runs_too(project: SmallProject) -> None:
    """When the output differs all the way, all the way runs; the branch beside it does not."""
    project.replace("flows/helpers.py", "return inner(x) * FACTOR", "return inner(x) * FACTOR + 1")
    run = project.run("numbers")
    assert statuses(run) == {**HITS, "scale": "succeeded", "parity": "succeeded", "tell": "succeeded"}
    assert run.value("tell") == "odd"
    assert project.reasons(run.run_id)["scale"] == "function flows.helpers:scaled changed"


def test_reverted_code_is_all_hits(project: SmallProject) -> None:
    """Code as it was has the results it had."""
    text = (project.root / "flows/helpers.py").read_text()
    project.replace("flows/helpers.py", "FACTOR = 3", "FACTOR = 4")
    project.run("numbers")
    project.write({"flows/helpers.py": text})
    run = project.run("numbers")
    assert statuses(run) == HITS
    assert set(project.reasons(run.run_id).values()) == {"same code, parameters and inputs as in numbers-1"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UNUSED = 1", "UNUSED = 2"),
        ("UNUSED = 1", "UNUSED = 1\nNEW = 5"),
        ('"""Return a multiple."""', '"""Return a product."""'),
        ("return x + 1", "# more\n    return x + 1  # by one"),
        ("return x + 1", "return (\n        x + 1\n    )"),
        ("def inner(x):", "def other(y):\n    return y\n\n\ndef inner(x):"),
    ],
    ids=["unused constant", "new constant", "docstring", "comments", "layout", "new function"],
)
def test_what_cannot_matter_does_not(project: SmallProject, old: str, new: str) -> None:
    """Comments, documentation, layout, and code that no step reaches leave every step a hit."""
    project.replace("flows/helpers.py", old, new)
    assert statuses(project.run("numbers")) == HITS


def test_a_function_given_to_a_step_is_part_of_its_key(project: SmallProject) -> None:
    """The code of a function that is passed as a value counts, though the argument is only its name."""
    project.run("applied")
    assert statuses(project.run("applied")) == {"apply": "hit"}
    project.replace("flows/helpers.py", "return x + 1", "return x + 2")
    run = project.run("applied")
    assert run.value("apply") == 3
    assert project.reasons(run.run_id) == {"apply": "function flows.helpers:inner changed"}


def test_the_command_explains_it(project: SmallProject) -> None:
    """``filiera explain`` says the same from the records, for people and for scripts."""
    project.replace("flows/helpers.py", "FACTOR = 3", "FACTOR = 4")
    data = project.json("run", "numbers")
    assert {step["step"]: step["status"] for step in data["steps"]}["scale"] == "succeeded"
    told = project.command("explain", "numbers")
    assert "constant flows.helpers:FACTOR changed" in told.stdout


def test_a_moved_project_is_all_hits(project: SmallProject, tmp_path: Path) -> None:
    """Where the project lies is no part of any key: after a move everything is a hit."""
    shutil.move(project.root, tmp_path / "elsewhere")
    project.root = tmp_path / "elsewhere"
    assert statuses(project.run("numbers")) == HITS


AS_ANOTHER_USER = """
import json, os, sys
from pathlib import Path
from tests.project.test_code import FILES
from tests.projects import SmallProject, digests
folder = Path(sys.argv[1])
SmallProject(folder / "rehearsal", FILES).run("numbers")  # loads all that this user can read and the other cannot
if os.geteuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
run = SmallProject(folder / "two", FILES).run("numbers")
assert (folder / "two").stat().st_uid == os.geteuid()
print(json.dumps([run.status, run.state.count("succeeded"), digests(run)]))
"""


def test_another_folder_and_user_get_the_same_digests(project: SmallProject) -> None:
    """The same project in another folder, run by another process and user, makes the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER, folder], capture_output=True, text=True, cwd=ROOT, check=False
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["succeeded", 5, digests(project.state("numbers-1"))]
