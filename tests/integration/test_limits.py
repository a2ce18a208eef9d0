"""Hostile producers, a hostile Twilio and hostile callers, in short (`make limits` has them in full): the others keep their pace,
and memory stays bounded."""

import json
import zlib
from contextlib import closing

import psycopg2
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from harness.statements import Ended, Statements
from harness.system import config
from harness.wait import until
from limits import loads
from limits.report import MEMORY_MIB
from limits.run import SHORT, LimitsSystem, forget_peak, now, pace, peak_mib, run, start
from limits.twilio import PHONES, HostileTwilio

MIB = 1 << 20
# A machine that others use loses slots by itself. Without what protects them the loads here cost every other slot.
SLOTS_USED = 0.9


@pytest.fixture
def limits_system(postgres, kafka, tmp_path):
    with LimitsSystem(postgres, kafka, tmp_path, "limits") as system:
        yield system
        system.check_workers()
        assert [worker.stop(timeout=60) for worker in system.workers if worker.alive] == [0]


def sanitized(worker):
    """Sanitizers need memory of their own."""
    return "asan" in open(f"/proc/{worker.pid}/maps", encoding="utf-8").read()


def check(figures, worker):
    assert figures["min_gap_ms"] >= 1000
    assert figures["ready"] == 200
    assert figures["busy"]["slots_used"] > SLOTS_USED * figures["calm"]["slots_used"], figures
    assert sanitized(worker) or figures["peak_mib"] < MEMORY_MIB, figures


@pytest.mark.timeout(150)
def test_a_hostile_producer(limits_system):
    """A flood of everything in the partitions of those that behave: each record is stored as what it is, once."""
    load = loads.ALL["mixed"]
    figures = run(limits_system, load, 10_000, SHORT)
    check(figures, limits_system.workers[0])
    expected = {"unknown": 3000, "headers": 30, "nasty": 5, "too large": 10, "garbage": 60}
    assert figures["became"]["rejected"] == sum(expected.values()), limits_system.query(
        "select reason, count(*) from mms.rejected_events group by 1 order by 1"
    )
    assert figures["became"]["taken"] == 1 + 30 + 5 + 20


@pytest.mark.timeout(90)
def test_settings_that_are_too_large(limits_system):
    """50 MB of settings: refused when they are written; where they are already, the destination is parked, and nobody waits."""
    system = limits_system
    with pytest.raises(psycopg2.errors.CheckViolation):
        system.destination("huge", body_template="x" * 65536)
    figures = run(system, loads.ALL["config"], 6, SHORT)
    check(figures, system.workers[0])
    refused = system.query("select distinct reason, error_message from mms.attempts where destination_id like 'heavy%%'")
    assert refused == [{"reason": "CONFIG_INVALID", "error_message": "config: too large, expected at most 65536 bytes of settings"}]


def pending(system, destinations, size):
    """A pending event of so many bytes for each."""
    for n in range(destinations):
        system.destination(f"d{n}")
        event = json.dumps(system.event(f"e{n}", f"d{n}", message="x" * size))
        system.query(
            "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
            " next_attempt_at, event_bytes) values (%s, %s, %s, 't', 0, %s, clock_timestamp(), %s)",
            f"d{n}", f"e{n}", event, n, len(event),
        )  # fmt: skip


def claim(system, statements):
    with statements.transaction():
        return statements.claim_statements(250_000, 200, 90_000_000, 1_000_000, 3_000_000)


def test_a_claim_is_bounded_by_bytes(system):
    """A MiB at a time; what is put off has its turn soon, and is not overlooked."""
    pending(system, 8, 300_000)
    system.query("update mms.deliveries set event_bytes = 3000000 where destination_id = 'd7'")
    system.query("update mms.pacing set due_at = clock_timestamp()")
    claimed = []
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        while len(claimed) < 8:
            rows = until(lambda: claim(system, statements), 5, "what was put off")
            assert len(rows) <= 3, [row.destination_id for row in rows]
            claimed += [row.destination_id for row in rows]
            assert system.overlooked() == []
    assert sorted(claimed) == [f"d{n}" for n in range(8)]


def test_the_smaller_the_sooner(system):
    """Where claims never take all that is due everybody has his turns: of two that are due always, each sends as many bytes."""
    pending(system, 2, 1000)
    system.query("update mms.deliveries set event_bytes = 1000 + 9000 * (destination_id = 'd1')::int")
    turns = {"d0": 0, "d1": 0}
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        for _ in range(400):
            system.query("update mms.pacing set due_at = clock_timestamp(), next_slot_at = clock_timestamp()")
            row, = statements.claim(room=1)
            statements.evidence(Ended(row, None))
            turns[row.destination_id] += 1
    # 1 in 11: fewer than 12 or more than 72 of 400 come to pass once in a hundred thousand times.
    assert 12 <= turns["d1"] <= 72, turns


def produce_packed(system, value, codec):
    """A record that is small on its way, into the first partition."""
    settings = {"bootstrap.servers": system.kafka.bootstrap, "compression.type": codec, "message.max.bytes": 200 * MIB}
    producer = Producer(settings)
    producer.produce(system.events_topic, value, "k", 0)
    assert producer.flush(30) == 0


@pytest.mark.timeout(60)
def test_a_record_that_unfolds(system):
    """64 KiB that are 40 MiB once they are unpacked: of such a record 16 MiB are kept, and those behind it come."""
    system.destination("d")
    worker = system.worker().wait_ready()
    whole = b"[" + b" " * (40 * MIB) + b"]"
    produce_packed(system, whole, "gzip")
    system.produce(system.event("behind", "d"), partition=0)
    system.wait_states(accepted=1, timeout=40)
    row = system.query("select reason, detail, bytes, octet_length(bytes) as length from mms.rejected_events")[0]
    assert (row["reason"], row["length"]) == ("TOO_LARGE", 16 * MIB)
    assert zlib.crc32(row["bytes"]) == zlib.crc32(whole[: 16 * MIB])
    assert row["detail"].endswith(f"; of {len(whole)} bytes and 1 of its key the first 16777216 each are kept")
    assert sanitized(worker) or peak_mib(worker.pid) < 300


@pytest.mark.timeout(60)
def test_a_record_that_cannot_be_unpacked(system):
    """A few KB of zstd that are 120 MiB: the log says where that is, once; other partitions go on, and so does this one behind it."""
    system.destination("d")
    worker = system.worker().wait_ready()
    produce_packed(system, b" " * (120 * MIB), "zstd")
    until(lambda: worker.metric("mms_kafka_unreadable_total") >= 2, 30, "tries")
    system.produce(system.event("behind", "d"), partition=0)
    system.produce(system.event("beside", "d"), partition=1)
    system.wait_states(accepted=1)
    said, = [line for line in worker.log_lines() if line["level"] == "error"]
    assert (said["topic"], said["partition"], said["offset"]) == (system.events_topic, 0, 0)
    assert worker.stop() == 0
    group = Consumer({"bootstrap.servers": system.kafka.bootstrap, "group.id": system.env()["MMS_CONSUMER_GROUP"]})
    group.commit(offsets=[TopicPartition(system.events_topic, 0, 1)], asynchronous=False)
    group.close()
    system.worker()
    system.wait_states(accepted=2)


@pytest.mark.timeout(90)
def test_headers_of_three_bytes(system):
    """A MiB of headers that have no value: what they take in memory is counted, also of those that nobody can read."""
    producer = Producer({"bootstrap.servers": system.kafka.bootstrap, "message.max.bytes": 2 * MIB})
    for key, value, headers in loads.ALL["tiny-headers"].make(system, 80):
        producer.produce(system.events_topic, value, key, 0, headers=headers)
    assert producer.flush(30) == 0
    worker = system.worker()
    until(lambda: system.value("select count(*) from mms.rejected_events") == 80, 60, "the records")
    assert sanitized(worker) or peak_mib(worker.pid) < MEMORY_MIB


@pytest.mark.timeout(90)
def test_a_hostile_twilio(limits_system):
    """Answers without an end end as unknown, in time; so does a list of messages without one. Nobody else notices."""
    system = limits_system
    with HostileTwilio() as twilio:
        for number, name in PHONES.items():
            system.destination(name, to=number)
        worker, _ = start(system, SHORT, twilio_base_url=twilio.url, twilio_timeout="3s", lease="13s", reconcile_delay="3s")
        forget_peak(worker.pid)
        begin = now(system)
        for name in PHONES.values():
            system.produce(system.event(f"to-{name}", name))
        until(lambda: system.value("select count(*) from mms.attempts where outcome = 'unknown'") == len(PHONES), 30, "the answers")
        figures = pace(system, begin, now(system))
        undecided = "select count(*) from mms.attempts where resolution like %s"
        until(lambda: system.value(undecided, "%list of messages is too long%") == len(PHONES), 40, "the lists", interval=0.2)
        rows = system.query(
            "select event_id, reason, error_message, extract(epoch from finished_at - started_at)::float8 as seconds"
            "  from mms.attempt_history where destination_id !~ '^(good|mark)'"
        )
        system.query("update mms.deliveries set state = 'failed' where state = 'unknown'")
    found = {row["event_id"].removeprefix("to-"): row for row in rows}
    assert all(row["seconds"] < 10 for row in rows), rows
    for name in ("endless-body", "gib-body"):
        assert (found[name]["reason"], found[name]["error_message"]) == ("ANSWER_CUT", "the answer's body has no end in sight")
        assert found[name]["seconds"] < found["silence"]["seconds"], "read until the time limit"
    for name in ("endless-headers", "endless-interim"):
        assert "headers have no end in sight" in found[name]["error_message"], found[name]
    assert found["silence"]["reason"] == "TIMEOUT"
    assert figures["slots_used"] > SLOTS_USED, figures
    assert sanitized(worker) or peak_mib(worker.pid) < MEMORY_MIB
