from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from filiera.adapters import virtual_environments
from filiera.adapters.virtual_environments import installed, installer, is_finished, make, python_of
from filiera.errors import ProjectError, StoreError
from tests.wheels import make_wheel

WITHOUT_UV = [name for name in ("pip", "uv") if name == "pip" or shutil.which("uv")]


@pytest.fixture(params=WITHOUT_UV)
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Install with pip although uv may be here, then with uv if it is."""
    if request.param == "pip":
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        if shutil.which("uv"):
            pytest.skip("uv is part of the system")
    return str(request.param)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two versions of one distribution, and one that needs the older."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "lamp", "1.0")
    make_wheel(folder, "lamp", "2.0")
    make_wheel(folder, "room", "1.0", needs=["lamp<2"])
    return folder


def asks_for(folder: Path, wheels: Path, *lines: str) -> Path:
    """Write a requirements file that installs from the folder of wheels."""
    file = folder / "requirements.txt"
    file.write_text("\n".join(["--no-index", f"--find-links {wheels}", *lines]))
    return file


def version_in(folder: Path) -> str:
    """Return which lamp a Python has."""
    show = "import lamp; print(lamp.VERSION)"
    return subprocess.run([python_of(folder), "-c", show], capture_output=True, text=True, check=True).stdout.strip()


def test_it_holds_what_was_asked_for_and_nothing_else(tool: str, wheels: Path, tmp_path: Path) -> None:
    """Pins are honoured, and what this interpreter has besides is not there."""
    folder, told = tmp_path / "made", list[str]()
    make(folder, asks_for(tmp_path, wheels, "room", "lamp==1.0"), tell=told.append)
    assert is_finished(folder)
    assert installed(folder) == ["lamp==1.0", "room==1.0"]
    assert version_in(folder) == "1.0"
    done = subprocess.run([python_of(folder), "-c", "import pytest"], capture_output=True, text=True, check=False)
    assert "No module named 'pytest'" in done.stderr
    assert f"  installing with {tool}" in told


def test_what_is_made_is_not_made_again(wheels: Path, tmp_path: Path) -> None:
    """Nothing is started for a finished environment, even when its file cannot be installed any more."""
    folder, told = tmp_path / "made", list[str]()
    make(folder, asks_for(tmp_path, wheels, "lamp"), tell=told.append)
    told.clear()
    make(folder, tmp_path / "gone.txt", tell=told.append)
    assert (told, version_in(folder)) == ([], "2.0")


@pytest.mark.parametrize(
    ("lines", "words", "do"),
    [
        (("room", "lamp==2.0"), "lamp", "Loosen one of the pins"),
        (("lamp==3.0",), "lamp==3.0", "Correct the name or the version"),
        (("shade",), "shade", "Correct the name or the version"),
        (("lamp=1",), "lamp", "Correct"),
        (("lamp==1.0 --hash=sha256:" + "0" * 64,), "0000", "Make the lock file again"),
    ],
)
def test_what_cannot_be_installed_is_told(
    tool: str, lines: tuple[str, ...], words: str, do: str, wheels: Path, tmp_path: Path
) -> None:
    """The installer's own words, with what to do about them; nothing is left behind."""
    folder = tmp_path / "made"
    with pytest.raises(ProjectError) as caught:
        make(folder, asks_for(tmp_path, wheels, *lines), tell=lambda line: None)
    assert words in caught.value.why
    assert caught.value.do.startswith(do), caught.value
    assert (folder.exists(), is_finished(folder), installed(folder)) == (False, False, [])


def test_a_machine_without_network_is_told_so(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that does not answer is not the file's fault."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    file = tmp_path / "requirements.txt"
    file.write_text("--index-url http://127.0.0.1:9/simple\nlamp\n")
    with pytest.raises(ProjectError, match="could not be made") as caught:
        make(tmp_path / "made", file, tell=lambda line: None)
    assert caught.value.why.startswith("The package index does not answer.")
    assert "--find-links" in caught.value.do


def test_what_a_crash_left_is_made_anew(wheels: Path, tmp_path: Path) -> None:
    """A folder without the file that is written last counts for nothing."""
    folder = tmp_path / "made"
    make(folder, asks_for(tmp_path, wheels, "lamp==1.0"), tell=lambda line: None)
    (folder / "finished.json").rename(folder / "finished.json.partial")
    shutil.rmtree(virtual_environments.site_packages(folder))
    assert (is_finished(folder), installed(folder)) == (False, [])
    make(folder, tmp_path / "requirements.txt", tell=lambda line: None)
    assert (is_finished(folder), version_in(folder)) == (True, "1.0")


@pytest.mark.parametrize("change", ["torn", "interpreter gone", "interpreter replaced"])
def test_what_cannot_be_trusted_is_not_finished(change: str, tmp_path: Path) -> None:
    """A record that cannot be read, or names another interpreter than is there now, is as good as none."""
    python_of(tmp_path).parent.mkdir()
    python_of(tmp_path).symlink_to(sys.executable)
    stamp = virtual_environments._stamp(python_of(tmp_path))
    (tmp_path / "finished.json").write_text(json.dumps({"interpreter": stamp, "installed": []}))
    assert is_finished(tmp_path)
    match change:
        case "torn":
            (tmp_path / "finished.json").write_text("{")
        case "interpreter gone":
            python_of(tmp_path).unlink()
        case "interpreter replaced":
            python_of(tmp_path).unlink()
            python_of(tmp_path).symlink_to("/bin/sh")
    assert not is_finished(tmp_path)


def test_one_makes_and_the_others_wait(wheels: Path, tmp_path: Path) -> None:
    """While a process makes an environment, another one waits, and then uses it."""
    folder, waits, told = tmp_path / "made", threading.Event(), list[str]()
    file = asks_for(tmp_path, wheels, "lamp")

    def tell(line: str) -> None:
        told.append(line)
        waits.set()

    other = threading.Thread(target=make, args=(folder, file), kwargs={"tell": tell})
    with (tmp_path / "made.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other.start()
        assert waits.wait(60)
        assert told == ["waiting for another process that makes this environment"]
        assert not folder.exists()
    other.join(120)
    assert is_finished(folder)


def test_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    """Driver and worker understand each other only under one version."""
    monkeypatch.setattr("sys.version_info", (3, 99, 1))
    with pytest.raises(ProjectError, match="got Python 3") as caught:
        make(tmp_path / "made", asks_for(tmp_path, wheels), tell=lambda line: None)
    assert "which is 3.99.1" in caught.value.why
    assert not (tmp_path / "made").exists()


def test_an_interruption_leaves_nothing(wheels: Path, tmp_path: Path) -> None:
    """Ctrl-C while something is installed stops the installer and takes the folder away."""

    def interrupt(line: str) -> None:
        if not line.startswith("requirements.txt"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "made", asks_for(tmp_path, wheels, "lamp"), tell=interrupt)
    assert not (tmp_path / "made").exists()


def test_a_store_that_cannot_be_written(wheels: Path, tmp_path: Path) -> None:
    """A file where the folder should be is a trouble of the store."""
    (tmp_path / "store").touch()
    with pytest.raises(StoreError):
        make(tmp_path / "store" / "made", asks_for(tmp_path, wheels, "lamp"), tell=lambda line: None)


def test_lock_files(tool: str, wheels: Path, tmp_path: Path) -> None:
    """pylock.toml is installed by both; uv.lock by uv alone, and who has not got it is told."""
    wheel = wheels / "lamp-1.0-py3-none-any.whl"
    digest = subprocess.run(["sha256sum", wheel], capture_output=True, text=True, check=True).stdout.split()[0]
    lock = tmp_path / "pylock.toml"
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\n[[packages]]\nname = "lamp"\nversion = "1.0"\n'
        f'wheels = [{{name = "{wheel.name}", path = "{wheel}", hashes = {{sha256 = "{digest}"}}}}]\n'
    )
    make(tmp_path / "made", lock, tell=lambda line: None)
    assert version_in(tmp_path / "made") == "1.0"
    if installer() == "pip":
        with pytest.raises(ProjectError, match="uv, which is not on PATH"):
            make(tmp_path / "other", tmp_path / "uv.lock", tell=lambda line: None)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on PATH")
def test_a_lock_of_uv(wheels: Path, tmp_path: Path) -> None:
    """What uv locked for a project is installed, without the project itself."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "house"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["lamp<2"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{wheels}"]\n'
    )
    subprocess.run(["uv", "lock", "--quiet"], cwd=tmp_path, check=True)
    make(tmp_path / "made", tmp_path / "uv.lock", tell=lambda line: None)
    assert installed(tmp_path / "made") == ["lamp==1.0"]
