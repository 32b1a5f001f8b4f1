"""Killed for good at any moment of a verb: the doctor mends it, nothing is lost, and the verb done again succeeds."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.keeping import blob, check_kept, check_records
from tests.experiments.lab import LightLab

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes")
REPOSITORY = Path(__file__).parents[2]
KILLS = 12
CAMPAIGN_KILLS = 1000
OF_A_BATTLE = 20
VERBS = ("start", "run", "drop", "restore", "accept", "sync")
OPTIONS = ("--squash", "--drop-others")
FIRST_S = 0.5
"""A verb is killed within so long, as long as it is not known how long it takes."""
SHOWN = ("verb", "killed", "times", "had ended by itself", "had to be mended", "had been done", "done again", "lost")
DONE_BEFORE = {
    "start": "There is an experiment",
    "drop": "was dropped",
    "restore": "It was not dropped",
    "accept": "was dropped",
}
"""What is said where a verb has nothing to do any more."""


class Hangman:
    """Starts commands that may be killed."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "tests.experiments.dying"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)

    def ask(self, folder: Path, *words: str, **fate: Any) -> dict[str, Any]:
        """Return how a command ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"folder": str(folder), "words": ["experiment", *words], **fate}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answered: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "Traceback" not in answered["said"], answered["said"]
        return answered

    def close(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Death:
    """How a command was to die, and what came of it."""

    verb: str
    how: str
    has_ended: bool  #: by itself, before its time had come
    is_mended: bool  #: the doctor found something to repair
    was_done: bool  #: all that it was to do had been done; else it was done again


@dataclass
class Pace:
    """How far verbs come when nobody kills them."""

    calls: dict[str, int] = field(default_factory=dict)  #: how many a verb makes
    took_s: dict[str, float] = field(default_factory=dict)

    def note(self, verb: str, ended: dict[str, Any]) -> None:
        self.calls[verb] = ended["seen"]
        self.took_s[verb] = ended["took_s"]


@dataclass
class Battle:
    """One repository, in which verb after verb is killed."""

    lab: LightLab
    hangman: Hangman
    chance: random.Random
    deaths: list[Death] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)  #: content → where it was written
    pace: Pace = field(default_factory=Pace)
    number: int = 0

    def fight(self, verb: str) -> None:
        """Kill a verb, mend, look, and do it again."""
        name, words = self.prepare(verb)
        before = self.lab.git("rev-parse", "main"), self.lab.git("status", "--porcelain", "-uall")
        kind = " ".join((verb, *(word for word in words if word in OPTIONS)))
        fate, how = self.fate(kind)
        died = self.hangman.ask(self.lab.root, verb, *words, **fate)
        print(verb, name, fate, died["code"], died["seen"])
        if died["code"] not in (-9, 0):
            raise AssertionError(died["said"])
        is_mended = self.mend()
        self.check(before, verb)
        again = self.hangman.ask(self.lab.root, verb, *words)
        is_done = DONE_BEFORE.get(verb, "never said") in again["said"]
        assert again["code"] == 0 or is_done, again["said"]
        for ended in (died, again):
            if ended["code"] == 0:
                self.pace.note(kind, ended)
        if verb == "start" and "its folder is gone" in again["said"]:
            self.do("restore", name)
        assert verb not in ("start", "restore") or self.lab.place().worktree(name) is not None
        self.check(before, verb)
        self.deaths.append(Death(verb, how, died["code"] == 0, is_mended, is_done))

    def fate(self, verb: str) -> tuple[dict[str, Any], str]:
        """Return when a command is to die, at random, and in a word."""
        is_group = self.chance.random() < 0.5
        if self.chance.random() < 0.4:
            after_s = self.chance.uniform(0, self.pace.took_s.get(verb, FIRST_S))
            return {"after_s": after_s, "is_group": is_group}, "any time, git too" if is_group else "any time"
        number = self.chance.randint(1, self.pace.calls.get(verb, 40))
        return {"moment": self.chance.choice(("before", "after")), "number": number, "is_group": is_group}, "at a call"

    def mend(self) -> bool:
        """Let the doctor mend, who is sometimes killed himself, and wait for git processes that live on.

        Return whether there was anything to be mended.
        """
        is_mended = False
        if self.chance.random() < 0.15:
            self.hangman.ask(self.lab.root, "doctor", "--repair", moment="after", number=self.chance.randint(1, 20))
        for _ in range(200):
            done = self.hangman.ask(self.lab.root, "doctor", "--repair")
            assert done["code"] == 0, done["said"]
            is_mended |= " repaired " in done["said"]
            if "not looked at" not in done["said"]:
                return is_mended
        raise AssertionError(done["said"])

    def check(self, before: tuple[str, str], verb: str) -> None:
        """Assert what must be so at any time."""
        commit, status = before
        check_kept(self.lab, self.written)
        check_records(self.lab)
        now = self.lab.git("rev-parse", "main")
        assert now == commit or (verb == "accept" and self.lab.git("rev-parse", "main^1") == commit)
        assert self.lab.git("status", "--porcelain", "-uall") == status

    def part(self) -> list[str]:
        """Return what gives an experiment's folder a part of the files, now and then."""
        return ["--only", "flows"] if self.chance.random() < 0.3 else []

    def prepare(self, verb: str) -> tuple[str, list[str]]:
        """Bring about what a verb needs; return the experiment and the words behind the verb."""
        self.number += 1
        name = f"e{self.number}"
        if verb == "start":
            self.write(self.lab.root, f"main-{self.number}.md")
            return name, [name, *self.part()]
        # Main's own new files would be in the way of accepting.
        self.do("start", name, "--dirty", "ignore", *self.part())
        folder = self.lab.folder_of(name)
        self.write(folder, "idea.md")
        if verb in ("accept", "sync"):
            module = folder / "flows/data.py"
            module.write_text(f"{module.read_text()}\nVALUE_{self.number} = {self.number}\n")
            self.written[blob(module.read_bytes())] = name
            self.do("run", name, "--pipeline", "count")
            if verb == "sync" or self.chance.random() < 0.5:
                self.write(self.lab.root, f"main-{self.number}.md")
                self.lab.git("add", f"main-{self.number}.md")
                self.lab.git("commit", "--quiet", "-m", f"go on {self.number}")
            options = [*([option] for option in OPTIONS), []]
            return name, [name, *(self.chance.choice(options) if verb == "accept" else [])]
        if verb == "run":
            return name, [name, "--pipeline", "count", "--set", f"width={self.number}"]
        if verb == "restore":
            self.do("drop", name, "--force")
            return name, [name]
        return name, [name, "--force"]

    def do(self, *words: str) -> None:
        """Do something that nobody kills."""
        done = self.hangman.ask(self.lab.root, *words)
        assert done["code"] == 0, done["said"]

    def write(self, folder: Path, file: str) -> None:
        """Write something that must not be lost."""
        content = f"{folder.name} {file} {self.number} {self.chance.random()}\n".encode()
        (folder / file).write_bytes(content)
        self.written[blob(content)] = f"{folder.name}/{file} {self.number}"

    def end(self) -> None:
        """Assert that every dropped experiment can be brought back, and that git finds nothing wrong."""
        for name in self.lab.place().archived():
            if name not in self.lab.place().branches():
                self.do("restore", name)
        check_kept(self.lab, self.written)
        check_records(self.lab)
        assert self.lab.git("fsck", "--no-progress", "--no-dangling") == ""


@pytest.fixture(scope="module")
def hangman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hangman]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILIERA_WORKTREES", str(tmp_path_factory.mktemp("worktrees")))
        found = Hangman()
        yield found
        found.close()


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    LightLab(folder)
    return folder / "repository"


def wage(folder: Path, light: Path, hangman: Hangman, seed: int, kills: int) -> list[Death]:
    """Kill so many verbs, in several repositories one after another; return who died how."""
    chance = random.Random(seed)
    deaths: list[Death] = []
    pace = Pace()
    while len(deaths) < kills:
        root = folder / f"battle-{len(deaths)}/repository"
        shutil.copytree(light, root)
        battle = Battle(LightLab.at(root), hangman, chance, pace=pace)
        for _ in range(min(OF_A_BATTLE, kills - len(deaths))):
            battle.fight(chance.choice(VERBS))
        battle.end()
        deaths += battle.deaths
        shutil.rmtree(root.parent)
    return deaths


def table(deaths: list[Death]) -> Iterator[str]:
    """Yield the lines of a table: who died how, and what came of it. Nothing was lost, or a test had failed."""
    yield f"| {' | '.join(SHOWN)} |"
    yield f"| :--- | :--- |{' ---: |' * (len(SHOWN) - 2)}"
    groups: dict[tuple[str, str], list[Death]] = {}
    for death in deaths:
        groups.setdefault((death.verb, death.how), []).append(death)
    for (verb, how), found in [*sorted(groups.items()), (("all", ""), deaths)]:
        killed = [death for death in found if not death.has_ended]
        done = sum(death.was_done for death in killed)
        mended = sum(death.is_mended for death in found)
        numbers = (len(found), len(found) - len(killed), mended, done, len(killed) - done, 0)
        yield f"| {verb} | {how} | {' | '.join(map(str, numbers))} |"


def test_killed_verbs(tmp_path: Path, light: Path, hangman: Hangman, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of kills; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    assert len(wage(tmp_path, light, hangman, seed, KILLS)) == KILLS


@pytest.mark.campaign
@pytest.mark.parametrize("share", range(2))
def test_many_killed_verbs(tmp_path: Path, light: Path, hangman: Hangman, share: int) -> None:
    """A thousand kills in two shares; a table shows who died how, and what came of it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    deaths = wage(tmp_path, light, hangman, seed, CAMPAIGN_KILLS // 2)
    print("\n".join(table(deaths)))
