"""The worker's own SQL statements (worker/sql), to be run from Python: their parameters stand here and nowhere else.

They run as they are, by PREPARE and EXECUTE. Each method of Statements is one transaction of the worker, statement by
statement in its order.
"""

import contextlib
import json
import uuid
from dataclasses import dataclass, field

from psycopg2.extensions import new_type, register_type
from psycopg2.extras import NamedTupleCursor

from . import ROOT
from .system import ACCOUNT

SQL = ROOT / "worker" / "sql"

_CLAIM = ("claim_lock", "claim", "claim_next")
_INTAKE = ("intake", "intake_lock", "intake_wake")
_UNDO = ("claim_undo_lock", "claim_undo")
_EVIDENCE = ("pacing_lock", "evidence_slots", "evidence_attempts", "evidence_release", "evidence_wake")
_RECONCILE = ("lease", "reconcile", "evidence_resolve", "evidence_reclaim")
_STATUSES = ("statuses_lock", "statuses", "outbox_statuses", "outbox_attempts", "poll")

MICROSECONDS = 1_000_000
"""In a second."""

# Not a datetime: there is an infinity.
_TIMESTAMPTZ = 1184
_TIME_AS_TEXT = new_type((_TIMESTAMPTZ,), "TIME_AS_TEXT", lambda text, _: text)


@dataclass(frozen=True)
class Told:
    """What Twilio said about a message: it is in this status (rank and final as worker/status.c has them).

    attempt  (destination_id, delivery_id, attempt)
    """

    attempt: tuple
    message_sid: str
    status: str
    rank: int
    final: bool = False
    error_code: int | None = None
    source: str = "callback"
    account_sid: str = ACCOUNT
    sender: str = "+15550001111"
    recipient: str = "+15557770000"


@dataclass(frozen=True)
class Ended:
    """How an attempt ended.

    claimed       the row of claim.sql
    state         of the delivery: accepted; pending: it is tried again at next_attempt_at; None: given back unattempted
    next_slot_at  None: the slot's reservation stays
    parked_until  None: its destination has no trouble
    well          its destination was in trouble before, and this shows that it is well again
    message_sid   what Twilio's answer named
    result_id     of its result: the same if it is stored once more
    """

    claimed: tuple
    state: str | None
    next_slot_at: str | None = None
    next_attempt_at: str | None = None
    parked_until: str | None = None
    well: bool = False
    message_sid: str | None = None
    result_id: uuid.UUID = field(default_factory=uuid.uuid4)


def _array(values):
    """An array as text without a type, so that PostgreSQL reads it as whatever the statement wants there."""

    def quoted(value):
        return "NULL" if value is None else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(quoted, values)) + "}"


class Statements:
    """The statements on a connection of their own.

    connection  psycopg2's, in autocommit mode
    between     called before each statement and before COMMIT: a place to dawdle
    """

    def __init__(self, connection, worker="statements", between=lambda: None):
        self.connection = connection
        self.worker = worker
        self._between = between
        self._cursor = connection.cursor(cursor_factory=NamedTupleCursor)
        register_type(_TIME_AS_TEXT, connection)
        # As the worker's are: made for these parameters, not for any.
        self._cursor.execute("set plan_cache_mode = force_custom_plan; set timezone = 'UTC'")
        for name in _CLAIM + _UNDO + _INTAKE + _EVIDENCE + _RECONCILE + _STATUSES:
            self._cursor.execute(f"prepare {name} as " + (SQL / f"{name}.sql").read_text(encoding="utf-8"))

    def close(self):
        self.connection.close()

    @contextlib.contextmanager
    def transaction(self):
        """BEGIN, and COMMIT at the end (after an error ROLLBACK)."""
        self._cursor.execute("begin")
        try:
            yield
            self._between()
        except BaseException:
            self._cursor.execute("rollback")
            raise
        self._cursor.execute("commit")

    def run(self, name, *parameters):
        """One statement; lists become arrays. Returns its rows by column name, times as text."""
        self._between()
        values = [_array(value) if isinstance(value, list) else value for value in parameters]
        marks = ", ".join(["%s"] * len(values))
        self._cursor.execute(f"execute {name}" + (f"({marks})" if values else ""), values)
        return self._cursor.fetchall() if self._cursor.description else []

    def in_ms(self, milliseconds):
        """A moment of the database's clock, as text."""
        self._cursor.execute("select clock_timestamp() + %s * interval '1 ms'", [milliseconds])
        return self._cursor.fetchone()[0]

    def claim_statements(self, look_ahead, limit, lease, spacing, window, floor="-infinity", room=1 << 20):
        """The statements of a claim, in whatever transaction there is. Durations in microseconds.

        floor  a moment before which nothing is due
        room   how many bytes of events
        """
        self.run("claim_lock", look_ahead, limit, floor)
        whole = int(floor == "-infinity")
        claimed = self.run("claim", look_ahead, lease, spacing, window, self.worker, whole, uuid.uuid4().hex, room, 65536, 2**31 - 1)
        self.run("claim_next", floor)
        return claimed

    def claim(self, look_ahead=0, limit=200, lease=600 * MICROSECONDS, spacing=0, window=0, floor="-infinity", room=1 << 20):
        """Claims what is due: the rows of claim.sql."""
        with self.transaction():
            return self.claim_statements(look_ahead, limit, lease, spacing, window, floor, room)

    def undo_claim(self, claim_id, reserved):
        """Undoes a claim that reserved so many microseconds beyond its slots; how many deliveries went back."""
        with self.transaction():
            self.run("claim_undo_lock", claim_id)
            return self.run("claim_undo", claim_id, reserved)[0][0]

    def take_over(self, after=0):
        """Takes over what ran out of its lease, to be looked up so many microseconds after its slot; how many."""
        with self.transaction():
            return len(self.run("lease", 100, self.worker, 3600 * MICROSECONDS, after, "advice"))

    def look_up(self, lease=60 * MICROSECONDS, early=1200 * MICROSECONDS, delay=4 * MICROSECONDS):
        """Takes up what is due to be looked up at Twilio: the rows of reconcile.sql."""
        with self.transaction():
            return self.run("reconcile", 200, 100, lease, early, delay, 8 << 20, 65536)

    def resolve(self, asked, state, message_sid=None):
        """Stores what was found out about a row of look_up(): the state it goes to. Returns what evidence() does."""
        outcome = {"pending": "retry"}.get(state, state)
        with self.transaction():
            return self.run(
                "evidence_resolve",
                [asked.destination_id], [asked.id], [asked.attempts], [asked.lookup_lease], [uuid.uuid4()], [outcome], [None],
                [state], [int(state != "pending")], [None], [self.in_ms(0)], [message_sid], [None], [None], ["looked up"],
                [None], 60 * MICROSECONDS,
            )  # fmt: skip

    def intake(self, *events):
        """Takes in (event_id, destination_id) pairs."""
        none = [None] * len(events)
        event_ids, destination_ids = [e for e, _ in events], [d for _, d in events]
        bodies = [json.dumps({"event_id": e, "destination_id": d}) for e, d in events]
        place = (["t"] * len(events), [0] * len(events), list(range(len(events))))
        with self.transaction():
            self.run("intake", event_ids, destination_ids, none, bodies, none, none, none, *place, self.worker)
            self.run("intake_lock", destination_ids)
            self.run("intake_wake", destination_ids)

    def evidence(self, *ended, reclaims=False):
        """Stores how attempts (Ended) ended, and moves their slots. Returns (result_id, waits) of those that stand.

        reclaims  their messages are taken from attempts that were only found to have made them
        """
        moved = [e for e in ended if e.next_slot_at is not None]
        attempts = [e for e in ended if e.state is not None]
        released = [e for e in ended if e.state is None]
        with self.transaction():
            self.run("pacing_lock", [e.claimed.destination_id for e in ended])
            if moved:
                self._slots(moved)
            for e in attempts if reclaims else ():
                claimed = e.claimed
                self.run("evidence_reclaim", e.message_sid, claimed.destination_id, claimed.id, claimed.attempts)
            standing = self._attempts(attempts) if attempts else []
            if released:
                self._release(released)
            self._wake([e for e in ended if e.state != "accepted" or e.well or e.claimed.trouble > 0])
        return standing

    def tell(self, *told):
        """Stores what Twilio said (Told): the rows of statuses.sql."""
        none = [None] * len(told)
        ids = [list(column) for column in zip(*(t.attempt for t in told))]
        with self.transaction():
            self.run("statuses_lock", ids[0], ids[1])
            return self.run(
                "statuses",
                *ids, [t.account_sid for t in told], [t.message_sid for t in told], [t.status for t in told],
                [t.rank for t in told], [int(t.final) for t in told], [t.error_code for t in told], *[none] * 3,
                [t.source for t in told], none, [t.sender for t in told], [t.recipient for t in told],
                ["" for _ in told], self.worker, 3600 * MICROSECONDS, 100,
            )  # fmt: skip

    def left_over_statuses(self, reach=3600 * MICROSECONDS):
        """Results about statuses that the outbox's sweep would publish now: the rows of outbox_statuses.sql."""
        with self.transaction():
            return self.run("outbox_statuses", 0, 500, reach)

    def left_over_attempts(self, reach=3600 * MICROSECONDS):
        """Results of attempts that the outbox's sweep would publish now: the rows of outbox_attempts.sql."""
        with self.transaction():
            return self.run("outbox_attempts", 0, 500, reach)

    def poll(self, limit=100, pause=60 * MICROSECONDS):
        """Messages to ask for now: the rows of poll.sql."""
        with self.transaction():
            return self.run("poll", limit, pause, 65536)

    def _slots(self, moved):
        claimed = [e.claimed for e in moved]
        ids, reserved = [c.destination_id for c in claimed], [c.reserved_until for c in claimed]
        self.run("evidence_slots", ids, reserved, [e.next_slot_at for e in moved])

    def _attempts(self, attempts):
        claimed = [e.claimed for e in attempts]
        none = [None] * len(attempts)
        outcomes = [{"pending": "retry"}.get(e.state, e.state) for e in attempts]
        slots = [c.slot_at for c in claimed]
        return self.run(
            "evidence_attempts",
            [c.destination_id for c in claimed], [c.id for c in claimed], [c.attempts for c in claimed],
            [c.lease_until for c in claimed], [e.result_id for e in attempts], outcomes, none,
            [e.state for e in attempts], [0 for _ in claimed], slots, slots, slots,
            [e.next_attempt_at for e in attempts], *[none] * 4, [e.message_sid for e in attempts], *[none] * 4,
            [int(e.parked_until is not None) for e in attempts], none, [0 for _ in claimed],
            self.worker, 60 * MICROSECONDS, 60 * MICROSECONDS,
        )  # fmt: skip

    def _release(self, released):
        claimed = [e.claimed for e in released]
        self.run(
            "evidence_release",
            [c.destination_id for c in claimed], [c.id for c in claimed], [c.attempts for c in claimed],
            [c.lease_until for c in claimed],
        )  # fmt: skip

    def _wake(self, waking):
        if not waking:
            return
        claimed = [e.claimed for e in waking]
        wake_at = [None if e.state == "accepted" else e.next_attempt_at or e.claimed.slot_at for e in waking]
        self.run(
            "evidence_wake",
            [c.destination_id for c in claimed], wake_at,
            [e.parked_until for e in waking], ["TEST" if e.parked_until else None for e in waking],
            [int(e.well) for e in waking], [c.updated_at for c in claimed],
            [c.trouble for c in claimed],
        )  # fmt: skip
