"""The pace: never early, never idle, and no one waits for another."""

import time

import pytest

from harness.fleet import RECONCILE
from harness.wait import until


def test_three_workers_one_destination(system):
    """Every gap between POST starts is at least a second, nothing is lost, and no slot is wasted."""
    count = 12
    system.destination("d", to="+15557770001")
    # One destination's events lie in all partitions, so that every worker takes some in.
    events = [system.event(f"e{i}", "d") for i in range(count)]
    system.produce_many(events, keys=[f"k{i}" for i in range(count)])
    for _ in range(3):
        system.worker()
    system.wait_states(accepted=count, timeout=60)
    gaps = system.sim.gaps()["+15557770001"]
    assert gaps["count"] == count
    assert gaps["early"] == 0, gaps
    assert gaps["min_gap_ms"] >= 1000.0
    posts = system.sim.posts()
    assert sorted(post["body"] for post in posts) == sorted(f"e{i}: hello" for i in range(count))
    # What analysts see agrees: slots and starts are a second apart.
    starts = sorted(row["started_at"] for row in system.attempts())
    assert all((b - a).total_seconds() >= 1.0 for a, b in zip(starts, starts[1:]))
    # And no slot is left out for long: one that is not confirmed would hold the next back for three seconds.
    assert (starts[-1] - starts[0]).total_seconds() < (count - 1) * 1.5


def test_a_busy_destination_delays_no_other(system):
    """An event gets through at once while a hundred wait for another destination in the same partition."""
    system.destination("busy", to="+15557770001")
    system.destination("idle", to="+15557770002")
    system.worker().wait_ready()
    system.produce(*[system.event(f"b{i}", "busy") for i in range(100)], partition=3)
    until(lambda: system.states().get("accepted", 0) >= 1, 30, "the first one of the busy destination")
    system.produce(system.event("quick", "idle"), partition=3)
    until(lambda: system.sim.posts(to="+15557770002"), 10, "the POST of the idle destination")
    until(lambda: [r for r in system.results() if r["event_id"] == "quick"], 10, "its result")
    assert system.states()["pending"] > 80


def test_a_destination_that_hangs_keeps_its_pace(system):
    """Answers that take seconds neither slow down the destination itself nor another."""
    system.sim.fault("delay", {"to": "+15557770001"}, ms=5000)
    system.destination("slow", to="+15557770001")
    system.destination("other", to="+15557770002")
    system.produce(*[system.event(f"s{i}", "slow") for i in range(4)], *[system.event(f"o{i}", "other") for i in range(4)])
    system.worker()
    system.wait_states(accepted=8, timeout=60)
    for number in ("+15557770001", "+15557770002"):
        arrivals = [post["arrived_at"] for post in system.sim.posts(to=number)]
        assert len(arrivals) == 4
        assert all(1.0 <= b - a < 2.5 for a, b in zip(arrivals, arrivals[1:])), arrivals


def test_refusals_cost_no_slot(system):
    """Events that can't be rendered are gone at once, although the destination may send one a second."""
    system.destination("d", to="{{phone}}")
    bad = [{"event_id": f"bad{i}", "destination_id": "d", "payload": {"phone": "nonsense"}} for i in range(20)]
    good = {"event_id": "good", "destination_id": "d", "payload": {"phone": "+15557770009"}}
    system.worker().wait_ready()
    begin = time.monotonic()
    system.produce(*bad, good)
    system.wait_states(failed=20, accepted=1, timeout=30)
    assert time.monotonic() - begin < 10


def test_a_stopped_worker_gives_its_slots_back(system):
    """SIGTERM finishes what is in flight and exits with 0; another worker carries on without a gap in the pace."""
    system.destination("d", to="+15557770001")
    first = system.worker().wait_ready()
    system.produce(*[system.event(f"e{i}", "d") for i in range(8)])
    until(lambda: len(system.sim.posts()) >= 3, 30, "three sends")
    assert first.stop() == 0
    second = system.worker()
    system.wait_states(accepted=8, timeout=60)
    assert system.sim.gaps()["+15557770001"]["early"] == 0
    assert len(system.sim.posts()) == 8
    assert second.stop() == 0
    # It left the group in good order: the offsets of everything it took in are committed.
    assert sum(system.kafka.committed("g-" + system.database, system.events_topic).values()) == 8


@pytest.mark.timeout(240)
def test_killing_a_worker_loses_nothing(system):
    """SIGKILL after intake, before the sends: other workers send what is pending, the pace holds."""
    count = 12
    system.destination("d", to="+15557770001")
    victim = system.worker(lease="12s", twilio_timeout="2s", kafka_session_timeout_ms=6000).wait_ready()
    system.produce(*[system.event(f"e{i}", "d") for i in range(count)])
    until(lambda: system.sim.posts() and sum(system.states().values()) == count, 30, "intake of all, and one send")
    victim.kill()
    system.worker(**RECONCILE)
    # What the victim had in its hands is looked up: it was sent, or it wasn't.
    system.wait_states(accepted=count, timeout=90)
    bodies = [post["body"] for post in system.sim.posts()]
    assert sorted(bodies) == sorted(f"e{i}: hello" for i in range(count))
    assert system.sim.gaps()["+15557770001"]["early"] == 0
    # Every attempt's result gets out, the dead worker's as well.
    until(lambda: {r["event_id"] for r in system.results()} == {f"e{i}" for i in range(count)}, 60, "all results")


def test_killing_a_worker_during_intake_loses_nothing(system):
    """SIGKILL while the events it has read are not in PostgreSQL yet: their offsets were not committed."""
    system.destination("d", to="+15557770001")
    victim = system.worker(kafka_session_timeout_ms=6000).wait_ready()
    blocker = system.postgres.connect(system.database)
    blocker.autocommit = False
    with blocker.cursor() as cursor:
        cursor.execute("lock table mms.deliveries in exclusive mode")
        system.produce(*[system.event(f"e{i}", "d") for i in range(4)])
        until(lambda: victim.metric("mms_events_read_total") > 0, 30, "events to be read")
        # Offsets that were stored too soon would be committed within a second: several statistics come by.
        seen = victim.metric("mms_kafka_statistics_total")
        until(lambda: victim.metric("mms_kafka_statistics_total") >= seen + 2, 30, "time for a commit")
        assert sum(system.kafka.committed("g-" + system.database, system.events_topic).values()) == 0
        victim.kill()
        # Its transaction waits in the server, whole, and would still be committed.
        system.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'mms-worker%%'")
    blocker.rollback()
    blocker.close()
    assert system.states() == {}
    system.worker()
    system.wait_states(accepted=4, timeout=90)
