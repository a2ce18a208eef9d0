"""What Twilio or the network answers, and what becomes of the delivery."""

import json

import pytest

from harness.gate import Gate
from harness.system import TOKEN
from harness.wait import until

TO = "+15557770000"

# What is answered, and what the one delivery ends as. `stored`: how many messages exist at Twilio then.
# Anything after bytes have left, without a clear answer, is unknown: never sent again by itself.
ANSWERS = [
    # name, fault, parameters, state, outcome, reason, http status, code, stored
    ("accepted late", "delay", {"ms": 1500}, "accepted", "accepted", None, 201, None, 1),
    ("accepted, then dropped", "accept_then_drop", {}, "unknown", "unknown", "CONNECTION_LOST", None, None, 1),
    ("accepted, then reset", "accept_then_reset", {}, "unknown", "unknown", "CONNECTION_LOST", None, None, 1),
    ("dropped unseen", "drop", {}, "unknown", "unknown", "CONNECTION_LOST", None, None, 0),
    ("no answer in time", "delay", {"ms": 60000, "accept_first": True}, "unknown", "unknown", "TIMEOUT", None, None, 1),
    ("201 cut short", "accept_cut", {}, "unknown", "unknown", "ANSWER_CUT", 201, None, 1),
    ("201 that is no JSON", "accept_garbage", {}, "unknown", "unknown", "ANSWER_UNREADABLE", 201, None, 1),
    ("201 without a SID", "accept_no_sid", {}, "unknown", "unknown", "ANSWER_UNREADABLE", 201, None, 1),
    ("201 of 1 MB", "huge_body", {"bytes": 1000000}, "unknown", "unknown", "ANSWER_UNREADABLE", 201, None, 1),
    ("HTML 502", "status", {"status": 502}, "unknown", "unknown", "SERVER_ERROR", 502, None, 0),
    ("HTML 503", "status", {"status": 503}, "unknown", "unknown", "SERVER_ERROR", 503, None, 0),
    ("HTML 504, accepted", "status", {"status": 504, "accept": True}, "unknown", "unknown", "SERVER_ERROR", 504, None, 1),
    ("500 with a code", "error", {"status": 500, "code": 20500}, "unknown", "unknown", "SERVER_ERROR", 500, 20500, 0),
    ("redirect", "status", {"status": 302}, "pending", "retry", "REDIRECTED", 302, None, 0),
    ("opted out", "error", {"status": 400, "code": 21610}, "failed", "failed", "RECIPIENT_OPTED_OUT", 400, 21610, 0),
    ("a new code", "error", {"status": 400, "code": 29999}, "failed", "failed", "REQUEST_REFUSED", 400, 29999, 0),
    ("plain 400", "status", {"status": 400}, "failed", "failed", "REQUEST_REFUSED", 400, None, 0),
    ("queue full", "error", {"status": 429, "code": 21611}, "pending", "retry", "SENDER_QUEUE_FULL", 429, 21611, 0),
    ("bad token", "error", {"status": 401, "code": 20003}, "pending", "retry", "AUTHENTICATION_FAILED", 401, 20003, 0),
    ("no account", "error", {"status": 404, "code": 20404}, "pending", "retry", "ACCOUNT_NOT_FOUND", 404, 20404, 0),
    ("busy", "error", {"status": 429, "code": 20429}, "pending", "retry", "TOO_MANY_REQUESTS", 429, 20429, 0),
]


def test_answers(system):
    """Each answer for a destination of its own, all at once."""
    for i, (_, fault, parameters, *_) in enumerate(ANSWERS):
        number = f"+1555777{i:04}"
        system.sim.fault(fault, {"to": number}, **parameters)
        system.destination(f"d{i}", to=number)
        system.produce(system.event(f"e{i}", f"d{i}"), key=str(i))
    system.worker(twilio_timeout="4s", lease="20s", retry_base="1h", retry_max="1h")
    until(lambda: len(system.attempts()) >= len(ANSWERS), 60, "an attempt of each")
    results = {}

    def all_results():
        results.update({r["event_id"]: r for r in system.results() if r["attempt"] == 1})
        return len(results) == len(ANSWERS)

    until(all_results, 30, "a result of each")
    for i, (name, _, _, state, outcome, reason, status, code, stored) in enumerate(ANSWERS):
        attempt = system.attempts(f"e{i}")[0]
        seen = (attempt["delivery_state"], attempt["outcome"], attempt["reason"], attempt["http_status"], attempt["error_code"])
        assert seen == (state, outcome, reason, status, code), name
        assert len(system.sim.messages(to=f"+1555777{i:04}")) == stored, name
        result = results[f"e{i}"]
        assert (result["outcome"], result["reason"], result["http_status"]) == (outcome, reason, status), name
        assert result["final"] == (state in ("accepted", "failed")), name
        assert attempt["started_at"] and attempt["request"]["parameters"]["To"] == f"+1555777{i:04}", name
    # Destinations in trouble are parked, and their deliveries cost nothing.
    lasting = ("REDIRECTED", "SENDER_QUEUE_FULL", "AUTHENTICATION_FAILED", "ACCOUNT_NOT_FOUND")
    health = system.query("select destination_id, condition, parked_reason from mms.destination_health")
    # Too many requests is over after a second.
    parked = {h["destination_id"] for h in health if h["condition"] == "parked" and h["parked_reason"] != "TOO_MANY_REQUESTS"}
    assert parked == {f"d{i}" for i, answer in enumerate(ANSWERS) if answer[5] in lasting}
    reasons = {h["destination_id"]: h["parked_reason"] for h in health if h["parked_reason"]}
    assert reasons == {f"d{i}": answer[5] for i, answer in enumerate(ANSWERS) if answer[5] in (*lasting, "TOO_MANY_REQUESTS")}
    assert system.value("select count(*) from mms.deliveries where state = 'unknown' and next_attempt_at is null") == 0


def test_a_post_is_never_repeated_by_the_http_library(system):
    """A kept-alive connection that dies after the request was read: libcurl alone would send it again."""
    system.destination("d", to=TO)
    system.worker().wait_ready()
    system.produce(system.event("first", "d"))
    system.wait_states(accepted=1)
    fault = system.sim.fault("close_kept_alive", {"to": TO}, times=1)
    system.produce(system.event("second", "d"))
    system.wait_states(accepted=1, unknown=1)
    assert system.sim.faults()[0]["hits"] == 1, "the connection was not reused; the test shows nothing"
    system.sim.clear(fault)
    # A slot later a third message comes through; the second was received once and is not sent again.
    system.produce(system.event("third", "d"))
    system.wait_states(accepted=2, unknown=1)
    assert [post["body"] for post in system.sim.posts()] == ["first: hello", "second: hello", "third: hello"]
    attempt = system.attempts("second")[0]
    assert (attempt["reason"], attempt["http_status"]) == ("CONNECTION_LOST", None)


def test_an_unknown_send_is_left_alone(system):
    """It stays unknown while everything else goes on."""
    system.sim.fault("accept_then_drop", {"to": TO}, times=1)
    system.destination("d", to=TO)
    system.worker()
    system.produce(*[system.event(f"e{i}", "d") for i in range(3)])
    system.wait_states(accepted=2, unknown=1)
    assert len(system.sim.posts()) == 3
    assert system.value("select unknown from mms.destination_health") == 1
    result = next(r for r in system.results(3) if r["event_id"] == "e0")
    assert (result["outcome"], result["final"], result["next_attempt_at"]) == ("unknown", False, None)


def test_retries_follow_the_policy(system):
    """429 is retried after Retry-After at least, by the connection's policy or the default, until it is used up."""
    system.sim.fault("error", {"to": TO}, status=429, code=20429, retry_after=2, times=1)
    system.sim.fault("error", {"to": "+15557770001"}, status=429, code=20429)
    system.sim.fault("error", {"to": "+15557770002"}, status=429, code=20429)
    for i in range(3):
        system.destination(f"d{i}", to=f"+1555777000{i}")
    linear = {"strategy": "linear", "count": 2, "interval": 10}
    system.produce(
        system.event("asked", "d0"),
        system.event("linear", "d1", retry=linear),
        system.event("unlisted", "d2", retry={**linear, "response_status_codes": ["500-599"]}),
    )
    system.worker(retry_base="10ms", retry_max="20ms")
    system.wait_states(accepted=1, failed=2)
    asked = system.attempts("asked")
    assert [a["outcome"] for a in asked] == ["retry", "accepted"]
    assert (asked[1]["started_at"] - asked[0]["finished_at"]).total_seconds() >= 2.0
    assert asked[0]["response_headers"]["retry-after"] == "2"
    assert [a["outcome"] for a in system.attempts("linear")] == ["retry", "retry", "failed"]
    assert "no more attempts" in system.attempts("linear")[-1]["error_message"]
    assert [a["outcome"] for a in system.attempts("unlisted")] == ["failed"]
    assert all(gap["early"] == 0 for gap in system.sim.gaps().values())


def test_twilio_out_of_reach(system):
    """Nothing is spent and nobody parked while Twilio can't be reached, and everything goes out once it can."""
    numbers = {f"d{i}": f"+1555777000{i}" for i in range(5)}
    for destination_id, number in numbers.items():
        system.destination(destination_id, to=number)
    with Gate(system.sim.base_url) as gate:
        worker = system.worker(twilio_base_url=gate.url).wait_ready()
        system.produce(*[system.event(f"{d}-{i}", d) for i in range(3) for d in numbers])
        until(lambda: "\ntwilio: " in "\n" + worker.get("/readyz")[1], 30, "/readyz to name Twilio")
        until(lambda: worker.metric("mms_twilio_probes_total") >= 1 and worker.metric("mms_live_deliveries") == 0, 30, "a probe")
        attempts = system.attempts()
        assert {(a["outcome"], a["reason"], a["started_at"]) for a in attempts} == {("retry", "NOT_CONNECTED", None)}
        assert {a["event_id"] for a in attempts} <= {f"{d}-0" for d in numbers}, "the others must wait"
        probes = worker.metric("mms_twilio_probes_total")
        until(lambda: worker.metric("mms_twilio_probes_total") >= probes + 1, 30, "another probe")
        assert len(system.attempts()) == len(attempts), "held, and goes on trying"
        assert system.states() == {"pending": 15}
        assert system.value("select max(budget_spent) from mms.deliveries") == 0
        assert system.value("select count(*) from mms.destination_health where condition = 'parked' or trouble > 0") == 0
        assert len(worker.log_lines("not ready, trying again")) == 1
        gate.open()
        system.wait_states(accepted=15, timeout=60)
        assert worker.get("/readyz")[0] == 200
        bodies = [post["body"].removesuffix(": hello") for post in system.sim.posts()]
        assert len(bodies) == 15
        for destination_id in numbers:
            assert [body for body in bodies if body.startswith(destination_id)] == [f"{destination_id}-{i}" for i in range(3)]


def test_expiry(system):
    """A delivery that waited longer than MMS_EXPIRE_AFTER is not sent any more."""
    system.destination("d", to=TO)
    system.query("update mms.destinations set disabled_at = now()")
    worker = system.worker(expire_after="1s")
    system.produce(system.event("old", "d"))
    system.wait_states(pending=1)
    until(lambda: system.value("select clock_timestamp() - created_at > interval '1.1 s' from mms.deliveries"), 10, "age")
    system.query("update mms.destinations set disabled_at = null")
    system.wait_states(expired=1)
    assert system.sim.posts() == []
    result = system.results(1)[0]
    assert (result["outcome"], result["reason"], result["final"]) == ("expired", "EXPIRED", True)
    assert worker.alive


def test_an_echoed_token_is_masked(system):
    """A proxy's error page that repeats the Authorization header leaves no trace of it."""
    import base64

    system.sim.fault("echo_authorization", {"to": TO}, status=502)
    system.destination("d", to=TO)
    worker = system.worker(log_level="debug")
    system.produce(system.event("e", "d"))
    system.wait_states(unknown=1)
    basic = base64.b64encode(f"{system.attempts()[0]['request']['url'].split('/')[5]}:{TOKEN}".encode()).decode()
    body = system.attempts("e")[0]["response_body"]
    assert "***" in body, "the page did not echo anything; the test shows nothing"
    written = json.dumps(system.attempts(), default=str) + json.dumps(system.results(1)) + worker.log_text() + worker.get("/metrics")[1]
    assert TOKEN not in written and basic not in written


@pytest.mark.timeout(120)
def test_postgresql_and_kafka_agree_after_a_repeated_batch(system):
    """The same events again, from the beginning of the topic: one delivery each, nothing is sent twice."""
    system.destination("d", to=TO)
    system.produce(*[system.event(f"e{i}", "d") for i in range(3)])
    system.worker()
    system.wait_states(accepted=3)
    system.worker(consumer_group="another-" + system.database)
    until(lambda: sum(system.kafka.committed("another-" + system.database, system.events_topic).values()) >= 3, 30, "a second reading")
    assert system.states() == {"accepted": 3}
    assert len(system.sim.posts()) == 3
