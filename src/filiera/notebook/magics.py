"""``%filiera``: the verbs of the command in the kernel of a notebook."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from filiera.errors import FilieraError, UsageError

_LONG = ("serve", "demo")
"""Verbs that would hold the kernel until they are stopped."""
_FINE = (0, 7)
"""Exit codes of verbs that did what was asked: 7 says what monitoring found."""
_INSTALLED = ("site-packages", "dist-packages", ".venv", "venv")

Stamp = tuple[int, int]


class Values(tuple[Any, ...]):
    """The outputs of a step."""

    __slots__ = ()


class Magic:
    """Does what stands behind ``%filiera``."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._known: dict[str, tuple[str, Stamp]] = {}

    def __call__(self, line: str) -> Any:
        """Run one verb: ``run`` returns the ``Run``, ``show`` a value or version, others print as the command does."""
        words = _words(line)
        verb, rest = (words[0], words[1:]) if words else ("", [])
        if verb in _LONG:
            raise UsageError(
                f"filiera {verb} goes on until it is stopped.", do=f"Type it in a terminal: filiera {line}"
            )
        if verb == "run" and rest and not {"-h", "--help", "--json"}.intersection(rest):
            return self._run(words)
        if verb == "show" and len(rest) == 1 and ("/" in rest[0] or "@" in rest[0]):
            return self._show(rest[0])
        from filiera.cli.main import main

        code = main(words)
        if code not in _FINE:
            raise FilieraError(f"filiera {verb} ended with exit code {code}.", why="What it said stands above.")
        return None

    def _run(self, words: list[str]) -> Any:
        from filiera.cli.progress import Progress
        from filiera.cli.run_command import values_of
        from filiera.project.launch import start_pipeline
        from filiera.project.project import Project

        options = _parsed(words)
        project = Project.open(profile=options.profile)
        pipeline = self._defined_here(options.pipeline)
        if pipeline is None:
            self._forget_changed()
            pipeline = project.pipeline(options.pipeline)
        else:  # no other process can find its steps
            project = Project(replace(project.config, profile=replace(project.config.profile, executor="inline")))
        values = values_of(project, pipeline, options)
        with Progress(project, quiet=False) as progress:
            run = start_pipeline(project, pipeline, values, fresh=frozenset(options.fresh), listener=progress)
        if run.status != "succeeded":
            self._display(run)
            run.require_success()
        return run

    def _show(self, what: str) -> Any:
        from filiera.cli.places import find_run, find_step, find_version
        from filiera.engine.rows import read_refs
        from filiera.project.project import Project

        project = Project.open()
        if "@" in what:
            return find_version(project, what)
        run, step = find_run(project, what)
        row = find_step(project, run, step)
        if self._defined_here(run["pipeline"]) is None:
            self._forget_changed()
            project.pipeline(run["pipeline"])  # a value may be of a class that the project's code has
        found = Values(project.value(ref) for ref in read_refs(row["outputs"], project.versions.inline))
        return found[0] if len(found) == 1 else found

    def _defined_here(self, name: str) -> Any:
        """Return the pipeline that a cell of the notebook defines under a name, or None."""
        from filiera.core.pipeline import Pipeline

        found = self._shell.user_ns.get(name)
        return found if isinstance(found, Pipeline) and found.function.__module__ == "__main__" else None

    def _display(self, run: Any) -> None:
        data, metadata = self._shell.display_formatter.format(run)
        self._shell.display_pub.publish(data=data, metadata=metadata)

    def note_modules(self, *_: Any) -> None:
        """Note of what age the files of the project's modules are; called after each cell, which may import some."""
        for name, file in _modules_of_project():
            if name not in self._known or self._known[name][0] != file:
                stamp = _stamp(file)
                if stamp is not None:
                    self._known[name] = file, stamp

    def _forget_changed(self) -> None:
        """Let the project's modules be imported anew when a file of one has changed since it was imported.

        All of them: each may hold what it imported from the others.
        """
        names = [name for name, _ in _modules_of_project()]
        if any(_stamp(file) != stamp for file, stamp in (self._known[name] for name in names if name in self._known)):
            for name in names:
                del sys.modules[name]
                self._known.pop(name, None)


def show_error(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> Any:
    """Show one of our errors as what it says: where it was raised in our code helps nobody."""
    lines = str(error).splitlines()
    shell._showtraceback(kind, error, lines)
    return lines


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line!r} is no command line: {error}.") from error


def _parsed(words: list[str]) -> argparse.Namespace:
    from filiera.cli.verbs import build_parser

    try:
        options, rest = build_parser().parse_known_args(words)
    except SystemExit as end:
        raise UsageError("That is not how filiera run is used.", why="What is wrong stands above.") from end
    if options.pipeline is None:
        raise UsageError("filiera run needs the name of a pipeline.", do="%filiera pipelines")
    options.rest = rest
    return options


def _modules_of_project() -> list[tuple[str, str]]:
    """Return name and file of each loaded module that lies in the project of the current folder."""
    from filiera.project.config import find_root

    try:
        root = find_root()
    except FilieraError:
        return []
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and file.startswith(f"{root}/") and not _is_installed(Path(file), root):
            found.append((name, file))
    return found


def _is_installed(file: Path, root: Path) -> bool:
    return bool(set(_INSTALLED).intersection(file.relative_to(root).parts))


def _stamp(file: str) -> Stamp | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
