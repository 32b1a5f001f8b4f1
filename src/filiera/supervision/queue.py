"""Durable queues: messages among the records, handed out at least once.

What was received and never settled comes again when its lease ends. Settling is acknowledging, retrying or burying. It
returns False, and changes nothing, when the lease has ended and the message was handed out again, or is settled
already.

A message of whose last attempt nobody has said how it ended is a suspect: it may have killed whoever handled it, or was
beside one that did. Suspects are handed out one by one, and only to who asks for them, so that they can be alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from filiera.core.digest import digest
from filiera.core.message import Ending, Incoming, Message, Waiting, attempts_of
from filiera.core.value import dataclass
from filiera.ports import Clock, MetadataStore, Row, Statement

LEASE_S = 60.0
_LONGEST_WHY = 2_000
_ID_LENGTH = 27


class MessageQueue:
    """The queue of one name in the records."""

    def __init__(self, records: MetadataStore, name: str, *, clock: Clock, lease_s: float = LEASE_S) -> None:
        self.name = name
        self._records, self._clock, self._lease_s = records, clock, lease_s

    def put(
        self,
        bodies: Iterable[bytes],
        *,
        origin: str = "put",
        method: str = "",
        marks: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the ids of new messages with these bodies, when they survive a power cut: all of them, or none.

        Args:
            bodies: JSON each, as the service takes it in a request.
            origin: What puts them.
            method: Which method of a class they call; "": the usual one.
            marks: What a trigger notes of how far it has come: kept together with the messages, or not at all.

        Raises:
            StoreError: They could not be written; none is kept.
        """
        now = self._clock()
        named = [(_new_id(now, place), body) for place, body in enumerate(bodies)]
        self._put(named, {"origin": origin, "method": method, "due_at": now}, marks or {})
        return [name for name, _ in named]

    def keep(self, incoming: Sequence[Incoming], *, origin: str) -> None:
        """Put what a broker has handed out, and come back when it survives a power cut.

        One that is handed out again, and is still here, is not put again; one that has been handled meanwhile is put
        again under the same id. Of those without a position nobody can know.

        Args:
            incoming: In their order.
            origin: The address that they come from.

        Raises:
            StoreError: They could not be written; none is kept.
        """
        now = self._clock()
        named = [(self._id_of(one, origin) or _new_id(now, place), one.body) for place, one in enumerate(incoming)]
        self._put(named, {"origin": origin, "method": "", "due_at": now}, {})

    def has_room(self, most: int) -> int:
        """Return how many fewer than *most* messages are here that are not dead; 0 when there are as many or more."""
        (row,) = self._records.read("count_backlog", {"queue": self.name, "most": most})
        return most - int(row["backlog"])

    def due(self) -> Literal["nothing", "messages", "suspects"]:
        """Return what there is to receive: a look at an index, which waits for nobody. With suspects, others may be."""
        (row,) = self._records.read("get_due_messages", {"queue": self.name, "now": self._clock()})
        if row["any_cut_off"]:
            return "suspects"
        return "messages" if row["any_due"] else "nothing"

    def receive(self, most: int) -> Sequence[Message]:
        """Return up to *most* messages that are due and no suspects, the longest due first; at once, perhaps none."""
        return self._received("receive_messages", most=most)

    def receive_suspect(self) -> Sequence[Message]:
        """Return the suspect that is due longest; at once, perhaps none."""
        return self._received("receive_cut_off")

    def _received(self, query: str, **more: int) -> Sequence[Message]:
        now, lease = self._clock(), secrets.token_hex(8)
        wanted = {"queue": self.name, "lease": lease, "now": now, "until": now + self._lease_s, **more}
        (rows,) = self._records.write([(query, wanted)])
        found = [
            Message(
                id=row["id"],
                body=bytes(row["body"]),
                method=row["method"],
                origin=row["origin"],
                put_at=row["put_at"],
                attempts=row["attempts"],
                cut_offs=row["cut_offs"],
                lease=lease,
            )
            for row in rows
        ]
        return sorted(found, key=lambda message: (message.put_at, message.id))

    def extend(self, message: Message) -> bool:
        """Begin the lease anew: the message is still being handled. False: it is not ours any more."""
        return self._settled("extend_lease", message, until=self._clock() + self._lease_s)

    def acknowledge(self, message: Message) -> bool:
        """Let the message go: it has been handled. After a power cut it may come once more."""
        return self._settled("acknowledge_message", message)

    def retry(self, message: Message, *, after_s: float, why: str, ended: Ending = "failed") -> bool:
        """Hand the message out again in *after_s* seconds. Untried: as if it had not been handed out this time."""
        return self._let_go("release_message", message, after_s=after_s, why=why, ended=ended)

    def bury(self, message: Message, *, why: str, ended: Ending = "failed") -> bool:
        """Keep the message among the dead letters: it is not handed out any more."""
        return self._let_go("bury_message", message, after_s=0.0, why=why, ended=ended)

    def standing(self) -> Waiting:
        """Return how many messages wait, are being handled and are dead, and when the next is due."""
        return standings(self._records).get(self.name, Waiting())

    def letters(self, *, dead: bool, most: int = 100) -> list[Letter]:
        """Return messages that are dead, or that are not, the longest due first."""
        rows = self._records.read("list_messages", {"queue": self.name, "is_dead": int(dead), "most": most})
        return [_letter(row) for row in rows]

    def revive(self, ids: Iterable[str]) -> list[str]:
        """Let dead letters wait again, as if never tried; return the ids of those that were dead.

        What was a suspect is one still: it does not become harmless by being dead for a while.
        """
        return self._changed("revive_message", ids, now=self._clock())

    def drop(self, ids: Iterable[str]) -> list[str]:
        """Remove dead letters for good; return the ids of those that were dead."""
        return self._changed("drop_dead_message", ids)

    def marks(self) -> dict[str, str]:
        """Return what the triggers of the service have noted."""
        rows = self._records.read("get_trigger_marks", {"service": self.name})
        return {row["subject"]: row["mark"] for row in rows}

    def forget(self, subjects: Iterable[str]) -> None:
        """Forget what triggers have noted of these."""
        rows = [{"service": self.name, "subject": subject} for subject in subjects]
        self._records.write([("drop_trigger_mark", row) for row in rows])

    def _put(self, named: Sequence[tuple[str, bytes]], about: Mapping[str, Any], marks: Mapping[str, str]) -> None:
        # A microsecond for each, so that the order of putting stays.
        rows = [
            {"id": one, "queue": self.name, "body": body, "put_at": about["due_at"] + place * 1e-6, **about}
            for place, (one, body) in enumerate(named)
        ]
        noted = [{"service": self.name, "subject": subject, "mark": mark} for subject, mark in marks.items()]
        statements: list[Statement] = [("put_message", row) for row in rows]
        self._records.write([*statements, *(("put_trigger_mark", row) for row in noted)], durable=True)

    def _id_of(self, one: Incoming, origin: str) -> str:
        """Return the id of what a broker hands out: the same each time, and never that of other content."""
        parts = (self.name.encode(), origin.encode(), one.position.encode(), one.body)
        return digest("broker-message/1", *parts)[:_ID_LENGTH] if one.position else ""

    def _changed(self, query: str, ids: Iterable[str], **more: object) -> list[str]:
        rows = [{"queue": self.name, "id": one, **more} for one in ids]
        done = self._records.write([(query, row) for row in rows], durable=True)
        return [found["id"] for result in done for found in result]

    def _let_go(self, query: str, message: Message, *, after_s: float, why: str, ended: Ending) -> bool:
        attempts, cut_offs = {
            "failed": (message.attempt, 0),
            "untried": (message.attempts, message.cut_offs - 1),
            "cut off": (message.attempts, message.cut_offs),
        }[ended]
        due_at, known = self._clock() + after_s, {"attempts": attempts, "cut_offs": cut_offs}
        return self._settled(query, message, due_at=due_at, why=why[:_LONGEST_WHY], **known)

    def _settled(self, query: str, message: Message, **more: object) -> bool:
        (rows,) = self._records.write([(query, {"id": message.id, "lease": message.lease, **more})])
        return bool(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A message as people look at it."""

    id: str
    body: bytes
    method: str  #: which method of a class it calls; "": the usual one
    origin: str  #: what put it
    put_at: float  #: seconds since the epoch
    due_at: float  #: when it can be handed out; of a dead one, when it died
    attempts: int  #: how often it was tried, as far as that counts; while it is handled, this time included
    is_handled: bool  #: it is handed out at the moment
    is_suspect: bool  #: nobody has said how its last attempt ended; it is brought alone
    why: str  #: what the last attempt failed with


def standings(records: MetadataStore) -> dict[str, Waiting]:
    """Return how the queues stand that have messages, by name."""
    return {
        row["queue"]: Waiting(waiting=row["waiting"], handled=row["handled"], dead=row["dead"], due_at=row["due_at"])
        for row in records.read("count_messages")
    }


def reclaim(records: MetadataStore, clock: Clock) -> int:
    """End all leases and return how many there were: for the one process that hands out, when it starts."""
    (rows,) = records.write([("reclaim_messages", {"now": clock()})])
    return len(rows)


def _letter(row: Row) -> Letter:
    kept = {name: row[name] for name in ("id", "method", "origin", "put_at", "due_at", "why")}
    is_handled, cut_offs = bool(row["lease"]), row["cut_offs"]
    attempts = attempts_of(row["attempts"], cut_offs, is_handled=is_handled)
    return Letter(
        body=bytes(row["body"]), attempts=attempts, is_handled=is_handled, is_suspect=cut_offs > is_handled, **kept
    )


def _new_id(now: float, place: int) -> str:
    """Return an id that sorts by time, and by *place* among those that are put together."""
    return f"{int(now * 1e6):013x}{place:06x}{secrets.token_hex(4)}"
