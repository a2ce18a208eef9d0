"""The ways through a worker on which each allocation fails in turn, and the worker's settings there."""

from dataclasses import dataclass, field

# Later than the result before is published: no result has to wait for the outbox's sweep.
_RETRY = {"strategy": "linear", "count": 5, "interval": 5000}
# What dead workers leave is for the healthy one: whoever comes between has his own journey to make.
_QUIET = {"lease": "10m", "status_poll_delay": "10m"}

_DONE = """
    select d.state = 'accepted'
           and not exists (select 1 from mms.attempts a
                            where a.destination_id = d.destination_id and a.delivery_id = d.id and a.published_at is null)
           and not exists (select 1 from mms.message_statuses s
                            where s.destination_id = d.destination_id and s.delivery_id = d.id
                              and s.advanced and s.published_at is null) as done,
           exists (select 1 from mms.message_statuses s
                    where s.destination_id = d.destination_id and s.delivery_id = d.id and s.status = %s) as told
      from mms.deliveries d where d.event_id = %s"""
_SID = "select a.message_sid from mms.attempts a join mms.deliveries d on d.id = a.delivery_id where d.event_id = %s"


@dataclass(frozen=True)
class Journey:
    """
    prepare  brings an event to where the journey begins, before anything is counted: (lane, event)
    begin    sets out
    is_done  it has come to its end, in PostgreSQL and on the status topic
    life     of messages; nobody calls back, but for who does so by hand
    """

    name: str
    prepare: object
    begin: object
    is_done: object
    life: tuple = ("queued", "delivered")
    settings: dict = field(default_factory=lambda: _QUIET)


def _produce(lane, event):
    lane.system.produce(lane.system.event(event["event_id"], event["destination_id"], retry=_RETRY), key=event["event_id"])


def _is_accepted(lane, event):
    return any(row["done"] for row in lane.system.query(_DONE, "", event["event_id"]))


def _is_told(lane, event, status="delivered"):
    return any(row["done"] and row["told"] for row in lane.system.query(_DONE, status, event["event_id"]))


def _call_back(lane, event, status="delivered"):
    lane.system.sim.move(lane.system.value(_SID, event["event_id"]), status)


def _send(lane, event):
    """And the first callback: a process' first signature loads much of OpenSSL, two thousand allocations."""
    _produce(lane, event)
    lane.wait(lambda: _is_accepted(lane, event), "the message to be accepted")
    _call_back(lane, event, "sent")
    lane.wait(lambda: _is_told(lane, event, "sent"), "the first callback")


def _break(lane, event):
    lane.system.sim.fault("status", {"to": event["to"]}, status=500, times=1)


JOURNEYS = {
    journey.name: journey
    for journey in (
        # From the event topic to the status topic.
        Journey("event", lambda lane, event: None, _produce, _is_accepted),
        # Twilio tells what became of a message: from the connection to the status topic.
        Journey("callback", _send, _call_back, _is_told, life=("queued",)),
        # Twilio answers 500, is asked, doesn't have the message, and gets it.
        Journey(
            "lookup", _break, _produce, _is_accepted,
            settings={**_QUIET, "reconcile_delay": "2s", "twilio_timeout": "1s"},
        ),
    )
}
