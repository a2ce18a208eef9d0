"""The attempt history tells the whole story of an event: every column, and in words."""

from datetime import timedelta, timezone

from harness.system import OWL, TOKEN
from harness.wait import until, until_equal
from test_statuses import LATER, receiver

TO = "+15557770000"
SECRETS = (TOKEN, "Authorization", "Basic ")

# What every attempt has, once its result was published.
ALWAYS = {
    "event_id", "destination_id", "attempt", "outcome", "final", "slot_at", "finished_at", "worker", "published_at", "result_id",
    "delivery_state", "taken_in_at", "message_status_final", "story", "delivery_id", "replay",
}
# What it has besides.
SENT = {"started_at", "request", "timing"}
ANSWERED = {"http_status", "response_headers", "response_body"}
WRONG = {"reason", "error_message", "advice"}
TOLD = {"message_status", "message_status_at"}


def history(system, event_id):
    """The event's attempts, once all of their results are published."""
    unpublished = (
        "select (select count(*) from mms.attempts where published_at is null)"
        " + (select count(*) from mms.message_statuses where published_at is null and advanced)"
    )
    until_equal(lambda: system.value(unpublished), 0, 40, "what isn't published")
    rows = system.query("select * from mms.attempt_history where event_id = %s order by attempt", event_id)
    assert [row["attempt"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        for secret in SECRETS:
            assert secret not in str(row), secret
    return rows


def filled(row):
    return {name for name, value in row.items() if value is not None}


def clock(moment):
    """As stories write it: UTC, to the millisecond."""
    moment = moment.astimezone(timezone.utc)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def slot(row):
    return f"Slot {row['slot_at'].astimezone(timezone.utc):%Y-%m-%d} {clock(row['slot_at'])} UTC."


def sent(row, how="", to=TO):
    return f"Sent {how}at {clock(row['started_at'])} to {to} by {row['worker']}."


def answered(row, what):
    took = (row["finished_at"] - row["started_at"]) / timedelta(microseconds=1)
    return f"Twilio answered after {int(took + 500) // 1000} ms with HTTP {what}."


def again(row):
    return f"Tried again at {clock(row['next_attempt_at'])[:8]} at the earliest."


def later(system, row, status):
    """A status, and when it was told."""
    (told,) = system.query(
        "select m.* from mms.message_statuses m join mms.deliveries d on d.destination_id = m.destination_id"
        " and d.id = m.delivery_id where d.event_id = %s and m.attempt = %s and m.status = %s",
        row["event_id"], row["attempt"], status,
    )
    return f"{status} at {clock(told['received_at'])[:8]}"


def test_busy_then_sms_then_undelivered(system):
    """Too many requests, not possible as MMS, accepted as SMS, and lost at the carrier: three attempts, each told to its end."""
    system.sim.fault("error", {"to": TO}, status=429, code=20429, times=1)
    system.sim.fault("error", {"to": TO}, status=400, code=21612, times=1)
    system.sim.life(
        "queued", {"status": "sent", "after_ms": LATER},
        {"status": "undelivered", "after_ms": 600, "error_code": 30003, "error_message": "Unreachable destination handset"},
    )
    system.destination("d", to=TO, sms_fallback=True)
    worker = receiver(system, retry_base="100ms", retry_max="100ms")
    system.produce(system.event("e1", "d", connection_id="con_1"))
    undelivered = "select 1 from mms.message_statuses where status = 'undelivered'"
    until(lambda: system.query(undelivered), 30, "the last status")
    busy, refused, accepted = rows = history(system, "e1")
    sid = system.sim.messages()[0]["sid"]
    for row in rows:
        assert (row["event_id"], row["destination_id"], row["connection_id"]) == ("e1", "d", "con_1")
        assert (row["worker"], row["delivery_state"]) == (worker.id, "accepted")
        assert row["taken_in_at"] <= row["slot_at"] <= row["started_at"] <= row["finished_at"] <= row["published_at"]

    assert filled(busy) == ALWAYS | {"connection_id", "next_attempt_at", "error_code"} | SENT | ANSWERED | WRONG
    assert (busy["outcome"], busy["final"], busy["message_status_final"]) == ("retry", False, False)
    assert busy["story"] == " ".join([
        slot(busy), sent(busy), answered(busy, "429, error 20429"),
        f"Retry (TOO_MANY_REQUESTS): {busy['error_message'].rstrip('. ')}.", again(busy), f"Advice: {busy['advice']}",
    ])

    assert filled(refused) == filled(busy)
    assert (refused["outcome"], refused["final"], refused["http_status"]) == ("retry", False, 400)
    assert refused["error_message"].endswith("; sent as SMS in the next slot")
    assert refused["request"]["parameters"]["MediaUrl"] == [OWL]
    assert refused["story"] == " ".join([
        slot(refused), sent(refused), answered(refused, "400, error 21612"),
        f"Retry (RECIPIENT_UNREACHABLE): {refused['error_message']}.", again(refused), f"Advice: {refused['advice']}",
    ])
    assert refused["slot_at"] >= busy["next_attempt_at"] and accepted["slot_at"] >= refused["next_attempt_at"]

    assert filled(accepted) == (
        ALWAYS | {"connection_id", "message_sid", "error_code", "error_message", "advice", "message_status_reason"}
        | SENT | ANSWERED | TOLD
    )
    assert (accepted["outcome"], accepted["final"], accepted["message_sid"]) == ("accepted", True, sid)
    assert (accepted["message_status"], accepted["message_status_final"]) == ("undelivered", True)
    assert (accepted["error_code"], accepted["error_message"]) == (30003, "Unreachable destination handset")
    assert accepted["message_status_reason"] == "HANDSET_UNREACHABLE" and accepted["message_status_at"] > accepted["finished_at"]
    assert accepted["story"] == " ".join([
        slot(accepted), sent(accepted, "as SMS "), answered(accepted, "201"), f"Accepted as {sid}, queued.",
        f"Later {later(system, accepted, 'sent')}, {later(system, accepted, 'undelivered')}"
        f" (error 30003: Unreachable destination handset) Advice: {accepted['advice']}",
    ])


def test_what_was_refused_without_a_request(system):
    """No start, no answer, no id: only the slot, the reason, and what to do."""
    system.query("insert into mms.opt_outs select %s, '+15550001111', %s, 'd', 'e0'", "AC" + "0123456789abcdef" * 2, TO)
    system.destination("d", to="{{payload.to}}")
    system.worker()
    for event_id, to in (("nobody", "nonsense"), ("opted-out", TO)):
        system.produce({"event_id": event_id, "destination_id": "d", "payload": {"to": to}})
    system.wait_states(failed=2)
    for event_id, reason in (("nobody", "TO_INVALID"), ("opted-out", "RECIPIENT_OPTED_OUT")):
        (row,) = history(system, event_id)
        assert filled(row) - {"request"} == ALWAYS | WRONG, event_id
        assert (row["outcome"], row["reason"], row["final"], row["delivery_state"]) == ("failed", reason, True, "failed")
        words = f"Not sent. Failed ({reason}): {row['error_message'].rstrip('. ')}. Advice: {row['advice']}"
        assert row["story"] == f"{slot(row)} {words}"
    assert system.query("select request from mms.attempt_history where event_id = 'nobody'") == [{"request": None}]
    assert not system.sim.posts()


def test_what_was_unknown_and_found(system):
    """The answer never came: first that nobody knows, and then what Twilio has of it."""
    system.sim.fault("accept_then_drop", {"to": TO}, times=1)
    system.destination("d", to=TO)
    system.worker(reconcile_delay="3s", twilio_timeout="2s", lease="15s")
    system.produce(system.event("e1", "d"))
    until(lambda: system.states() == {"unknown": 1}, 20, "the loss")
    (row,) = history(system, "e1")
    assert filled(row) == ALWAYS | SENT | WRONG
    assert (row["outcome"], row["reason"], row["final"]) == ("unknown", "CONNECTION_LOST", False)
    words = f"Unknown (CONNECTION_LOST): {row['error_message'].rstrip('. ')}. Advice: {row['advice']}"
    assert row["story"] == f"{slot(row)} {sent(row)} {words}"

    system.wait_states(accepted=1, timeout=40)
    (found,) = history(system, "e1")
    sid = system.sim.messages()[0]["sid"]
    assert filled(found) == ALWAYS | SENT | {"message_sid", "message_status", "resolution", "resolved_at"}
    assert (found["outcome"], found["message_sid"], found["message_status"]) == ("accepted", sid, "queued")
    assert found["final"] and not found["message_status_final"] and found["result_id"] != row["result_id"]
    assert found["resolved_at"] > found["finished_at"] and found["finished_at"] == row["finished_at"]
    words = f"Accepted as {sid}, queued. Looked into: {found['resolution'].rstrip('. ')}."
    assert found["story"] == f"{slot(found)} {sent(found)} {words}"
