"""Which pipelines and services a project has, found by reading its files, so that only what is asked for is imported.

What was found is kept in an index. A file is read again when its size or a time of it is not the one noted there, and
parsed again when its content is not.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, UsageError, did_you_mean
from filiera.project import index_file
from filiera.project.config import ProjectConfig
from filiera.project.index_file import Found, Index

if TYPE_CHECKING:
    from filiera.core.pipeline import Pipeline

_WORTH_KEEPING_BYTES = 16_384
"""Parsing so much takes about as long as keeping an index, 5 ms: small projects never have one."""
_RACY_NS = 2_000_000_000
"""A file just written may be written again without a new time, on a disk whose clock ticks as slowly as this."""
_SHOWN = 20
_PIPELINE, _SERVICE, _GRAPH = "pipeline", "service ", "graph "
_WORDS = (b"pipeline", b"service", b"graph")
"""A file without them has nothing to be found."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a pipeline or a service is defined."""

    name: str
    module: str
    line: int  #: of its ``def``, from 1
    summary: str  #: first line of its docstring


def pipelines(config: ProjectConfig) -> dict[str, Entry]:
    """Return the project's pipelines by name, in order of file and line. Nothing is imported.

    Raises:
        ProjectError: A package of ``flows`` is missing, a file does not parse, or two pipelines have one name.
    """
    found, problem = _index(config)
    if problem is not None:
        raise problem.error
    return {
        name: Entry(name, _module(path), line, summary)
        for name, (path, line, summary, kind) in found.items()
        if _is_pipeline(kind)
    }


def find_service(config: ProjectConfig, name: str) -> str:
    """Return the address ``module:name`` of the graph or function that is served as *name*, "" if nothing is.

    Raises:
        ProjectError: Two have that name; or it was not found, and a file does not parse.
    """
    known, problem = _index(config)
    if problem is not None and (name in problem.names or name not in known):
        raise problem.error
    path, _, _, kind = known.get(name, ("", 0, "", _PIPELINE))
    return "" if kind == _PIPELINE else f"{_module(path)}:{kind.partition(' ')[2]}"


def load_pipeline(config: ProjectConfig, name: str) -> Pipeline:
    """Return a pipeline of the project by name, importing its module only, whatever is wrong with other files.

    Raises:
        UsageError: There is no such pipeline.
        ProjectError: Its module cannot be imported; two have that name; or it was not found, and a file does not parse.
    """
    from filiera.core.pipeline import Pipeline

    places, problem = _index(config)
    known = {each: place for each, place in places.items() if _is_pipeline(place[3])}
    if problem is not None and name in problem.names:
        raise problem.error
    if name not in known:
        raise problem.error if problem is not None else _unknown(config, name, list(known))
    module, kind = _module(known[name][0]), known[name][3]
    found = getattr(import_module(config, module), name if kind == _PIPELINE else kind.removeprefix(_GRAPH), None)
    if kind != _PIPELINE:
        from filiera.core.graphs import ServingGraph
        from filiera.project.assemble_service import pipeline_of_graph

        found = pipeline_of_graph(found) if isinstance(found, ServingGraph) else found
    if not isinstance(found, Pipeline):
        raise ProjectError(f"{module}.{name} is not a pipeline.", why="The module replaced it by another value.")
    return found


def _unknown(config: ProjectConfig, name: str, known: list[str]) -> UsageError:
    more = f" and {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return UsageError(
        f"The project {config.name!r} has no pipeline {name!r}.",
        why=f"It has: {', '.join(known[:_SHOWN]) or 'none'}{more}.{did_you_mean(name, known)}",
        do="filiera pipelines"
        if known
        else f"Decorate a function in {' or '.join(config.flows)} with @pipeline(kind=…).",
    )


def import_module(config: ProjectConfig, module: str) -> ModuleType:
    """Import a module of the project. Raises as ``import_below`` does."""
    return import_below(config.root, module)


def import_below(root: Path, module: str) -> ModuleType:
    """Import a module from below the folder *root*, which is put first on the path.

    Raises:
        ProjectError: It raised; the message has the user's file and line.
    """
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    try:
        found = importlib.import_module(module)
    except FilieraError:
        raise
    except (Exception, SystemExit) as error:
        where = _place(error, root)
        raise ProjectError(
            f"Module {module!r} cannot be imported: {type(error).__name__}: {error}.",
            why=f"It was raised {where}." if where else "",
            do="Correct it, or install what is missing in this environment.",
        ) from error
    file = Path(found.__file__ or "").resolve()
    if not file.is_relative_to(root):
        raise ProjectError(
            f"Module {module!r} was loaded from {file}, which is not in {root}.",
            why="Another project, or an installed package, has a module of that name.",
            do="Rename one of them, or use one process per project.",
        )
    return found


def forget_modules(folder: Path) -> None:
    """Let modules that were imported from below *folder* be imported anew, from wherever they are then."""
    inside = str(folder) + os.sep
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(inside):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not path.startswith(inside)]
    importlib.invalidate_caches()


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


def _index(config: ProjectConfig) -> tuple[dict[str, Found], _Problem | None]:
    """Return what is found by name as the files are now, and the first thing that is wrong with a file."""
    now_ns = time.time_ns()
    files = list(dict.fromkeys(line for package in config.flows for line in _files(config.root, package)))
    kept = index_file.try_read(config)
    if kept is not None and kept.files == files:
        return kept.found, None
    reading = _Reading(config.root, kept or Index([], [], {}))
    for line in files:
        reading.add(line)
    if reading.problem is None and (kept is not None or reading.size_bytes > _WORTH_KEEPING_BYTES):
        lines = [_untrusted(line) if _changed_ns(line) > now_ns - _RACY_NS else line for line in files]
        index_file.write(config, Index(lines, reading.digests, reading.named))
    return reading.named, reading.problem


class _Problem:
    """The first thing that is wrong with the files, and the names that more than one pipeline has."""

    def __init__(self, error: ProjectError) -> None:
        self.error = error
        self.names: set[str] = set()


class _Reading:
    """Puts an index together from an older one and the files that are not as they were then."""

    def __init__(self, root: Path, older: Index) -> None:
        self.named: dict[str, Found] = {}
        self.digests: list[str] = []
        self.size_bytes = 0  #: how much was read
        self.problem: _Problem | None = None
        self._root = root
        self._known = dict(zip(older.files, older.digests, strict=True))
        self._known_by_path = {_path(line): digest for line, digest in self._known.items()}
        self._older: dict[str, list[tuple[str, Found]]] = {}
        for name, found in older.found.items():
            self._older.setdefault(found[0], []).append((name, found))

    def add(self, line: str) -> None:
        """Add a file, read only if need be."""
        try:
            found = self._found(line)
        except ProjectError as error:
            self.problem = self.problem or _Problem(error)
            return
        for name, place in found:
            if name in self.named:
                self.problem = self.problem or _Problem(_twice(name, self.named[name], place))
                self.problem.names.add(name)
            self.named.setdefault(name, place)

    def _found(self, line: str) -> list[tuple[str, Found]]:
        path, digest = _path(line), self._known.get(line)
        if digest is None:
            from filiera.core.digest import blob_digest

            text = _content(self._root / path)
            self.size_bytes += len(text)
            digest = blob_digest(text)
            if digest != self._known_by_path.get(path):
                self._older[path] = list(_parsed(text, self._root, path))
        self.digests.append(digest)
        return self._older.get(path, [])


def _twice(name: str, one: Found, other: Found) -> ProjectError:
    places = " and ".join(f"in {_module(path)}, line {line}" for path, line, _, _ in (one, other))
    kinds = {each[3].partition(" ")[0] for each in (one, other)}
    what = f"Two {kinds.pop()}s" if len(kinds) == 1 else "A pipeline and a service"
    return ProjectError(f"{what} are called {name!r}: {places}.", do="Rename one of the functions.")


def _files(root: Path, package: str) -> Iterator[str]:
    """Yield "SIZE MTIME CTIME PATH" of each file of a package, in order; times in ns, the path relative to *root*.

    The time of the last change of anything cannot be set, so that a file replaced by one as large and as old shows.
    """
    base = root.joinpath(*package.split("."))
    relative = "/".join(package.split("."))
    if base.with_suffix(".py").is_file():
        yield _line(base.with_suffix(".py").stat(), f"{relative}.py")
    elif base.is_dir():
        yield from _files_below(str(base), relative)
    else:
        raise ProjectError(
            f"flows names {package!r}, but {base} is neither a folder nor a module.",
            do="Make it, or correct flows in [project] of filiera.toml.",
        )


def _files_below(folder: str, relative: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ProjectError(f"{folder} cannot be read: {error.strerror}.") from error
    for entry in ordered:
        name = entry.name
        if name.startswith((".", "__pycache__")):  # no module: an editor's copy or lock, or another tool's
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path, f"{relative}/{name}")
        elif name.endswith(".py"):
            try:
                yield _line(entry.stat(), f"{relative}/{name}")
            except FileNotFoundError:  # removed since the folder was read
                continue


def _line(stat: os.stat_result, path: str) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {path}"


def _path(line: str) -> str:
    return line.split(" ", 3)[3]


def _changed_ns(line: str) -> int:
    return int(line.split(" ", 3)[2])


def _untrusted(line: str) -> str:
    return f"- - - {_path(line)}"


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}.") from error


def _parsed(text: bytes, root: Path, path: str) -> Iterator[tuple[str, Found]]:
    if not any(word in text for word in _WORDS):
        return
    file = root / path
    try:
        tree = ast.parse(text, str(file))
    except SyntaxError as error:
        raise ProjectError(f"{file}, line {error.lineno}: {error.msg}.", do="Correct the syntax.") from error
    except ValueError as error:
        raise ProjectError(f"{file} is not Python: {error}.", do="Save it again as text.") from error
    for node, following in itertools.zip_longest(tree.body, tree.body[1:]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _decorated(node, path)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _names(node.value, "graph"):
            yield from _graph(node, path, _text(following).partition("\n")[0])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _names(node.value, "pipeline_of"):
            yield _assigned(node, file), (path, node.lineno, _text(following).partition("\n")[0], _PIPELINE)


def _decorated(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, path: str) -> Iterator[tuple[str, Found]]:
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    for item in node.decorator_list:
        if _names(item, "pipeline") and isinstance(node, ast.FunctionDef):
            yield node.name, (path, node.lineno, summary, _PIPELINE)
        elif _names(item, "service"):
            given = [word.value for word in item.keywords if word.arg == "name"] if isinstance(item, ast.Call) else []
            names = [word.value for word in given if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            yield (names[0] if names else node.name), (path, node.lineno, summary, f"{_SERVICE}{node.name}")


def _graph(node: ast.Assign | ast.AnnAssign, path: str, summary: str) -> Iterator[tuple[str, Found]]:
    """Yield a serving graph by the name that it is given, which is that of its address."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    given = node.value.args if isinstance(node.value, ast.Call) else []
    if len(targets) == 1 and isinstance(targets[0], ast.Name) and given and isinstance(given[0], ast.Constant):
        yield str(given[0].value), (path, node.lineno, summary, f"{_GRAPH}{targets[0].id}")


def _is_pipeline(kind: str) -> bool:
    """Tell whether it can be run: a serving graph can, which publishes a service."""
    return kind == _PIPELINE or kind.startswith(_GRAPH)


def _names(expression: ast.expr | None, function: str) -> bool:
    """Tell whether *expression* is that function of ours, or a call of it."""
    target = expression.func if isinstance(expression, ast.Call) else expression
    return (isinstance(target, ast.Name) and target.id == function) or (
        isinstance(target, ast.Attribute) and target.attr == function
    )


def _assigned(node: ast.Assign | ast.AnnAssign, file: Path) -> str:
    """Return the name of the pipeline that a variable is. Raises ProjectError when the variable has another one."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    variable = targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""
    arguments = node.value.args if isinstance(node.value, ast.Call) else []
    name = arguments[0].value if arguments and isinstance(arguments[0], ast.Constant) else None
    if not variable or variable != name:
        raise ProjectError(
            f"{file}, line {node.lineno}: pipeline_of makes {name!r}, the variable is {variable!r}.",
            why="A pipeline is found by the name of its variable.",
            do=f"{variable or 'flows'} = pipeline_of({variable or 'flows'!r}, …)",
        )
    return variable


def _text(node: ast.stmt | None) -> str:
    """Return the text that stands below a variable to describe it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value.strip()
    return ""
