"""What becomes of a message follows from the answer to it; and who kills workers takes no other message along."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.message import LONGEST_RETRY_S, Message, retry_delay_s
from filiera.supervision.deliveries import Answer, Deliveries, judge
from filiera.supervision.queue import MessageQueue, reclaim
from filiera.supervision.service import Service
from tests.supervision.time import HandClock

ATTEMPTS, MOST = 3, 4
CUT_OFF = Answer(status=0, why="The connection broke.", is_cut_off=True)
SAYS = {"good": Answer(status=200), "failing": Answer(status=500, why="no"), "wrong": Answer(status=422, why="wrong")}
"""What a worker answers to messages of each kind. To deadly ones it does not, to late ones only the last time."""
_kinds = st.sampled_from(["good", "good", "late", "deadly", "deadly", "failing", "wrong"])


@given(
    answer=st.builds(
        Answer,
        status=st.sampled_from([0, 200, 204, 301, 400, 404, 408, 413, 422, 429, 500, 502, 503, 504]),
        why=st.just("x"),
    )
    | st.just(CUT_OFF),
    failures=st.integers(0, 9),
    cut_offs=st.integers(1, 9),
    attempts=st.integers(1, 9),
    chance=st.floats(0.0, 1.0),
)
def test_no_answer_loses_a_message(answer: Answer, failures: int, cut_offs: int, attempts: int, chance: float) -> None:
    """Only success lets a message go; it is tried again only while it has attempts, or had none, or was not alone."""
    message = Message(id="a", body=b"", origin="put", put_at=0.0, attempts=failures, cut_offs=cut_offs, lease="b")
    verdict = judge(answer, message, attempts, chance)
    assert (verdict.what == "acknowledge") == (200 <= answer.status < 300)
    is_cut_off = answer.is_cut_off or answer.status == 502
    assert (verdict.ended == "cut off") == is_cut_off
    if is_cut_off and cut_offs == 1:
        assert verdict.what == "retry", "it was beside others"
    if verdict.what == "retry":
        assert 0.0 < verdict.after_s <= LONGEST_RETRY_S
        assert message.attempt < attempts or verdict.ended == "untried" or cut_offs == 1


@given(attempt=st.integers(1, 10_000), chance=st.floats(0.0, 1.0))
def test_delays_grow_and_are_spread(attempt: int, chance: float) -> None:
    """Within a factor of two, so that what failed together does not come together again."""
    delay_s, longest = retry_delay_s(attempt, chance), retry_delay_s(attempt, 1.0)
    assert longest / 2 <= delay_s <= longest <= LONGEST_RETRY_S
    assert retry_delay_s(attempt + 1, chance) >= delay_s


class Worker(RuleBasedStateMachine):
    """A worker that handles several messages at once, some of which kill it; as often as it dies another one comes.

    Others kill it, too, and the supervisor with it, but less often than a message has attempts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.records = SqliteRecords(Path(self.folder.name) / "records.db")
        self.clock = HandClock()
        self.queue = MessageQueue(self.records, "mail", clock=self.clock)
        self.kinds: dict[str, str] = {}  #: of all messages that were ever put, by id
        self.handled: set[str] = set()
        self.killed: dict[str, int] = {}  #: how many workers each message has killed
        self.killed_by_others = 0
        self.at_work: dict[int, Message] = {}
        self.told: list[str] = []
        self.begin()

    def begin(self) -> None:
        service = Service(name="mail", function="m:f", attempts=ATTEMPTS)
        self.deliveries = Deliveries(service, self.queue, chance=lambda: 0.5, tell=self.told.append)
        self.at_work = {}

    def teardown(self) -> None:
        """In the end all good messages are handled, and all others are dead after as many attempts as they have."""
        for _ in range(20 * len(self.kinds) + 1):
            if not self.queue.letters(dead=False, most=1):
                break
            self.bring(LONGEST_RETRY_S, MOST)
            for place in list(self.at_work):
                self.finish(place)
            self.only_the_bad_are_dead()
        assert self.queue.letters(dead=False) == []
        dead = {letter.id: letter.attempts for letter in self.queue.letters(dead=True)}
        wanted = {"failing": ATTEMPTS, "late": ATTEMPTS, "deadly": ATTEMPTS, "wrong": 1}
        assert dead.keys() | self.handled == self.kinds.keys()
        for one, attempts in dead.items():
            assert attempts == wanted[self.kinds[one]] or (self.kinds[one] == "wrong" and attempts <= ATTEMPTS)
            assert self.killed.get(one, 0) <= ATTEMPTS + 1
        assert len(self.told) == len(dead)
        self.records.close()
        self.folder.cleanup()

    @initialize(kinds=st.lists(_kinds, min_size=2, max_size=8))
    def put_many(self, kinds: Sequence[str]) -> None:
        ids = self.queue.put([b"{}"] * len(kinds))
        self.kinds |= dict(zip(ids, kinds, strict=True))

    @rule(kind=_kinds)
    def put(self, kind: str) -> None:
        self.put_many([kind])

    @rule(after_s=st.sampled_from([0.0, 0.0, 1.0, 4.0, 50.0]), most=st.integers(1, MOST))
    def bring(self, after_s: float, most: int) -> None:
        self.clock.turn(after_s)
        self.deliveries.keep()
        self.at_work |= dict(self.deliveries.take(most))

    def answer(self, place: int, answer: Answer) -> None:
        message = self.at_work.pop(place)
        if not self.deliveries.is_spent(message):
            self.deliveries.settle(message, answer)
        following = self.deliveries.take_next(place)
        if following is not None:
            self.at_work[place] = following

    def die(self) -> None:
        """All that the worker had is cut off; what couriers bring instead waits for the next one."""
        for place in list(self.at_work):
            self.answer(place, CUT_OFF)

    def finish(self, place: int) -> None:
        """A message is handled to its end, which may be that of the worker."""
        message = self.at_work.get(place)
        if message is None or self.deliveries.is_spent(message):
            return
        kind = self.kinds[message.id]
        if kind == "deadly":
            self.killed[message.id] = self.killed.get(message.id, 0) + 1
            self.die()
            return
        if kind == "late":
            kind = "good" if message.attempt == ATTEMPTS else "failing"
        if kind == "good":
            self.handled.add(message.id)
        self.answer(place, SAYS[kind])

    @rule(which=st.lists(st.integers(0, MOST - 1), min_size=1, max_size=4))
    def handle(self, which: Sequence[int]) -> None:
        for one in which:
            if self.at_work:
                self.finish(sorted(self.at_work)[one % len(self.at_work)])

    @rule()
    def be_busy(self) -> None:
        for place in sorted(self.at_work)[:1]:
            self.answer(place, Answer(status=503, why="busy"))

    @rule(how=st.sampled_from(["worker", "supervisor"]))
    def be_killed(self, how: str) -> None:
        if self.killed_by_others == ATTEMPTS - 1:
            return
        self.killed_by_others += 1
        if how == "worker":
            self.die()
        else:
            reclaim(self.records, self.clock)
            self.begin()

    @rule()
    def end_well(self) -> None:
        self.deliveries.stop()
        self.deliveries.give_back()
        assert reclaim(self.records, self.clock) == 0
        self.begin()

    @invariant()
    def a_suspect_is_alone(self) -> None:
        assert len(self.at_work) <= MOST
        assert len(self.at_work) == 1 or not any(message.is_suspect for message in self.at_work.values())
        assert self.deliveries.under_way == len(self.at_work)

    @invariant()
    def only_the_bad_are_dead(self) -> None:
        dead = {self.kinds[letter.id] for letter in self.queue.letters(dead=True)}
        assert "good" not in dead
        assert "late" not in dead or self.killed_by_others, "who has one attempt left cannot be killed by others, too"

    @invariant()
    def nothing_is_lost(self) -> None:
        known = {letter.id for dead in (True, False) for letter in self.queue.letters(dead=dead)}
        assert known | self.handled == self.kinds.keys()


Worker.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestWorker = Worker.TestCase
