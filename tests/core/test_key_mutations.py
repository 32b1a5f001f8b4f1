"""Generated programs and edits: the digest of code changes whenever a result does, and never for looks."""

from __future__ import annotations

import ast
import importlib
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from filiera.core.closure import Closure, changes, closure_of
from tests.core.key_programs import ADDED, LOOKS, Program, changed, edits, programs, whole_program

INPUTS = (-3, -1, 0, 1, 2, 3, 5)
SAMPLE = 40


@dataclass
class Seen:
    """A program that was loaded: what its code is, and what it returns."""

    closure: Closure
    results: list[str]


def outcome(function: Callable[[int], Any], x: int) -> str:
    """Return what a call returns, type and all, or what it raises."""
    try:
        return repr(function(x))
    except (ArithmeticError, AttributeError, LookupError, NameError, RecursionError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


class Loader:
    """Loads programs, each fresh in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = itertools.count()

    def see(self, program: Program) -> Seen:
        folder = self._folder / str(next(self._count))
        package = folder / "traffic"
        package.mkdir(parents=True)
        (folder / "filiera.toml").touch()
        for name, text in program.items():
            (package / f"{name}.py").write_text(text)
        sys.path.insert(0, str(folder))
        try:
            start = importlib.import_module("traffic").start
            closure = closure_of(start, is_project=lambda module: module.partition(".")[0] == "traffic")
            return Seen(closure, [outcome(start, x) for x in INPUTS])
        finally:
            sys.path.remove(str(folder))
            for name in [name for name in sys.modules if name.partition(".")[0] == "traffic"]:
                del sys.modules[name]


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    former, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield Loader(tmp_path_factory.mktemp("programs"))
    sys.dont_write_bytecode = former


def see_edited(loader: Loader, program: Program) -> Seen:
    """Return what an edited program is; one that cannot be imported any more says nothing about results."""
    try:
        return loader.see(program)
    except Exception:
        assume(False)
        raise


@settings(max_examples=settings().max_examples // 2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_other_results_have_other_keys(loader: Loader, data: st.DataObject) -> None:
    """Whatever is edited, wherever: if an input gives another result, the digest differs, and words say how."""
    program = data.draw(programs())
    edited = data.draw(changed(program))
    before, after = loader.see(program), see_edited(loader, edited)
    if before.results != after.results:
        assert before.closure.digest != after.closure.digest
        assert changes(before.closure, after.closure) != []


@settings(max_examples=settings().max_examples // 3, suppress_health_check=list(HealthCheck))
@given(data=st.data(), looks=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=3, unique=True))
def test_looks_keep_the_key(loader: Loader, data: st.DataObject, looks: list[Callable[[str], str]]) -> None:
    """Comments, layout, docstrings, annotations, order, and what is not used do not change the digest."""
    program = data.draw(programs())
    edited = dict(program)
    for look in looks:
        edited = {name: look(text) for name, text in edited.items()}
    before, after = loader.see(program), loader.see(edited)
    assert before.results == after.results
    assert changes(before.closure, after.closure) == []
    assert before.closure.digest == after.closure.digest


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_each_program_uses_what_it_should(loader: Loader, program: Program) -> None:
    """Programs are loaded and give results: else nothing would be shown. Each can be edited in hundreds of ways."""
    seen = loader.see(program)
    assert not all(result.startswith(("TypeError", "NameError", "AttributeError")) for result in seen.results)
    assert sum(len(edits(ast.parse(text))) for text in program.values()) > 200


def check_edits(loader: Loader, module: str, numbers: Sequence[int]) -> int:
    """Make single edits of a program that uses everything; return how many of them were felt by some input."""
    program = whole_program()
    before = loader.see(program)
    felt = 0
    for number in numbers:
        tree = ast.parse(program[module])
        edits(tree)[number]()
        text = ast.unparse(ast.fix_missing_locations(tree))
        try:
            after = loader.see({**program, module: text})
        except Exception:  # noqa: BLE001  it cannot be imported any more
            continue
        if after.results != before.results:
            felt += 1
            assert after.closure.digest != before.closure.digest, text
    return felt


def count_edits(module: str) -> int:
    return len(edits(ast.parse(whole_program()[module])))


@pytest.mark.parametrize("module", ["__init__", "helpers", "base", "lazy"])
def test_an_edit_that_is_felt_is_seen(loader: Loader, module: str) -> None:
    """A sample of all single edits: one that changes a result changes the digest. The seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    count = count_edits(module)
    numbers = random.Random(seed).sample(range(count), min(count, SAMPLE))
    assert check_edits(loader, module, numbers) > 0


@pytest.mark.campaign
@pytest.mark.parametrize("module", ["__init__", "helpers", "base", "lazy"])
def test_each_edit_that_is_felt_is_seen(loader: Loader, module: str) -> None:
    """Every single edit."""
    count = count_edits(module)
    felt = check_edits(loader, module, range(count))
    print(f"{felt} of {count} edits of {module} are felt, and seen")
    assert felt > count / 4


@pytest.mark.parametrize("added", ADDED)
def test_what_a_module_does_at_its_end_is_seen(loader: Loader, added: str) -> None:
    """Names bound anew and objects changed in place when modules are imported change results, and the digest."""
    program = whole_program()
    before = loader.see(program)
    after = loader.see({**program, "helpers": program["helpers"] + "\n" + added})
    assert after.results != before.results
    assert after.closure.digest != before.closure.digest
