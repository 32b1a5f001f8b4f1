"""A closure changes when, and only when, something changes that a step's result can depend on."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core._closure_code import constant_bytes, facts_of
from filiera.core.closure import Closure, Part, changes, closure_of, closures_of, decode, encode
from filiera.errors import ProjectError
from tests.core import closure_runner
from tests.core.closure_project import (
    FILES,
    OPAQUE_FILES,
    SEEN,
    SEEN_IN_TEXT,
    START,
    UNSEEN,
    UNSEEN_IN_TEXT,
    Mutation,
)

Files = dict[str, str]
ALL = [*SEEN, *UNSEEN, *SEEN_IN_TEXT, *UNSEEN_IN_TEXT]


def title(mutation: Mutation) -> str:
    return mutation.title


def write(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def mutated(mutation: Mutation) -> Files:
    files = OPAQUE_FILES if mutation in (*SEEN_IN_TEXT, *UNSEEN_IN_TEXT) else FILES
    assert files[mutation.file].count(mutation.old) == 1, f"{mutation.title}: its text must occur once"
    return {**files, mutation.file: files[mutation.file].replace(mutation.old, mutation.new)}


def closures_in_process(folders: list[Path], *, hash_seed: str) -> list[bytes]:
    command = [sys.executable, str(Path(closure_runner.__file__)), ":".join(START), *map(str, folders)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def closures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Closure]:
    """Closures of the project, of the one that opens files, and of every edited one, from one fresh process."""
    folder = tmp_path_factory.mktemp("edited")
    projects = {"": FILES, "opaque": OPAQUE_FILES, **{mutation.title: mutated(mutation) for mutation in ALL}}
    folders = [write(folder / str(number), files) for number, files in enumerate(projects.values())]
    lines = closures_in_process(folders, hash_seed="1")
    return {name: decode(line) for name, line in zip(projects, lines, strict=True)}


@pytest.mark.parametrize("mutation", SEEN, ids=title)
def test_what_matters_changes_the_digest_and_is_named(mutation: Mutation, closures: dict[str, Closure]) -> None:
    """An edit that can change the result changes the digest, and the difference names it and nothing else."""
    before, after = closures[""], closures[mutation.title]
    assert after.digest != before.digest
    assert changes(before, after) == list(mutation.seen_as)


@pytest.mark.parametrize("mutation", UNSEEN, ids=title)
def test_what_does_not_matter_is_not_seen(mutation: Mutation, closures: dict[str, Closure]) -> None:
    """Comments, formatting, docstrings, order and unrelated code leave the closure as it was."""
    assert changes(closures[""], closures[mutation.title]) == []
    assert closures[mutation.title].digest == closures[""].digest


@pytest.mark.parametrize("mutation", [*SEEN_IN_TEXT, *UNSEEN_IN_TEXT], ids=title)
def test_values_without_content_fall_back_to_text(mutation: Mutation, closures: dict[str, Closure]) -> None:
    """Where a value cannot be compared, the text of its module and of what this imports counts: never a wrong hit."""
    assert changes(closures["opaque"], closures[mutation.title]) == list(mutation.seen_as)


def test_closure_does_not_depend_on_place_or_seed(tmp_path: Path) -> None:
    """Another folder, a linked folder and another hash seed give the same bytes, whichever project comes first."""
    projects = [FILES, OPAQUE_FILES]
    here = [write(tmp_path / "here" / str(number), files) for number, files in enumerate(projects)]
    there = [write(tmp_path / "far" / "away" / str(number), files) for number, files in enumerate(projects)]
    (tmp_path / "link").symlink_to(there[0], target_is_directory=True)
    first = closures_in_process(here, hash_seed="2")
    second = closures_in_process([there[1], tmp_path / "link"], hash_seed="3")
    assert first == second[::-1]


def test_tables_are_large_enough() -> None:
    """Forty edits that matter, fifteen that do not."""
    assert len(SEEN) >= 40 and len(UNSEEN) >= 15
    assert len({mutation.title for mutation in ALL}) == len(ALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what gives the closure of ``start`` in a one-module project with a text, from a fresh folder each time."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    count = itertools.count()

    def closure(text: str, **others: str) -> Closure:
        files = {"traffic/__init__.py": text, **{f"traffic/{name}.py": other for name, other in others.items()}}
        folder = write(tmp_path / f"project{next(count)}", files)
        return decode(closure_runner.closure_in(str(folder), "traffic", "start"))

    yield closure


def lines(closure: Closure) -> list[str]:
    return [f"{part.kind} {part.name}" for part in closure.parts if part.kind != "python"]


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("eval('1')", "uses eval"),
        ("exec('1')", "uses exec"),
        ("globals()['X']", "uses globals"),
        ("__import__('json')", "uses __import__"),
        ("importlib.import_module('json')", "uses importlib.import_module"),
        ("os.environ['HOME']", "uses os.environ"),
        ("getenv('HOME')", "uses os.getenv"),
        ("getattr(other, 'X')", "uses getattr on a module"),
        ("(lambda: eval('1'))()", "uses eval"),
    ],
)
def test_what_cannot_be_followed_is_noted(project: Any, body: str, note: str) -> None:
    """A function that looks things up by computed names, or in the environment, is named, for people to judge."""
    text = f"import importlib, os\nfrom os import getenv\nfrom traffic import other\ndef start(): return {body}"
    assert project(text, other="X = 1").opaque == (f"traffic:start: {note}",)


def test_own_names_are_not_taken_for_builtins(project: Any) -> None:
    """A function of the project that is called ``eval`` is followed like any other."""
    closure = project("def eval(x): return x\ndef start(): return eval('1')")
    assert lines(closure) == ["function traffic:eval", "function traffic:start"]
    assert closure.opaque == ()


def test_globals_bring_in_the_whole_module(project: Any) -> None:
    """What ``globals()`` can reach is part of the closure, although no instruction names it."""
    text = "X = {}\ndef hidden(): return X\ndef start(): return globals()['hid' + 'den']()"
    assert changes(project(text.format(1)), project(text.format(2))) == ["constant traffic:X changed"]


def test_values_that_contain_themselves_end(project: Any) -> None:
    """Cycles through containers, instances and closures are written once, and told apart by what is in them."""
    text = """
class Node:
    def __init__(self, value): self.value, self.next = value, self
def make():
    def again(n): return again(n - 1) if n else {value}
    return again
LOOP = [{value}]
LOOP.append(LOOP)
NODE = Node({value})
again = make()
def start(): return LOOP, NODE, again
"""
    one, same, two = (project(text.format(value=value)) for value in (1, 1, 2))
    assert one == same
    names = ["constant traffic:LOOP", "constant traffic:NODE", "function traffic:again"]
    assert changes(one, two) == [f"{name} changed" for name in names]


def test_deep_values_end_in_the_text(project: Any) -> None:
    """A value nested deeper than anyone writes is known by its module's text: no recursion error."""
    text = "DEEP = []\nfor _ in range(5000): DEEP = [DEEP]\ndef start(): return DEEP"
    assert lines(project(text)) == ["function traffic:start", "opaque traffic:DEEP", "source traffic"]


def test_state_hidden_from_copies_counts(project: Any) -> None:
    """What a class leaves out of its copies is used all the same."""
    text = """
class Odd:
    def __init__(self, hidden): self.kept, self.hidden = 1, hidden
    def __getstate__(self): return {{"kept": self.kept}}
ODD = Odd({value})
def start(): return ODD.hidden
"""
    assert changes(project(text.format(value=1)), project(text.format(value=2))) == ["constant traffic:ODD changed"]


def test_locks_and_sentinels_have_no_content(project: Any) -> None:
    """A lock, an ``object()`` and a logger are the same in every process, and do not make the text count."""
    text = "import logging, threading\nA, B, C = threading.RLock(), object(), logging.getLogger('x')\n"
    closure = project(text + "def start():\n    with A: return B, C")
    assert lines(closure) == [
        "constant traffic:A",
        "constant traffic:B",
        "constant traffic:C",
        "function traffic:start",
    ]


def test_functions_in_a_set_have_no_order(project: Any) -> None:
    """A set of functions and classes is the same whatever their addresses."""
    text = "def f(): {body}\ndef g(): pass\nclass K: pass\nALL = {{f, g, K, (1, f), 'x'}}\ndef start(): return ALL"
    one, same, two = (project(text.format(body=body)) for body in ("return 1", "return 1", "return 2"))
    assert one == same
    assert changes(one, two) == ["function traffic:f changed"]


def test_names_of_stars_lead_to_their_origin(project: Any) -> None:
    """A constant is named where it was made, through star imports and packages that pass it on."""
    closure = project(
        "from traffic.middle import *\nfrom math import pi\ndef start(): return LIMIT, pi",
        middle="from traffic.origin import LIMIT",
        origin="LIMIT = 3",
    )
    assert lines(closure) == ["constant traffic.origin:LIMIT", "function traffic:start"]


def test_type_checking_imports_are_followed(project: Any) -> None:
    """A class that only type checkers import still runs when its methods are called on an argument."""
    text = """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from traffic import shapes
def start(shape: list[shapes.Shape]): return shape[0].area()
"""
    shapes = "class Shape:\n    def area(self): return {}"
    one, two = (project(text, shapes=shapes.format(value)) for value in (1, 2))
    assert changes(one, two) == ["function traffic.shapes:Shape.area changed"]


def test_bound_of_a_type_variable_is_followed(project: Any) -> None:
    """An argument annotated with a type variable has the methods of its bound."""
    text = """
from typing import TypeVar
class Shape:
    def area(self): return {}
S = TypeVar("S", bound=Shape)
def start(shape: S) -> S: return shape.area()
"""
    one, two = (project(text.format(value)) for value in (1, 2))
    assert changes(one, two) == ["function traffic:Shape.area changed"]


def test_lazy_attribute_of_a_module_is_followed(project: Any) -> None:
    """A module with ``__getattr__`` gives what it would give."""
    text = "from traffic import lazy\ndef start(): return lazy.f()"
    lazy = "def __getattr__(name):\n    from traffic import real\n    return getattr(real, name)"
    one, two = (project(text, lazy=lazy, real=f"def f(): return {value}") for value in (1, 2))
    assert changes(one, two) == ["function traffic.real:f changed"]


def test_module_that_fails_is_an_error_with_its_name(project: Any) -> None:
    """A module of the project that cannot be imported is named; one that is not there is not our business."""
    start = "def start():\n    from traffic import broken\n    return broken.x"
    with pytest.raises(ProjectError, match=r"traffic\.broken.*ZeroDivisionError"):
        project(start, broken="1 / 0")
    assert lines(project(start)) == ["function traffic:start"]


def test_distribution_counts_by_version(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of an installed distribution stands under its version; it is not even imported."""
    found = []
    for version in ("1.0", "1.1"):
        record = {f"far_lib-{version}.dist-info/RECORD": "far_lib/__init__.py,,\n"}
        site = write(tmp_path / version, {"far_lib/__init__.py": "raise RuntimeError('not to be imported')", **record})
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(site))
            found.append(project("def start():\n    import far_lib\n    return far_lib.work()"))
    assert changes(*found) == ["distribution far-lib 1.0 -> 1.1"]


def test_code_without_a_version_is_followed(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module on the path that nothing installed is followed like code of the project."""
    found = []
    for value in (1, 2):
        site = write(tmp_path / f"loose{value}", {"loose_lib.py": f"def work(): return {value}"})
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(site))
            found.append(project("import loose_lib\ndef start(): return loose_lib.work()"))
            del sys.modules["loose_lib"]
    assert changes(*found) == ["function loose_lib:work changed"]


def test_foreign_metaclass_makes_the_text_count(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metaclass of a library may keep things out of sight: then the module's text counts beside the methods."""
    site = {"meta_lib.py": "class Meta(type): pass", "meta_lib-1.dist-info/RECORD": "meta_lib.py,,\n"}
    monkeypatch.syspath_prepend(str(write(tmp_path / "site", site)))
    text = "import meta_lib\nclass K(metaclass=meta_lib.Meta):\n    def f(self): return {}\ndef start(): return K"
    one, two = (project(text.format(value)) for value in (1, 2))
    assert changes(one, two) == ["function traffic:K.f changed", "source traffic changed"]
    assert "distribution meta-lib 1" in lines(one)


def start_here(x: int) -> int:
    return x + STEP


STEP = 1
TABLE: dict[str, int] = {}


class Machine:
    def __init__(self, size: int) -> None:
        self.size = size

    def run(self) -> int:
        return self.size

    def __call__(self) -> int:
        return self.run() + STEP


def uses_table() -> dict[str, int]:
    return TABLE


def here(module: str) -> bool:
    return module == __name__


def names(thing: Any) -> set[str]:
    prefix = f"{__name__}:"
    return {part.name.removeprefix(prefix) for part in closure_of(thing, is_project=here).parts if prefix in part.name}


def test_starts_of_every_kind() -> None:
    """A function, a class, a lambda, a partial, a bound method, a callable instance and a step all have a closure."""
    methods = {"Machine", "Machine.__init__", "Machine.run", "Machine.__call__", "STEP"}
    assert names(start_here) == {"start_here", "STEP"}
    assert names(Machine) == methods
    assert names(lambda: start_here(1)) >= {"start_here", "STEP"}
    assert names(functools.partial(start_here, 1)) == {"start_here", "STEP"}
    assert names(Machine(3).run) >= methods
    assert names(Machine(3)) >= methods


def test_bound_arguments_are_part() -> None:
    """A partial's arguments and an instance's state count."""
    digests = [
        closure_of(thing, is_project=here).digest
        for thing in (functools.partial(start_here, 1), functools.partial(start_here, 2), Machine(1), Machine(2))
    ]
    assert len(set(digests)) == 4


def test_step_and_its_function_are_the_same() -> None:
    """What stands for a function has that function's closure; its options are not part."""

    class Step:
        def __init__(self, function: Any, retries: int) -> None:
            self.function, self.retries = function, retries

        @property
        def __filiera_function__(self) -> Any:
            return self.function

    plain = closure_of(start_here, is_project=here)
    assert closure_of(Step(start_here, 1), is_project=here) == closure_of(Step(start_here, 2), is_project=here) == plain


def test_functions_outside_the_project_differ() -> None:
    """A step may be a function of a library: known by its name and version."""
    digests = {closure_of(thing, is_project=here).digest for thing in (json.dumps, json.loads, pytest.raises, len)}
    assert len(digests) == 4


def test_nothing_mutable_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant that was changed in place between two calls gives two closures."""
    before = closure_of(uses_table, is_project=here)
    monkeypatch.setitem(TABLE, "new", 1)
    assert changes(before, closure_of(uses_table, is_project=here)) == [f"constant {__name__}:TABLE changed"]


def test_order_of_discovery_does_not_matter() -> None:
    """Several closures taken at once are those taken one by one, in any order."""
    things = [start_here, Machine, uses_table]
    alone = [closure_of(thing, is_project=here) for thing in things]
    assert closures_of(things, is_project=here) == alone
    assert closures_of(things[::-1], is_project=here) == alone[::-1]


def test_import_stays_light() -> None:
    """Loading this module loads neither package metadata nor any library."""
    code = (
        "import sys, types\n"
        "import importlib.util as u\n"
        "before = set(sys.modules)\n"
        "import filiera.core.closure\n"
        "print(*sorted({name for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"importlib.metadata", "email", "zipfile", "polars", "numpy", "sklearn"}


def test_differences_are_named() -> None:
    """Every kind of difference has its words; the project's own code comes first."""

    def part(kind: Any, name: str, digit: str = "0") -> Part:
        return Part(kind=kind, name=name, digest=digit * 64)

    old = Closure(
        parts=(
            part("constant", "a:X"),
            part("constant", "a:Y"),
            part("distribution", "polars 2.0.0"),
            part("function", "a:f"),
            part("python", "cpython 3.11.7"),
            part("source", "a"),
        )
    )
    new = Closure(
        parts=(
            part("constant", "a:X", "1"),
            part("distribution", "numpy 2.4", "1"),
            part("distribution", "polars 2.1.0", "1"),
            part("function", "a:f"),
            part("function", "a:g"),
            part("opaque", "a:Y"),
            part("python", "cpython 3.12.0", "1"),
            part("source", "a", "1"),
        )
    )
    assert changes(old, new) == [
        "constant a:X changed",
        "opaque a:Y changed",
        "function a:g added",
        "source a changed",
        "distribution numpy 2.4 added",
        "distribution polars 2.0.0 -> 2.1.0",
        "python cpython 3.11.7 -> 3.12.0",
    ]
    assert changes(new, new) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"parts": []}', b'{"parts": [[1, 2, 3]], "opaque": []}', b'{"parts": [["a"]], "opaque": []}',
     b'{"parts": [["function", "a:f", "0"]], "opaque": []}', b'{"parts": [], "opaque": [1]}', b"\xff"],
)  # fmt: skip
def test_other_bytes_are_refused(content: bytes) -> None:
    """Bytes that are not a closure give one error, of one type."""
    with pytest.raises(ValueError):
        decode(content)


parts = st.builds(
    Part,
    kind=st.sampled_from(["function", "class", "constant", "distribution"]),
    name=st.text(max_size=20),
    digest=st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}"),
)


@given(st.builds(Closure, parts=st.lists(parts, max_size=4).map(tuple), opaque=st.lists(st.text()).map(tuple)))
def test_closure_comes_back_from_its_bytes(closure: Closure) -> None:
    """Encoding keeps everything, the digest included."""
    assert decode(encode(closure)) == closure
    assert decode(encode(closure)).digest == closure.digest


constants = st.recursive(
    st.none()
    | st.booleans()
    | st.just(...)
    | st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([0.0, -0.0, 1.0, float("nan"), -float("nan"), float("inf"), 0j, 1j, -0j])
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)


def exact(value: Any) -> Any:
    """Return something that is equal for two constants exactly when no program can tell them apart."""
    if type(value) is tuple:
        return ("tuple", *map(exact, value))
    if type(value) is frozenset:
        counted = [exact(item) for item in value]
        return ("frozenset", frozenset((item, counted.count(item)) for item in counted))
    if type(value) is float:
        return ("float", struct.pack(">d", value))
    if type(value) is complex:
        return ("complex", struct.pack(">dd", value.real, value.imag))
    return (type(value).__name__, value)


def returning(value: Any) -> FunctionType:
    """Return a function whose code has *value* as a constant."""

    def start() -> Any:
        return "a constant"

    code = start.__code__
    replaced = tuple(value if constant == "a constant" else constant for constant in code.co_consts)
    return FunctionType(code.replace(co_consts=replaced), {})


@given(constants, constants)
def test_constants_are_equal_exactly_when_their_digests_are(one: Any, two: Any) -> None:
    """1, 1.0 and True, 0.0 and -0.0, "" and b"" stay apart; NaN equals itself; frozensets have no order."""
    are_equal = exact(one) == exact(two)
    assert (constant_bytes(one) == constant_bytes(two)) == are_equal
    assert (facts_of(returning(one).__code__).digest == facts_of(returning(two).__code__).digest) == are_equal


@given(constants, constants)
def test_defaults_are_equal_exactly_when_their_digests_are(one: Any, two: Any) -> None:
    """Live values are told apart as exactly as constants in code."""
    digests = []
    for value in (one, two):
        function = returning("x")
        function.__defaults__ = ([value], {"k": value})
        digests.append(closure_of(function, is_project=here).digest)
    assert (digests[0] == digests[1]) == (exact(one) == exact(two))


def test_reloaded_code_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that was edited and loaded again gives the closure of its new code."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(write(tmp_path, {"reloaded_module.py": "X = 1\ndef f(): return X"})))
    module = importlib.import_module("reloaded_module")
    before = closure_of(module.f, is_project=lambda name: name == "reloaded_module")
    write(tmp_path, {"reloaded_module.py": "X = 2\ndef f(): return X + 1"})
    module = importlib.reload(module)
    after = closure_of(module.f, is_project=lambda name: name == "reloaded_module")
    assert changes(before, after) == ["constant reloaded_module:X changed", "function reloaded_module:f changed"]
