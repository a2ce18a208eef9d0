"""Waiting until everything is done, and saying what is missing if it doesn't come to that."""

import time

import requests
from confluent_kafka import KafkaException

from . import checks

UNFINISHED = """
    select d.event_id, d.destination_id, d.state, d.attempts, d.next_attempt_at::text, d.lease_until::text, d.leased_by,
           d.slot_at::text, p.due_at::text, p.next_slot_at::text, p.parked_until::text
      from mms.deliveries d
      left join mms.pacing p on p.destination_id = d.destination_id
     where d.state <> all(%s)
     order by d.next_attempt_at limit 5"""
INTERVAL = 0.5  # seconds

# Messages whose end isn't known; and the callbacks that are still to come by themselves.
_OPEN = """
    select count(*) from mms.attempts a
     where a.outcome = 'accepted'
       and not exists (select 1 from mms.message_statuses s
                        where s.destination_id = a.destination_id and s.delivery_id = a.delivery_id
                          and s.attempt = a.attempt and s.final)"""
# A message that was sent, or that was asked for in vain, is left alone for minutes and then for hours. These pass here.
_TIME_FLIES = """
    update mms.open_messages set poll_at = clock_timestamp() where poll_at > clock_timestamp() + interval '3 s'"""
TIME_FLIES_EVERY = 4.0  # seconds


class NotSettled(AssertionError):
    """It did not come to an end in time. The text says what is missing."""


def _lag(system):
    """{partition: records that are not committed}"""
    try:
        committed = system.kafka.committed("g-" + system.database, system.events_topic)
        ends = system.kafka.end_offsets(system.events_topic)
    except KafkaException as error:
        return str(error)
    lag = {partition: end - committed.get(partition, 0) for partition, end in ends.items()}
    return {partition: count for partition, count in lag.items() if count}


def _not_ready(workers, worker):
    """What a worker says that it waits for, or None."""
    try:
        status, text = worker.get("/readyz")
    except requests.RequestException as error:
        status, text = None, str(error)
    return None if status == 200 else f"{workers.name(worker)}: {text.strip()}"


def missing(system, decided, workers):
    """What is not done yet, by name; empty when everything is."""
    states = system.states()
    found = {"deliveries": {state: count for state, count in states.items() if state not in checks.FINAL}}
    found["events not taken in"] = len(decided.events) - sum(states.values())
    rejected = system.value("select count(distinct key) from mms.rejected_events")
    found["bad records not rejected"] = len(decided.bad_keys) - rejected
    for table, which in (("attempts", "true"), ("rejected_events", "true"), ("message_statuses", "advanced")):
        left = f"select count(*) from mms.{table} where published_at is null and {which}"
        found[f"{table} not published"] = system.value(left)
    found["callbacks to come"] = system.sim.callbacks_to_come()
    found["messages without an end"] = system.value(_OPEN)
    found["messages still asked for"] = system.value("select count(*) from mms.open_messages")
    if not any(found.values()):  # these take longer to ask
        found["records not committed"] = _lag(system)
        reasons = [_not_ready(workers, worker) for worker in workers.running]
        found["workers not ready"] = [reason for reason in reasons if reason]
    return {name: what for name, what in found.items() if what}


def wait_settled(system, decided, workers, say):
    """Raises NotSettled; checks on the way that no destination is overlooked."""
    deadline = time.monotonic() + decided.scale.settle
    said_at = flew_at = time.monotonic()
    while left := missing(system, decided, workers):
        workers.look()
        workers.measure()
        overlooked = system.overlooked()
        if overlooked:
            raise NotSettled(f"nobody would look at {overlooked[:5]}")
        if time.monotonic() >= deadline:
            unfinished = system.query(UNFINISHED, list(checks.FINAL))
            raise NotSettled(f"not settled within {decided.scale.settle} s: {left}; for example {unfinished}")
        if time.monotonic() >= flew_at + TIME_FLIES_EVERY:
            flew_at = time.monotonic()
            system.query(_TIME_FLIES)
        if time.monotonic() >= said_at + 10:
            said_at = time.monotonic()
            say(f"left: {left}")
        time.sleep(INTERVAL)
