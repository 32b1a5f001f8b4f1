"""What programs do with inputs and outputs, here and in containers."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filiera.core import programs
from filiera.core.commands import In, Out, command_step, shell_step
from filiera.errors import StepFailed

IMAGE = "localhost/python:3.11"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "my rows.txt"
    file.write_text("b\na\nb\n")
    return file


def test_files_go_in_and_come_out(rows: Path) -> None:
    """A file is found by the program under a path of its own, and what it writes is the output."""
    made = shell_step("uniques", "sort {rows} | uniq > {result}", outputs=["result"])(rows)
    assert made.read_text() == "a\nb\n"
    assert made.name == "result"


def test_without_outputs_it_returns_what_is_printed(capfd: Any) -> None:
    """What a program prints is its output when it names no file; what it says beside goes to the log."""
    assert shell_step("say", "echo {text}; echo done >&2")("it's") == "it's\n"
    assert capfd.readouterr() == ("$ echo 'it'\"'\"'s'; echo done >&2\n", "done\n")


def test_with_outputs_what_is_printed_is_log(capfd: Any) -> None:
    """All that a program prints goes to the log when files are its outputs."""
    command_step("touch", ["sh", "-c", "echo one; echo two >&2; touch a", Out("a")])()
    assert capfd.readouterr().out.splitlines()[1:] == ["one", "two"]


def test_several_outputs_and_folders(rows: Path, tmp_path: Path) -> None:
    """Each output is a path, in folders too; a folder is an input as a file is, and a list is several arguments."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x").write_text("x\n")
    script = "cat {both} > {all}; ls {folder} > deep/names; cp -r {folder} copied"
    made = shell_step("many", script, outputs=["all", "deep/names", "copied"])
    everything, names, copied = made(both=[rows, rows], folder=folder)
    assert everything.read_text() == "b\na\nb\n" * 2
    assert names.read_text() == "x\n"
    assert [file.name for file in copied.iterdir()] == ["x"]


def test_values_are_arguments() -> None:
    """Numbers and text are given as they are written; nothing of them is the shell's."""
    printed = command_step("show", ["printf", "%s|", In("a"), In("b"), In("c")])("$HOME; *", 2.5, [1, True])
    assert printed == "$HOME; *|2.5|1|True|"


def test_variables_are_those_given_and_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees the variables of the worker and those of the command."""
    monkeypatch.setenv("OURS", "1")
    shown = command_step("show", ["sh", "-c", "echo $OURS $THEIRS"], environment={"THEIRS": "2"})
    assert shown() == "1 2\n"


def test_the_folder_lives_as_long_as_the_output() -> None:
    """Nothing is left behind when nobody has the output any more, nor when there was none."""
    made = command_step("touch", ["touch", Out("a")])()
    folder = made.parent
    assert folder.exists()
    del made
    gc.collect()
    assert not folder.exists()


def test_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """What a killed process left behind, the next one removes; a folder in use stays."""
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    dying = (
        "from filiera.core.commands import shell_step; import os\nmade = shell_step('a', 'touch a', outputs=['a'])()\n"
    )
    subprocess.run([sys.executable, "-c", f"{dying}os.kill(os.getpid(), 9)"], env=variables, check=False)
    (left,) = tmp_path.iterdir()
    looking = f"{dying}print(*os.listdir({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", looking], env=variables, check=True, capture_output=True, text=True)
    found = done.stdout.splitlines()[-1].split()
    assert (len(found), left.name in found) == (1, False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "what", "why"),
    [
        ("echo no >&2; exit 3", "ended with exit code 3", "no"),
        ("kill -9 $$", "was killed by SIGKILL", "It printed no reason"),
        ("false; touch a", "ended with exit code 1", ""),
        ("echo $UNSET_VARIABLE", "ended with exit code 2", "UNSET_VARIABLE"),
        ("touch b", "made no 'a'", "It made b."),
        ("ln -s /etc/hostname a", "a link that leads out", ""),
    ],
)
def test_what_goes_wrong_is_told(script: str, what: str, why: str) -> None:
    """A program that fails, or does not do what was said, fails the step with its last words."""
    with pytest.raises(StepFailed) as caught:
        shell_step("wrong", script, outputs=["a"])()
    assert what in caught.value.what
    assert why in caught.value.why


def test_other_values_are_refused() -> None:
    """A program takes files and plain text: a table is told how to get there."""
    with pytest.raises(StepFailed, match="is given a complex"):
        shell_step("wrong", "echo {value}")(1j)
    with pytest.raises(StepFailed, match="is not text"):
        command_step("bytes", ["printf", r"\377"])()
    with pytest.raises(StepFailed, match="'no-such-program' cannot be started"):
        command_step("none", ["no-such-program"])()


def usable_engine() -> str | None:
    """Return an engine that has the image that these tests need."""
    for engine in ("podman", "docker"):
        if shutil.which(engine):
            asked = subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True, check=False)
            if asked.returncode == 0:
                return engine
    return None


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> str:
    found = usable_engine()
    if found is None:
        pytest.skip(f"no container engine here has the image {IMAGE}")
    monkeypatch.setenv(programs.ENGINE_VARIABLE, found)
    monkeypatch.setattr(programs, "_ids", {})
    return found


def test_in_a_container_it_is_the_same(engine: str, rows: Path) -> None:
    """In a container, files, variables and outputs are as outside; there is no network, and files are ours."""
    words = ["sh", "-c", 'sort "$0" > out; ls /sys/class/net >&2; echo $WHAT > what', In("rows")]
    made = command_step("sorted", [*words, Out("out"), Out("what")], image=IMAGE, environment={"WHAT": "ever"})
    out, what = made(rows)
    assert (out.read_text(), what.read_text()) == ("a\nb\nb\n", "ever\n")
    assert out.stat().st_uid == os.getuid()
    network = command_step("network", ["ls", "/sys/class/net"], image=IMAGE)()
    assert network.split() == ["lo"]


def test_the_image_is_part_of_the_command(engine: str) -> None:
    """What names the content of the image is in the arguments, and so in the key, where it is known."""
    made = command_step("version", ["python3", "-c", "print(1)"], image=IMAGE)
    command = made.shape.bind("version", (), {})["command"]
    assert len(command.image_id.removeprefix("sha256:")) == 64
    unknown = command_step("version", ["python3"], image="localhost/no-such-image")
    assert unknown.shape.bind("version", (), {})["command"].image_id == ""


def test_a_program_that_fails_in_a_container_is_told(engine: str) -> None:
    """The exit code is the program's, and its last words are told."""
    with pytest.raises(StepFailed, match="'sh' ended with exit code 7") as caught:
        command_step("wrong", ["sh", "-c", "echo oh >&2; exit 7"], image=IMAGE)()
    assert caught.value.why.endswith("oh")


KILLED = """
import os, sys, threading
from filiera.core.commands import command_step
step = command_step("long", ["sh", "-c", "echo started >&2; sleep 600"], image=sys.argv[1])
class Stop:
    def write(self, text):
        if text.startswith("started"):
            os.kill(os.getpid(), 9)
    def flush(self): pass
sys.stderr = Stop()
step()
"""


def test_a_killed_worker_leaves_no_container(engine: str) -> None:
    """When the process that runs the step is killed, its container is removed."""
    done = subprocess.run([sys.executable, "-c", KILLED, IMAGE], capture_output=True, check=False)
    assert done.returncode == -9
    # The guard holds its end of the pipe until the container is gone, so what it printed is complete by now.
    names = [engine, "ps", "--all", "--filter", "name=filiera-", "--format", "{{.Names}}"]
    assert subprocess.run(names, capture_output=True, text=True, check=True).stdout == ""


def test_without_an_engine_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no engine is installed, the error says which there are."""
    monkeypatch.delenv(programs.ENGINE_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StepFailed, match=r"neither podman nor docker on the PATH"):
        command_step("any", ["true"], image="localhost/any")()
