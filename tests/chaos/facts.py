"""What is there in the end, from the simulator, the tables and the topics, each asked by itself."""

import base64
from dataclasses import dataclass

from harness.system import ACCOUNT

from .plan import SECRET

STATUSES = """
    select s.destination_id, s.delivery_id, d.event_id, s.attempt, s.message_sid, s.status, s.advanced, s.source,
           s.result_id::text, s.published_at is not null as published
      from mms.message_statuses s
      join mms.deliveries d on d.destination_id = s.destination_id and d.id = s.delivery_id"""
DELIVERIES = "select destination_id, id, event_id, state, attempts from mms.deliveries"
ATTEMPTS = """
    select a.destination_id, a.delivery_id, d.event_id, a.attempt, a.result_id::text, a.outcome, a.reason, a.final,
           a.message_sid, a.http_status, a.worker, a.published_at is not null as published, a.resolution,
           h.message_status
      from mms.attempts a
      join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id
      join mms.attempt_history h using (result_id)
     order by 1, 2, 4"""
REJECTED = """
    select topic, partition, "offset", result_id::text, reason, published_at is not null as published
      from mms.rejected_events"""


@dataclass
class Facts:
    """What checks.py describes."""

    expected: list
    records: list
    bad_keys: set
    deliveries: list
    attempts: list
    statuses: list
    rejected: list
    messages: list
    foreign: set
    gaps: dict
    results: list
    dead_letters: list
    committed: dict
    ends: dict
    overlooked: list
    still_asked_for: list
    secrets: dict
    posts: int
    callbacks: list


def _text(value):
    return None if value is None else value.decode(errors="replace")


def _records(system):
    return [
        {"partition": record.partition, "offset": record.offset, "key": _text(record.key), "value": record.value}
        for record in system.kafka.consume(system.events_topic, timeout=60)
    ]


def _results(records):
    return [
        {**record.json(), "partition": record.partition, "offset": record.offset, "key": _text(record.key)}
        for record in records
    ]


def _dead_letters(records):
    return [
        {"source": _text(dict(record.headers).get("mms-source")), "key": _text(record.key), "value": record.value}
        for record in records
    ]


def _secrets(system, results):
    """Where the auth token, or the header made of it, can be read. Faults have quoted it to the workers."""
    forms = [SECRET, base64.b64encode(f"{ACCOUNT}:{SECRET}".encode()).decode()]

    def count(texts):
        return sum(form in text for text in texts for form in forms)

    rows = system.value(
        "select count(*) from mms.attempts a where strpos(a::text, %s) > 0 or strpos(a::text, %s) > 0", *forms
    )
    return {
        "the workers' logs": count(worker.log_text() for worker in system.workers),
        "mms.attempts": rows,
        "the status topic": count(_text(record.value) for record in results),
    }


def gather(system, decided, foreign):
    results = system.kafka.consume(system.results_topic, timeout=60)
    return Facts(
        expected=decided.expected(),
        records=_records(system),
        bad_keys=decided.bad_keys,
        deliveries=system.query(DELIVERIES),
        attempts=system.query(ATTEMPTS),
        statuses=system.query(STATUSES),
        rejected=system.query(REJECTED),
        messages=system.sim.messages(),
        foreign=foreign,
        gaps=system.sim.gaps(),
        results=_results(results),
        dead_letters=_dead_letters(system.kafka.consume(system.dead_letters_topic, timeout=60)),
        committed=system.kafka.committed("g-" + system.database, system.events_topic),
        ends=system.kafka.end_offsets(system.events_topic),
        overlooked=system.overlooked(),
        still_asked_for=system.query("select destination_id, message_sid, polls from mms.open_messages"),
        secrets=_secrets(system, results),
        posts=len(system.sim.posts()),
        callbacks=system.sim.callbacks(),
    )
