"""The soak itself: servers, workers, an even load with mild faults, samples, and in the end the count."""

import time
from dataclasses import dataclass, field

from bench.offer import Offer
from bench.world import BenchSystem
from harness.process import free_port
from harness.wait import until

from . import watch
from .trend import trend

DESTINATIONS_PER_SEND = 2  # a second: each destination has work every other second
SENDS_WITH_CALLBACKS = 0.05

# Mild: together about two in a hundred POSTs, as on a bad day. Each may hit whatever comes.
FAULTS = [
    ("error", 0.004, {"code": 20429, "status": 429}),
    ("status", 0.003, {"status": 503}),
    ("status", 0.001, {"status": 502, "accept": True}),
    ("delay", 0.004, {"ms": 2000}),
    ("accept_then_drop", 0.001, {}),
    ("drop", 0.001, {}),
    ("close_kept_alive", 0.002, {}),
    ("echo_authorization", 0.001, {"status": 502}),
    ("accept_garbage", 0.001, {}),
    ("huge_body", 0.002, {"bytes": 100_000}),
]


@dataclass
class Done:
    """What there is to tell. complaints: sentences; empty if every event became one message, never early."""

    events: int
    sends: int = 0
    seconds: float = 0.0
    trends: list = field(default_factory=list)
    points: dict = field(default_factory=dict)
    complaints: list = field(default_factory=list)
    faults: int = 0
    database_mib: float = 0.0


def soak(servers, workers, minutes, rate, say=print, **settings):
    """
    Runs it. The first fifth warms up: caches fill, tables get their size.

    say: told now and then how it goes. settings: of the workers, instead of the defaults.
    """
    with BenchSystem(servers, "soak") as system:
        system.destinations(rate * DESTINATIONS_PER_SEND)
        system.settle()
        _misbehave(system)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        system.worker(callback_listen=f"127.0.0.1:{port}", status_callback_url=url, **settings)
        system.start_workers(workers - 1, status_callback_url=url, **settings)
        offer = Offer(system, range(rate * DESTINATIONS_PER_SEND), rate, 60 * minutes, "soak", linger_ms=5)
        watched, sends = _observe(system, offer, say)
        trends = [trend(quantity, watched.points[quantity.name]) for quantity in watch.QUANTITIES]
        done = Done(events=offer.count, seconds=offer.seconds, trends=trends, points=watched.points)
        _settle(system, offer.finish(), done)
        sends.read()
        done.sends = sends.count
        _count(system, done)
        system.stop_workers()
    return done


def _misbehave(system):
    system.sim.seed(1)
    for fault, probability, parameters in FAULTS:
        system.sim.fault(fault, probability=probability, **parameters)
    # Without a date of sending, by which a list is sorted, a lookup would have to read all that a phone ever had.
    life = ["queued", {"status": "sent", "after_ms": 500}, {"status": "delivered", "after_ms": 500}]
    system.sim.life(*life, probability=SENDS_WITH_CALLBACKS)
    system.sim.life(*life, callbacks="withheld")


def _observe(system, offer, say):
    """Samples until the producer is done; returns what was watched since the warm-up, and what was sent."""
    sends = watch.Sends(system, offer.acked)
    warm = offer.seconds / 5
    every = max(1.0, min(15.0, offer.seconds / 60))
    offer.wait_until(warm)
    sends.read()
    watched = watch.Watch(system, sends)
    moment, told = warm, time.monotonic()
    # A sample that takes longer than the time between two is followed by the next; none is taken once the load has ended.
    while (moment := max(moment + every, time.time() - offer.begun)) < offer.seconds:
        offer.wait_until(moment)
        watched.sample()
        if time.monotonic() - told >= 60:
            told = time.monotonic()
            say(f"  {moment / 60:5.1f} min: " + watched.line())
    return watched, sends


def _settle(system, offer, done):
    """Until nothing is left to do: retries and look-ups have their pauses."""
    unfinished = "select count(*) from mms.deliveries where state in ('pending', 'sending', 'unknown')"
    rows = "select count(*) from mms.deliveries"
    limit = 300
    try:
        until(lambda: system.value(unfinished) == 0 and system.value(rows) >= offer.count, limit, "the last events", interval=1)
    except AssertionError as error:
        done.complaints.append(str(error))


def _count(system, done):
    stored = watch.messages(system)
    twice = [event_id for event_id, count in stored.items() if count > 1]
    states = system.states()
    if states != {"accepted": done.events}:
        done.complaints.append(f"{done.events} events have ended as {states}")
    if len(stored) != done.events:
        done.complaints.append(f"{done.events} events have become messages of {len(stored)}")
    if twice:
        done.complaints.append(f"{len(twice)} events were sent twice, such as {twice[0]}")
    early = sum(gap["early"] for gap in system.sim.gaps().values())
    if early:
        done.complaints.append(f"{early} sends were early")
    for worker in system.workers:
        if not worker.alive:
            done.complaints.append(f"{worker.log_path.name}: the worker has ended with {worker.returncode}")
    done.faults = sum(rule["hits"] for rule in system.sim.faults())
    done.database_mib = system.value("select pg_database_size(current_database())") / 2**20
