"""Verbs of experiments and the user's own git commands in any order lose nothing that somebody wrote."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from filiera.errors import FilieraError
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.dropping import drop, restore
from filiera.experiments.mending import examine
from filiera.experiments.starting import Beginning, Dirty, start
from filiera.experiments.syncing import sync
from tests.experiments.keeping import blob, check_kept, check_records, files_in, kept
from tests.experiments.lab import LightLab, state_of

NAMES = st.sampled_from(["deeper", "wider"])
FILES = st.sampled_from(["notes.md", "idea.md", "flows/more.py"])
WHERE = st.sampled_from(["main", "deeper", "wider"])


class Experiments(RuleBasedStateMachine):
    """One repository, its user, and the verbs."""

    @initialize()
    def begin(self) -> None:
        """Make a repository with its worktrees beside it."""
        self.folder = Path(tempfile.mkdtemp(prefix="filiera-machine-"))
        self.former = os.environ.get("FILIERA_WORKTREES")
        os.environ["FILIERA_WORKTREES"] = str(self.folder / "worktrees")
        self.lab = LightLab(self.folder)
        self.lab.git("config", "user.name", "Ada")
        self.lab.git("config", "user.email", "ada@lab")
        self.written: dict[str, str] = {}
        self.count = 0

    def teardown(self) -> None:
        """Mend, bring back all that was dropped, and look once more."""
        if not hasattr(self, "lab"):
            return
        try:
            with self.verb():
                list(examine(self.lab.place(), repair=True))
            for name in self.lab.place().archived().keys() - self.lab.place().branches().keys():
                assert restore(self.lab.place(), name).is_dir()
            check_kept(self.lab, self.written)
            check_records(self.lab)
        finally:
            os.environ.pop("FILIERA_WORKTREES")
            if self.former is not None:
                os.environ["FILIERA_WORKTREES"] = self.former
            shutil.rmtree(self.folder)

    @contextmanager
    def verb(self, *, moves_main: bool = False) -> Iterator[None]:
        """Hold a verb to what is promised: it may refuse, and main is as before unless it accepts."""
        before = state_of(self.lab)
        is_done = False
        try:
            yield
            is_done = True
        except FilieraError as error:
            assert error.what
        now = state_of(self.lab)
        if moves_main and is_done:
            assert before[0] in (now[0], self.lab.git("rev-parse", "main^1")) and now[1:] == before[1:]
        else:
            assert now == before
        check_kept(self.lab, self.written)
        check_records(self.lab)

    def own(self, where: str, *words: str) -> None:
        """Do what the user does with git; what is lost by that is the user's loss."""
        folder = self.place_of(where)
        if folder is not None and (folder / ".git").exists():
            self.lab.git(*words, cwd=folder, check=False)
            self.forgive()

    def forgive(self) -> None:
        found = kept(self.lab)
        self.written = {what: where for what, where in self.written.items() if what in found}

    def place_of(self, where: str) -> Path | None:
        if where == "main":
            return self.lab.root
        folder = self.lab.place().worktrees / where
        return folder if folder.is_dir() else None

    @rule(name=NAMES, dirty=st.sampled_from(["carry", "ignore", "refuse"]), is_part=st.booleans())
    def start(self, name: str, dirty: Dirty, is_part: bool) -> None:
        with self.verb():
            only = [self.lab.root / "flows"] if is_part else []
            start(self.lab.place(), name, Beginning(dirty=dirty, only=only))

    @rule(name=NAMES, width=st.integers(1, 3))
    def run(self, name: str, width: int) -> None:
        with self.verb():
            self.lab.try_out(name, "count", width=str(width))

    @rule(name=NAMES, force=st.booleans())
    def drop(self, name: str, force: bool) -> None:
        with self.verb():
            drop(self.lab.place(), name, force=force)

    @rule(name=NAMES)
    def restore(self, name: str) -> None:
        with self.verb():
            restore(self.lab.place(), name)

    @rule(name=NAMES)
    def sync(self, name: str) -> None:
        with self.verb():
            sync(self.lab.place(), name)

    @rule(name=NAMES, squash=st.booleans(), drop_others=st.booleans())
    def accept(self, name: str, squash: bool, drop_others: bool) -> None:
        with self.verb(moves_main=True), self.lab.opened():
            accept(self.lab.place(), name, Acceptance(squash=squash, drop_others=drop_others))

    @rule()
    def doctor(self) -> None:
        with self.verb():
            list(examine(self.lab.place(), repair=True))

    @rule(where=WHERE, file=FILES)
    def write(self, where: str, file: str) -> None:
        folder = self.place_of(where)
        if folder is not None:
            self.count += 1
            content = f"X = '{where} {file} {self.count}'\n".encode()
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
            self.forgive()
            self.written[blob(content)] = f"{where} {file}"

    @rule(where=WHERE, chance=st.integers(0, 20))
    def delete_a_file(self, where: str, chance: int) -> None:
        folder = self.place_of(where)
        # Without these it is no project, the store is part of it, or an experiment does not know how it began.
        spared = ("filiera.toml", ".gitignore")
        found = [] if folder is None else files_in(folder)
        files = sorted(file for file in found if file.name not in spared and file.suffix != ".json")
        if files:
            files[chance % len(files)].unlink()
            self.forgive()

    @rule(name=NAMES)
    def delete_the_folder(self, name: str) -> None:
        folder = self.place_of(name)
        if folder is not None:
            shutil.rmtree(folder)
            self.forgive()

    @rule(where=WHERE, words=st.sampled_from([("add", "--all"), ("stash", "--include-untracked"), ("stash", "pop")]))
    def put_aside(self, where: str, words: tuple[str, ...]) -> None:
        self.own(where, *words)

    @rule(where=WHERE)
    def commit(self, where: str) -> None:
        self.own(where, "commit", "--quiet", "--all", "--message", f"commit {self.count}")

    @rule(where=WHERE, other=WHERE, words=st.sampled_from([("merge", "--no-edit"), ("rebase",)]))
    def bring_together(self, where: str, other: str, words: tuple[str, ...]) -> None:
        self.own(where, *words, other if other == "main" else f"exp/{other}")

    @rule(where=WHERE, word=st.sampled_from(["merge", "rebase"]))
    def give_up(self, where: str, word: str) -> None:
        self.own(where, word, "--abort")

    @rule(where=WHERE, branch=st.sampled_from(["main", "exp/deeper", "exp/wider", "--detach", "-"]))
    def switch(self, where: str, branch: str) -> None:
        self.own(where, "switch", "--quiet", branch)


TestExperiments = pytest.mark.filterwarnings("ignore::ResourceWarning")(Experiments.TestCase)
TestExperiments.settings = settings(max_examples=4, stateful_step_count=12, deadline=None)


@pytest.mark.campaign
class TestManyExperiments(Experiments.TestCase):
    settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=False)
