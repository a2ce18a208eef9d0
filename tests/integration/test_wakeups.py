"""No wake-up is lost: whatever is pending has a destination that somebody will look at in time."""

import itertools
import random
import threading
import time
from contextlib import closing

from harness.statements import Ended, Statements
from harness.wait import until

DESTINATIONS = ["a", "b", "c"]
PRODUCERS = 4
ROUNDS = 160  # of each producer
CLAIMERS = 4
PATIENCE = 10.0  # seconds; an event that takes longer has been overlooked


def dawdle(rng):
    """Now and then a statement comes late, as the next one of a pipeline does on a busy server."""
    if rng.random() < 0.5:
        time.sleep(rng.random() * 0.003)


class Race:
    """The worker's own statements, hard against each other on a few destinations, without any pace.

    A producer takes in an event for one to three of them, and goes on when all have been accepted: destinations fall
    asleep and are woken all the time. What a claim takes is accepted, given back, tried again or parked for a moment,
    in turns.
    """

    def __init__(self, system):
        self.system = system
        self.accepted = {}  # event_id: Event that is set when it has been
        self.held = set()  # ids of the deliveries that a claimer has now
        self.errors = []
        self.over = threading.Event()
        self.lock = threading.Lock()

    def run(self):
        claimers = [threading.Thread(target=self._guarded, args=(self._claim, n)) for n in range(CLAIMERS)]
        producers = [threading.Thread(target=self._guarded, args=(self._produce, n)) for n in range(PRODUCERS)]
        for thread in claimers + producers:
            thread.start()
        for thread in producers:
            thread.join()
        self.over.set()
        for thread in claimers:
            thread.join()
        assert not self.errors, self.errors[:3]

    def _guarded(self, work, number):
        rng = random.Random(number)
        connection = self.system.postgres.connect(self.system.database)
        statements = Statements(connection, f"race-{number}", between=lambda: dawdle(rng))
        try:
            work(statements, rng)
        except Exception as error:  # noqa: BLE001 – it fails the test, from the main thread
            self.errors.append(error)
            self.over.set()
        finally:
            statements.close()

    def _produce(self, statements, rng):
        for number in range(ROUNDS):
            chosen = rng.sample(DESTINATIONS, rng.randint(1, len(DESTINATIONS)))
            ids = [f"{statements.worker}-{number}-{destination_id}" for destination_id in chosen]
            for event_id in ids:
                self.accepted[event_id] = threading.Event()
            statements.intake(*zip(ids, chosen, strict=True))
            for event_id in ids:
                if not self.accepted[event_id].wait(PATIENCE):
                    raise AssertionError(f"{event_id} waits for ever: {self.system.overlooked()}")
            if self.over.is_set():
                return

    def _claim(self, statements, rng):
        for turn in itertools.count(rng.randrange(8)):
            if self.over.is_set():
                return
            # As the worker does: what is long past is looked at now and then.
            claimed = statements.claim(floor=statements.in_ms(-3000) if turn % 4 else "-infinity")
            self._take(claimed)
            ended = [self._end(row, turn, statements) for row in claimed]
            if not ended:
                continue
            with self.lock:
                self.held.difference_update(row.id for row in claimed)
            statements.evidence(*ended)
            for one in ended:
                if one.state == "accepted":
                    self.accepted[one.claimed.event_id].set()

    def _take(self, claimed):
        ids = {row.id for row in claimed}
        with self.lock:
            assert len(ids) == len(claimed) and not ids & self.held, "a delivery was claimed twice"
            self.held |= ids

    def _end(self, claimed, turn, statements):
        slot = claimed.slot_at
        if turn % 8 == 0:
            return Ended(claimed, None, next_slot_at=slot)
        if turn % 8 == 2:
            return Ended(claimed, "pending", next_slot_at=slot, next_attempt_at=statements.in_ms(3))
        if turn % 8 == 4:
            parked = statements.in_ms(3)
            return Ended(claimed, "pending", next_slot_at=slot, next_attempt_at=parked, parked_until=parked)
        # The confirmation of a start may be lost with its worker; here nothing is reserved by it.
        return Ended(claimed, "accepted", next_slot_at=slot if turn % 8 == 6 else None)


def test_statements_against_each_other(system):
    """Claims put destinations to sleep while intake and evidence wake them: every event gets through, once."""
    for destination_id in DESTINATIONS:
        system.destination(destination_id)
    system.query("delete from mms.pacing")  # the first events make the rows
    race = Race(system)
    race.run()
    assert system.overlooked() == []
    assert system.states() == {"accepted": len(race.accepted)}
    sleeping = system.value("select count(*) from mms.pacing where due_at = 'infinity'")
    assert sleeping == len(DESTINATIONS), "idle destinations are looked at"


def test_well_again_is_awake_again(system):
    """A send that began before its destination was parked is accepted: the trouble is over, and so is the pause."""
    system.destination("d")
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        statements.intake(("first", "d"), ("second", "d"), ("third", "d"))
        (first,) = statements.claim()
        (second,) = statements.claim()
        parked = statements.in_ms(600_000)
        statements.evidence(Ended(second, "pending", second.slot_at, next_attempt_at=parked, parked_until=parked))
        assert statements.claim() == []
        statements.evidence(Ended(first, "accepted", well=True))
        assert system.overlooked() == []
        assert statements.claim() != []


def test_events_that_trickle(system):
    """One event at a time to a few destinations: after each send its destination falls asleep until the next."""
    count = 24
    destinations = [system.destination(f"d{n}", to=f"+1555777000{n}") for n in range(6)]
    for worker in [system.worker() for _ in range(2)]:
        worker.wait_ready()
    rng = random.Random(1)
    for number in range(count):
        destination = destinations[number % len(destinations)] if number % 5 else rng.choice(destinations)
        system.produce(system.event(f"e{number}", destination), partition=number % 12)
        what = f"the send of event {number}"
        until(lambda: system.sim.stats()["messages"] > number, PATIENCE, lambda: f"{what}; {system.overlooked()}")
        assert system.overlooked() == []
    system.wait_states(accepted=count)
    assert system.overlooked() == []
    assert all(gaps["early"] == 0 for gaps in system.sim.gaps().values())
