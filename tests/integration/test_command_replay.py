"""`mms-worker replay`: events again, as a new series of attempts."""

import json
import threading

import jsonschema
import pytest

from harness import ROOT
from harness.wait import until

TO = "+15557770000"
FORBIDDEN = "+15557770001"
SCHEMA = json.loads((ROOT / "schemas" / "result.schema.json").read_text())


def deliveries(system, event_id):
    return [
        (r["destination_id"], r["replay"], r["state"], r["attempts"])
        for r in system.query(
            "select destination_id, replay, state, attempts from mms.deliveries where event_id = %s order by 1, 2", event_id
        )
    ]


def failed_event(system, event_id="e1", destination="d", **more):
    """An event that Twilio refuses for good."""
    fault = system.sim.fault("error", {"to": TO}, code=21211)
    system.destination(destination)
    system.query("update mms.destinations set config = jsonb_set(config, '{to}', %s) where id = %s", json.dumps(TO), destination)
    system.produce(system.event(event_id, destination, **more))
    if not system.workers:
        system.worker()
    until(lambda: [d[2] for d in deliveries(system, event_id)] == ["failed"], 20, "the failure")
    system.sim.clear(fault)


def test_a_failed_event_is_sent_again(system):
    """
    A delivery of its own, whose attempts count on; the first stays as it was. Each result is one of a kind, and what a
    repeated event is compared with has not changed.
    """
    failed_event(system, connection_id="con_1")
    done = system.command("replay", "--event", "e1")
    assert done.status == 0 and "deliveries with a new series of attempts: 1" in done.out, done.err
    system.wait_states(failed=1, accepted=1)
    assert deliveries(system, "e1") == [("d", 0, "failed", 1), ("d", 1, "accepted", 2)]
    assert [(a["attempt"], a["outcome"], a["replay"]) for a in system.attempts("e1")] == [(1, "failed", 0), (2, "accepted", 1)]
    results = system.results(2)
    assert [(r["attempt"], r["outcome"], r["connection_id"]) for r in results] == [(1, "failed", "con_1"), (2, "accepted", "con_1")]
    assert len({r["result_id"] for r in results}) == 2
    for result in results:
        jsonschema.validate(result, SCHEMA)
    system.produce(system.event("e1", "d", connection_id="con_1"), system.event("e2", "d"))
    system.wait_states(failed=1, accepted=2)
    assert len(system.sim.messages()) == 2


def test_a_replay_may_fail_and_be_replayed(system):
    failed_event(system)
    fault = system.sim.fault("error", {"to": TO}, code=21211)
    assert system.command("replay", "--event", "e1").status == 0
    system.wait_states(failed=2)
    system.sim.clear(fault)
    assert system.command("replay", "--event", "e1").status == 0
    system.wait_states(failed=2, accepted=1)
    assert [d[1:] for d in deliveries(system, "e1")] == [(0, "failed", 1), (1, "failed", 2), (2, "accepted", 3)]


def test_a_replay_has_its_retries_anew(system):
    """Its budget is its own, whatever the first series spent."""
    retry = {"strategy": "linear", "count": 1, "interval": 1}
    fault = system.sim.fault("error", {"to": TO}, status=429, code=20429)
    system.destination("d", to=TO)
    system.produce(system.event("e1", "d", retry=retry))
    system.worker()
    system.wait_states(failed=1, timeout=60)
    system.sim.clear(fault)
    system.sim.fault("error", {"to": TO}, status=429, code=20429, times=1)
    assert system.command("replay", "--event", "e1").status == 0
    system.wait_states(failed=1, accepted=1, timeout=60)
    assert deliveries(system, "e1") == [("d", 0, "failed", 2), ("d", 1, "accepted", 4)]


@pytest.mark.parametrize("disabled", [False, True])
def test_what_is_not_over_is_not_replayed(system, disabled):
    system.destination("d")
    system.query("update mms.destinations set disabled_at = case when %s then now() end", disabled)
    if disabled:
        system.worker()
        system.produce(system.event("e1", "d"))
        system.wait_states(pending=1)
    else:
        system.query(
            "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
            " next_attempt_at, state, lookup_at) values ('d', 'e1', '{}', 't', 0, 0, now(), 'unknown', now() + interval '1 day')"
        )
    done = system.command("replay", "--event", "e1", *([] if disabled else ["--outcome", "unknown"]))
    assert done.status == 1 and len(deliveries(system, "e1")) == 1
    assert ("pending: is not over yet" if disabled else "unknown: may have been sent and is still looked up") in done.err


def test_what_was_taken_is_replayed_only_if_told(system):
    """And what was left to a person."""
    system.destination("d")
    system.worker()
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    done = system.command("replay", "--event", "e1")
    assert (done.status, done.out) == (1, "") and "--outcome accepted sends it once more" in done.err
    system.query("update mms.deliveries set state = 'unknown', lookup_at = 'infinity'")
    done = system.command("replay", "--event", "e1")
    assert done.status == 1 and "look into Twilio's log" in done.err
    assert system.command("replay", "--event", "e1", "--outcome", "unknown").status == 0
    # The first series is given up with it: nobody is asked about it any more.
    system.wait_states(failed=1, accepted=1)
    assert system.command("replay", "--event", "e1", "--outcome", "accepted").status == 0
    system.wait_states(failed=1, accepted=2)
    assert len(system.sim.messages()) == 3


def test_an_event_at_several_destinations(system):
    """All that failed, or the one that is named."""
    for d in ("d1", "d2"):
        failed_event(system, destination=d, event_id="e1" if d == "d1" else "other")
    system.query("update mms.deliveries set event_id = 'e1'")
    done = system.command("replay", "--event", "e1", "--destination", "d2", "--json")
    assert [(r["event_id"], r["destination_id"], r["state"]) for r in done.rows()] == [("e1", "d2", "failed")]
    system.wait_states(failed=2, accepted=1)
    done = system.command("replay", "--event", "e1")
    assert done.status == 0 and "at 'd2': accepted" in done.err and "new series of attempts: 1" in done.out
    system.wait_states(failed=2, accepted=2)


def backlog_of_failures(system, count, destination="d"):
    """Failed events of a destination, as evidence has them, a second apart and the last one just now."""
    system.destination(destination)
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " next_attempt_at, state, attempts, finished_at)"
        " select %s, 'e' || i, json_build_object('event_id', 'e' || i, 'destination_id', %s, 'payload', '{}'::json), 't', 0, i,"
        " now(), 'failed', 1, now() from generate_series(1, %s) i",
        destination, destination, count,
    )
    system.query(
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, reason, final, finished_at, worker,"
        " published_at) select destination_id, id, 1, gen_random_uuid(), 'failed',"
        " case when source_offset %% 2 = 0 then 'EVEN' else 'ODD' end, true,"
        " now() - (%s - source_offset) * interval '1 second', 'w', now() from mms.deliveries",
        count,
    )


def test_a_destination_since(system):
    """Those in the time, more than a batch, each once; a dry run shows the same and does nothing."""
    backlog_of_failures(system, 1300)
    words = ["replay", "--destination", "d", "--outcome", "failed", "--since", "1200s", "--json"]
    dry = system.command(*words, "--dry-run")
    names = [row["event_id"] for row in dry.rows()]
    assert dry.status == 0 and 1100 <= len(names) <= 1200 == len(set(names)) + (1200 - len(names))
    assert names == [f"e{i}" for i in range(1301 - len(names), 1301)] and system.states() == {"failed": 1300}
    done = system.command(*words)
    assert done.status == 0 and [row["event_id"] for row in done.rows()] == names[-len(done.rows()):]
    assert system.states() == {"failed": 1300, "pending": len(done.rows())}
    assert system.overlooked() == []
    again = system.command(*words)
    assert (again.status, again.out) == (0, "")


def test_a_reason_and_a_summary(system):
    backlog_of_failures(system, 10)
    done = system.command("replay", "--destination", "d", "--since", "1h", "--reason", "EVEN")
    assert done.status == 0 and done.out.splitlines()[-1] == "deliveries with a new series of attempts: 5"
    assert {r["event_id"] for r in system.query("select event_id from mms.deliveries where replay = 1")} == {f"e{i}" for i in (2, 4, 6, 8, 10)}


def test_two_replays_at_once(system):
    """Each event once."""
    backlog_of_failures(system, 700)
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(system.command("replay", "--destination", "d", "--since", "1h")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [d.status for d in done] == [0] * 3
    assert system.states() == {"failed": 700, "pending": 700}


def test_a_replayed_backlog_keeps_the_pace(system):
    """It wakes its destination, at once, and goes out a second apart."""
    backlog_of_failures(system, 3)
    system.worker().wait_ready()
    assert system.command("replay", "--destination", "d", "--since", "1h").status == 0
    system.wait_states(failed=3, accepted=3)
    assert [gaps["early"] for gaps in system.sim.gaps().values()] == [0]


def test_a_destination_that_is_gone(system):
    backlog_of_failures(system, 2)
    system.query("delete from mms.destinations")
    done = system.command("replay", "--destination", "d", "--since", "1h")
    assert "attempts: 0; " in done.out and "2 did not" in done.out and system.states() == {"failed": 2}


def test_a_rejected_event_goes_on_its_topic_again(system):
    """Byte for byte, with its key and trace context; once it fits, it becomes a delivery."""
    system.worker()
    raw = '{"event_id": "e1",  "destination_id": "d", "payload": {"n": 1.50}}'
    system.produce(raw, key="klé", headers=[("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    system.dead_letters(1)
    until(lambda: system.value("select count(*) from mms.rejected_events") == 1, 20, "the rejected event")
    assert "rejected events put on their topics again: 1" in system.command("replay", "--event", "e1", "--outcome", "rejected", "--dry-run").out
    system.destination("d")
    done = system.command("replay", "--event", "e1", "--outcome", "rejected")
    assert done.status == 0, done.err
    system.wait_states(accepted=1)
    first, second = system.kafka.consume(system.events_topic)
    assert (first.key, first.value) == (second.key, second.value)
    (row,) = system.query("select event::text, traceparent from mms.deliveries")
    assert row["event"] == raw and row["traceparent"].startswith("00-0af765")
    done = system.command("replay", "--event", "e1", "--outcome", "rejected")
    assert done.status == 1 and "no rejected event of this id that was not replayed yet" in done.err


def test_rejected_events_of_a_destination(system):
    """In the time, with the reason; not those without bytes."""
    for i, (reason, bytes) in enumerate([("A", b"x"), ("B", b"y"), ("A", None)]):
        system.query(
            "insert into mms.rejected_events (topic, partition, \"offset\", destination_id, reason, detail, worker, bytes, published_at)"
            " values (%s, 0, %s, 'd', %s, '', 'w', %s, now())", system.events_topic, i, reason, bytes)
    words = ["replay", "--destination", "d", "--since", "1h", "--outcome", "rejected", "--json"]
    assert [row["offset"] for row in system.command(*words, "--reason", "A").rows()] == [0]
    assert [row["offset"] for row in system.command(*words).rows()] == [1]
    assert [record.value for record in system.kafka.consume(system.events_topic)] in ([b"x", b"y"], [b"y", b"x"])


def test_kafka_is_away(system):
    """A rejected event stays to be replayed; so it does without Kafka's settings, which the help asks for."""
    system.query(
        "insert into mms.rejected_events (topic, partition, \"offset\", event_id, reason, detail, worker, bytes, published_at)"
        " values ('t', 0, 0, 'e', 'A', '', 'w', 'x', now())")
    done = system.command(
        "replay", "--event", "e", "--outcome", "rejected", kafka_bootstrap_servers="127.0.0.1:1", kafka_message_timeout_ms="500")
    assert done.status == 1 and "Kafka: topic 't'" in done.err
    done = system.command("replay", "--event", "e", "--outcome", "rejected", kafka_bootstrap_servers="")
    assert done.status == 2 and done.err == "mms-worker replay: --outcome rejected: MMS_KAFKA_BOOTSTRAP_SERVERS is missing\n"
    assert "MMS_KAFKA_BOOTSTRAP_SERVERS" in system.command("replay", "--help").out
    assert system.value("select replayed_at from mms.rejected_events") is None


@pytest.mark.parametrize("words, expected", [
    ([], "which? Expected --event ID, or --destination ID --since WHEN"),
    (["--destination", "d"], "which? Expected --event ID, or --destination ID --since WHEN"),
    (["--event", "e", "--since", "1h"], "--since goes with --destination"),
    (["--event", "e", "--outcome", "retry"], "--outcome: 'retry' is none, expected failed, expired, accepted, unknown or rejected"),
    (["--destination", "d", "--since", "soon"], "--since: 'soon' is not valid"),
])
def test_wrong_options(system, words, expected):
    done = system.command("replay", *words)
    assert (done.status, done.out) == (2, "") and expected in done.err and done.err.count("\n") == 1


def test_no_such_event(system):
    done = system.command("replay", "--event", "nobody")
    assert done.status == 1 and "event 'nobody': there is no delivery of it" in done.err


@pytest.mark.parametrize("more", [{}, {"retry": "soon"}], ids=["no destination", "no event"])
def test_a_rejected_event_at_the_place_of_another(system, more):
    """A topic that was made anew: what was replayed was another event."""
    place = (system.events_topic, 0, 0)
    system.query(
        "insert into mms.rejected_events (topic, partition, \"offset\", event_id, reason, detail, worker, bytes, published_at,"
        " replayed_at) values (%s, %s, %s, 'old', 'A', '', 'w', 'x', now(), now())", *place)
    system.produce(system.event("new", "nowhere", **more), key=None, partition=0)
    system.worker()
    until(lambda: system.value("select event_id from mms.rejected_events") == "new", 20, "the other event")
    assert system.command("replay", "--event", "new", "--outcome", "rejected", "--dry-run").status == 0
