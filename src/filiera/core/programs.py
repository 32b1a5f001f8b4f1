"""Runs the program of a command in a folder of its own, here or in a container."""

from __future__ import annotations

import fcntl
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import IO, Any

from filiera.core.commands import Command
from filiera.errors import StepFailed

ENGINE_VARIABLE = "FILIERA_CONTAINER_ENGINE"
_ENGINES = ("podman", "docker")
_PREFIX = "filiera-command-"
_INSIDE = "/work"
_TOLD_LINES = 20
_LONGEST_LINE_BYTES = 1 << 16
_GUARD = 'read line || { "$0" kill "$1"; "$0" rm --force "$1"; } >/dev/null 2>&1'
"""Removes a container when the process that holds its standard input is gone: killing the client would leave it."""
_ids: dict[str, str] = {}


class _Folder:
    """A temporary folder that lives as long as this object, and is locked so long."""

    def __init__(self) -> None:
        _remove_abandoned()
        unlocked = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}"))
        lock = _locked(unlocked)
        self.path = unlocked.rename(unlocked.with_name(unlocked.name.removeprefix("new-")))
        weakref.finalize(self, _remove, self.path, lock)


def _locked(folder: Path) -> int:
    """Return a descriptor that holds the lock of *folder* while the process lives. Raises OSError if another has it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


@functools.cache
def _remove_abandoned() -> None:
    """Remove, once in a process, the folders of processes that were killed, as workers are when time is out."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if folder.lstat().st_uid == os.getuid():
                _remove(folder, _locked(folder))
        except OSError:  # it is in use, or was just removed
            continue


class _MadePath(PosixPath):
    """The path of an output. The folder it lies in lives as long as this object."""

    folder: _Folder


def run(command: Command, inputs: Mapping[str, Any]) -> Any:
    """Return the paths of the outputs, one or a tuple, or what the program printed. Raises StepFailed."""
    folder = _Folder()
    values = {name: list(_words(value, folder.path, f"inputs/{name}")) for name, value in inputs.items()}
    arguments = command.arguments(values)
    print("$", arguments[-1] if command.script else shlex.join(arguments), flush=True)
    for path in command.outputs:
        (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
    with _placed(command, arguments, folder.path) as (line, environment):
        printed = _run(arguments[0], line, environment, folder.path, is_wanted=not command.outputs)
    if not command.outputs:
        return printed
    found = [_output(folder, path, arguments[0]) for path in command.outputs]
    return found[0] if len(found) == 1 else tuple(found)


def try_image_id(image: str) -> str:
    """Return what names an image's content, looked up once in a process; "" when no engine or no such image is here."""
    if image not in _ids:
        engine = _try_engine()
        if engine is None:
            return ""
        asked = [engine, "image", "inspect", "--format", "{{.Id}}", image]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            return ""
        _ids[image] = done.stdout.strip()
    return _ids[image]


def _words(value: Any, folder: Path, place: str) -> Iterator[str]:
    """Yield what *value* is in a command; files are put into the folder at *place*."""
    if isinstance(value, Path):
        target = folder / place / value.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if value.is_dir():
            shutil.copytree(value, target, copy_function=_link)
        else:
            _link(value, target)
        yield f"{place}/{value.name}"
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _words(item, folder, f"{place}/{number}")
    elif isinstance(value, str | int | float):
        yield str(value)
    else:
        raise StepFailed(
            f"A command is given a {type(value).__name__}.",
            why="It takes files, text, numbers and lists of them.",
            do="Write the value to a file in a step of its own, and return its Path.",
        )


def _link(source: Any, target: Any) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def _placed(command: Command, arguments: list[str], folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the command line and its environment, for here or for a container."""
    if not command.image:
        yield arguments, {**os.environ, **command.environment}
        return
    engine = _try_engine()
    if engine is None:
        raise StepFailed(
            f"Image {command.image!r} cannot be run.",
            why=f"There is neither {' nor '.join(_ENGINES)} on the PATH.",
            do=f"Install one, or name one by the variable {ENGINE_VARIABLE}.",
        )
    name = f"filiera-{uuid.uuid4().hex}"
    options = ["--rm", "--name", name, "--network", "none", "--workdir", _INSIDE, "--volume", f"{folder}:{_INSIDE}"]
    options += ["--user", f"{os.getuid()}:{os.getgid()}", "--entrypoint", arguments[0]]
    if os.getuid() != 0 and Path(engine).name.startswith("podman"):
        options.append("--userns=keep-id")
    for variable, value in {"HOME": "/tmp", **command.environment}.items():  # noqa: S108  inside, where users have none
        options += ["--env", f"{variable}={value}"]
    guard = subprocess.Popen(["/bin/sh", "-c", _GUARD, engine, name], stdin=subprocess.PIPE, start_new_session=True)
    word = b""
    try:
        yield [engine, "run", *options, command.image_id or command.image, *arguments[1:]], dict(os.environ)
        word = b"\n"
    finally:
        guard.communicate(word)


def _try_engine() -> str | None:
    named = os.environ.get(ENGINE_VARIABLE)
    return named or next((found for engine in _ENGINES if (found := shutil.which(engine))), None)


def _run(program: str, line: list[str], environment: dict[str, str], folder: Path, *, is_wanted: bool) -> str:
    """Return what the program printed if that *is_wanted*; all else that it prints is copied to our own streams."""
    with tempfile.TemporaryFile() as kept:
        try:
            process = subprocess.Popen(
                line,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=kept if is_wanted else subprocess.PIPE,
                stderr=subprocess.PIPE if is_wanted else subprocess.STDOUT,
            )
        except OSError as error:
            raise StepFailed(
                f"The program {line[0]!r} cannot be started: {error.strerror}.",
                do="Install it where the steps run, or name an image that has it: image='…'.",
            ) from error
        stream = process.stderr if is_wanted else process.stdout
        assert stream is not None
        with process:
            try:
                told = _copied(stream, sys.stderr if is_wanted else sys.stdout)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise _failed(program, process.returncode, told)
        kept.seek(0)
        try:
            return kept.read().decode()
        except UnicodeDecodeError as error:
            raise StepFailed(
                f"What {program!r} printed is not text: {error}.", do="Let it write a file, and name that as output."
            ) from error


def _copied(stream: IO[bytes], target: Any) -> list[str]:
    """Return the last lines of a stream that is copied to another."""
    last: deque[str] = deque(maxlen=_TOLD_LINES)
    while line := stream.readline(_LONGEST_LINE_BYTES):
        text = line.decode(errors="replace")
        target.write(text)
        last.append(text.rstrip())
    target.flush()
    return list(last)


def _failed(program: str, code: int, told: list[str]) -> StepFailed:
    how = f"ended with exit code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
    return StepFailed(f"The program {program!r} {how}.", why="\n".join(told) or "It printed no reason.")


def _output(folder: _Folder, path: str, program: str) -> Path:
    found = _MadePath(folder.path / path)
    found.folder = folder
    if not found.exists():
        others = sorted(str(file.relative_to(folder.path)) for file in folder.path.rglob("*") if file.is_file())
        made = ", ".join([other for other in others if not other.startswith("inputs/")][:_TOLD_LINES])
        raise StepFailed(
            f"The program {program!r} made no {path!r}.",
            why=f"Its exit code was 0. It made {made or 'nothing'}.",
            do="Correct the path of the output, or the command.",
        )
    if not found.resolve().is_relative_to(folder.path.resolve()):
        raise StepFailed(f"The output {path!r} of {program!r} is a link that leads out of its folder.")
    return found
