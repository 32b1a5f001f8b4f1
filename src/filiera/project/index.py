"""Which pipelines a project has, found by reading its files, so that only what is asked for is imported."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from filiera.core.pipeline import Pipeline
from filiera.errors import FilieraError, ProjectError, UsageError, did_you_mean
from filiera.project.config import ProjectConfig


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a pipeline is defined."""

    name: str
    module: str
    line: int  #: of its ``def``, from 1
    summary: str  #: first line of its docstring


def pipelines(config: ProjectConfig) -> dict[str, Entry]:
    """Return the project's pipelines by name, in order of file and line. Nothing is imported.

    Raises:
        ProjectError: A package of ``flows`` is missing, a file does not parse, or two pipelines have one name.
    """
    found: dict[str, Entry] = {}
    for package in config.flows:
        for path, module in _files(config.root, package):
            for entry in _entries(path, module):
                other = found.setdefault(entry.name, entry)
                if other != entry:
                    places = f"in {other.module}, line {other.line}, and in {module}, line {entry.line}"
                    raise ProjectError(
                        f"Two pipelines are called {entry.name!r}: {places}.", do="Rename one of the functions."
                    )
    return found


def load_pipeline(config: ProjectConfig, name: str) -> Pipeline:
    """Return a pipeline of the project by name, importing its module only.

    Raises:
        UsageError: There is no such pipeline.
        ProjectError: Its module cannot be imported.
    """
    known = pipelines(config)
    if name not in known:
        raise UsageError(
            f"The project {config.name!r} has no pipeline {name!r}.",
            why=f"It has: {', '.join(known) or 'none'}.{did_you_mean(name, known)}",
            do="filiera pipelines"
            if known
            else f"Decorate a function in {' or '.join(config.flows)} with @pipeline(kind=…).",
        )
    found = getattr(import_module(config, known[name].module), name, None)
    if not isinstance(found, Pipeline):
        raise ProjectError(
            f"{known[name].module}.{name} is not a pipeline.", why="The module replaced it by another value."
        )
    return found


def import_module(config: ProjectConfig, module: str) -> ModuleType:
    """Import a module of the project, whose root is put first on the path.

    Raises:
        ProjectError: It raised; the message has the user's file and line.
    """
    root = str(config.root)
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)
    try:
        found = importlib.import_module(module)
    except FilieraError:
        raise
    except (Exception, SystemExit) as error:
        where = _place(error, config.root)
        raise ProjectError(
            f"Module {module!r} cannot be imported: {type(error).__name__}: {error}.",
            why=f"It was raised {where}." if where else "",
            do="Correct it, or install what is missing in this environment.",
        ) from error
    file = Path(found.__file__ or "").resolve()
    if not file.is_relative_to(config.root):
        raise ProjectError(
            f"Module {module!r} was loaded from {file}, which is not in {config.root}.",
            why="Another project, or an installed package, has a module of that name.",
            do="Rename one of them, or use one process per project.",
        )
    return found


def _place(error: BaseException, root: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"in {error.filename}, line {error.lineno}"
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(str(root)):
            place = f"in {file}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _files(root: Path, package: str) -> Iterator[tuple[Path, str]]:
    base = root.joinpath(*package.split("."))
    if base.with_suffix(".py").is_file():
        yield base.with_suffix(".py"), package
    elif base.is_dir():
        for path in sorted(base.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    else:
        raise ProjectError(
            f"flows names {package!r}, but {base} is neither a folder nor a module.",
            do="Make it, or correct flows in [project] of filiera.toml.",
        )


def _entries(path: Path, module: str) -> Iterator[Entry]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error
    if b"pipeline" not in text:
        return
    try:
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        raise ProjectError(f"{path}, line {error.lineno}: {error.msg}.", do="Correct the syntax.") from error
    except ValueError as error:
        raise ProjectError(f"{path} is not Python: {error}.", do="Save it again as text.") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(_is_pipeline(item) for item in node.decorator_list):
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            yield Entry(node.name, module, node.lineno, summary)


def _is_pipeline(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (isinstance(target, ast.Name) and target.id == "pipeline") or (
        isinstance(target, ast.Attribute) and target.attr == "pipeline"
    )
