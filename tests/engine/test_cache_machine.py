"""Whatever happens to code, options, clock and store: a step runs exactly when it has to, and no value is wrong."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from filiera.core.artifact import ArtifactRef
from filiera.engine.rows import read_refs, write_whole_refs
from filiera.project import launch
from filiera.project.launch import Launch
from tests.projects import SmallProject

CODE = """
from pathlib import Path

from filiera import Cache, pipeline, step

HERE = Path(__file__).parent
CONSTANT = {constant}{comment}


def note(word):
    with (HERE / "calls").open("a") as file:
        file.write(word + "\\n")


def helper(x):
    {docstring}return x * {factor}


def parity_of(x):
    return str(x % 2)


@step(cache={first})
def first(x: int, verbose: bool) -> int:
    note("first")
    return helper(x) + CONSTANT


@step(cache={large})
def large(x: int) -> bytes:
    note("large")
    return bytes([x + CONSTANT]) * 6000


@step(cache={parity})
def parity(x: int) -> int:
    note("parity")
    return x % 2


@step(dynamic={is_dynamic})
def either(x: int) -> int:
    note("either")
    return first(x, False)


@step
def last(a: int, content: bytes, b: int, c: int) -> int:
    note("last")
    return a + content[0] + b + 10 * c


@pipeline(kind="data")
def flow(x: int = 1, verbose: bool = False):
    return last(first(x, verbose), large(x), parity(x), either(x))
"""
MODES = {
    "always": "True",
    "never": "False",
    "young": "Cache(max_age_s=100)",
    "ignoring": 'Cache(ignore=("verbose",))',
    "own": "Cache(key=parity_of)",
}
OF_STEP = {
    "first": ("always", "never", "young", "ignoring"),
    "large": ("always", "never", "young"),
    "parity": ("always", "never", "own"),
}
STEPS = ("first", "large", "parity", "either", "last")
xs = st.integers(0, 2)


@dataclass
class Entry:
    """A result in the cache."""

    stored_at: float
    content: int = -1  #: of ``large``: the byte that it consists of
    is_garbled: bool = False  #: the bytes kept with it are not those of its digest


class Cached(RuleBasedStateMachine):
    """A project whose code, options and store change between its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.text = {"constant": "1", "comment": "", "docstring": "", "factor": "2", "is_dynamic": "False"}
        self.modes = dict.fromkeys(OF_STEP, "always")
        self.project = SmallProject(self.folder, {"flows/__init__.py": ""})
        self.now = 1e9
        self.entries: dict[tuple[Any, ...], Entry] = {}
        self.blobs: dict[int, str] = {}  #: by the byte they consist of: "sound", "damaged" or "gone"
        self.expected: Counter[str] = Counter()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize()
    def write(self) -> None:
        """Write the code as it is now."""
        modes = {step: MODES[mode] for step, mode in self.modes.items()}
        self.project.write({"flows/flow.py": CODE.format(**self.text, **modes)})

    @rule(x=xs, verbose=st.booleans())
    def run(self, x: int, verbose: bool) -> None:
        """Run, and run once more: the second time, nothing has changed."""
        self._run([(x, verbose)])
        self._run([(x, verbose)])

    @rule(x=xs, fresh=st.sets(st.sampled_from(STEPS), min_size=1, max_size=2))
    def run_afresh(self, x: int, fresh: set[str]) -> None:
        """Run with steps that must run although they are in the cache."""
        self._run([(x, False)], frozenset(fresh))

    @rule(one=st.tuples(xs, st.booleans()), other=st.tuples(xs, st.booleans()))
    def run_two(self, one: tuple[int, bool], other: tuple[int, bool]) -> None:
        """Have two runs share a driver."""
        self._run([one, other])

    @rule(constant=st.sampled_from("012"), factor=st.sampled_from("12"))
    def change_code(self, constant: str, factor: str) -> None:
        """Change what counts."""
        self.text |= {"constant": constant, "factor": factor}
        self.write()

    @rule(comment=st.sampled_from(["", "  # a comment"]), docstring=st.sampled_from(["", '"""Help."""\n\n    ']))
    def change_looks(self, comment: str, docstring: str) -> None:
        """Change what does not count."""
        self.text |= {"comment": comment, "docstring": docstring}
        self.write()

    @rule(is_dynamic=st.booleans())
    def change_kind(self, is_dynamic: bool) -> None:
        """Have the same function return a value, or a graph."""
        self.text["is_dynamic"] = str(is_dynamic)
        self.write()

    @rule(data=st.data(), step=st.sampled_from(sorted(OF_STEP)))
    def change_options(self, data: st.DataObject, step: str) -> None:
        """Change when results of a step may be used."""
        self.modes[step] = data.draw(st.sampled_from(OF_STEP[step]))
        self.write()

    @rule(seconds=st.sampled_from([60.0, 150.0, -60.0]))
    def set_clock(self, seconds: float) -> None:
        """Let time pass, or set the clock back."""
        self.now += seconds

    @rule(content=st.integers(0, 4), fate=st.sampled_from(["damaged", "gone"]))
    def harm(self, content: int, fate: str) -> None:
        """Damage or remove a blob."""
        file = self._blob_of(content)
        if file is None:
            return
        file.chmod(0o600)
        if fate == "gone":
            file.unlink()
        else:
            file.write_bytes(b"?" + file.read_bytes()[1:])
        self.blobs[content] = fate

    @rule()
    def garble(self) -> None:
        """Change the bytes of all results of a step in the cache."""
        if not self.entries:
            return
        with closing(sqlite3.connect(self.folder / ".filiera/records.sqlite", isolation_level=None)) as database:
            rows = database.execute("SELECT key, outputs FROM cache_entry WHERE step LIKE '%first'").fetchall()
            for key, text in rows:
                wrong = write_whole_refs(map(_with_other_bytes, read_refs(text)))
                database.execute("UPDATE cache_entry SET outputs = ? WHERE key = ?", (wrong, key))
        for key, entry in self.entries.items():
            entry.is_garbled |= key[0] == "first"

    def _blob_of(self, content: int) -> Path | None:
        for file in self.folder.glob(".filiera/blobs/??/*"):
            if file.read_bytes()[1:] == bytes([content]) * 5999:
                return file
        return None

    def _run(self, launches: list[tuple[int, bool]], fresh: frozenset[str] = frozenset()) -> None:
        calls = self.folder / "flows/calls"
        calls.unlink(missing_ok=True)
        self.expected = Counter()
        wanted = [self._flow(x, verbose, fresh) for x, verbose in launches]
        with self.project.opened() as project:
            project.clock = lambda: self.now
            pipeline = project.pipeline("flow")
            plans = [Launch(pipeline=pipeline, values={"x": x, "verbose": v}, fresh=fresh) for x, v in launches]
            runs = launch.start_many(project, plans)
            assert [run.status for run in runs] == ["succeeded"] * len(runs), [run.state.message for run in runs]
            assert [run.value("last") for run in runs] == wanted
        assert Counter(calls.read_text().split() if calls.exists() else ()) == self.expected

    def _flow(self, x: int, verbose: bool, fresh: frozenset[str]) -> int:
        """Return what a run comes to, and note which steps it has to execute."""
        constant, factor = int(self.text["constant"]), int(self.text["factor"])
        content = x + constant
        value = x * factor + constant
        is_dynamic = self.text["is_dynamic"] == "True"
        is_either_new = self._call("either", (is_dynamic, constant, factor, x), is_fresh="either" in fresh)
        if is_dynamic and not is_either_new:  # known at once, so that its step is looked up before any has run
            self._first(x, False, is_fresh="either" in fresh)
        self._first(x, verbose, is_fresh="first" in fresh)
        if is_dynamic and is_either_new:
            self._first(x, False, is_fresh="either" in fresh)
        if is_either_new and not is_dynamic:
            self.expected["first"] += 1  # as a plain function
        is_large_new = self._call("large", (constant, x), is_fresh="large" in fresh, content=content)
        own = self.modes["parity"] == "own"
        self._call("parity", ("own", x % 2) if own else (x,), is_fresh="parity" in fresh)
        is_last_new = self._call("last", (value, content, x % 2), is_fresh="last" in fresh)
        if is_last_new and not is_large_new and self.blobs[content] == "damaged":
            self._heal(("large", constant, x), content)
        return value + content + x % 2 + 10 * value

    def _first(self, x: int, verbose: bool, *, is_fresh: bool) -> None:
        counted = ("ignoring", x) if self.modes["first"] == "ignoring" else (x, verbose)
        self._call("first", (self.text["constant"], self.text["factor"], *counted), is_fresh=is_fresh)

    def _call(self, step: str, counted: tuple[Any, ...], *, is_fresh: bool, content: int = -1) -> bool:
        """Tell whether a step has to be executed; afterwards its result is known, if it is cached."""
        mode = self.modes.get(step, "always")
        key = (step, *counted)
        if not is_fresh and mode != "never" and self._is_usable(self.entries.get(key), mode):
            return False
        self.expected[step] += 1
        if mode != "never":
            self.entries[key] = Entry(self.now, content)
        if content >= 0:
            self.blobs[content] = "sound"
        return True

    def _is_usable(self, entry: Entry | None, mode: str) -> bool:
        if entry is None or entry.is_garbled or (mode == "young" and self.now - entry.stored_at > 100):
            return False
        return entry.content < 0 or self.blobs[entry.content] != "gone"

    def _heal(self, key: tuple[Any, ...], content: int) -> None:
        """Note that a damaged blob was met: results with it are forgotten, and the one that is needed is made again."""
        self.entries = {other: entry for other, entry in self.entries.items() if entry.content != content}
        self.entries[key] = Entry(self.now, content)
        self.blobs[content] = "sound"
        self.expected["large"] += 1


def _with_other_bytes(ref: ArtifactRef) -> ArtifactRef:
    return ArtifactRef(digest=ref.digest, codec=ref.codec, size_bytes=ref.size_bytes, inline=b"99")


TestCached = Cached.TestCase
TestCached.settings = settings(max_examples=max(15, settings().max_examples // 10), stateful_step_count=15)


def test_a_step_becomes_dynamic_and_plain_again() -> None:
    """The graph that a function makes is not taken for what it returns, nor the other way round."""
    machine = Cached()
    try:
        for is_dynamic in (False, True, False, True):
            machine.change_kind(is_dynamic)
            machine.run(1, False)
    finally:
        machine.teardown()
