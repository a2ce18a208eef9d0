"""What can't go as MMS goes as SMS, where the destination wants that."""

from harness.system import OWL
from harness.wait import until

TO = "+15557770000"


def test_the_next_slot_sends_it_as_sms(system):
    """A second attempt with its own evidence; the event's place, its retries and the pace are kept. Each code at a destination."""
    codes = {code: f"+155577{code}" for code in (21612, 21621, 21622, 21703)}
    for code, number in codes.items():
        system.sim.fault("error", {"to": number}, code=code, status=400, times=1)
        system.destination(
            f"d{code}", to=number, sms_fallback=True, send_as_mms=True, media_urls=[OWL, "https://example.com/b.png"]
        )
        first, other = (system.event(f"{name}.{code}", f"d{code}") for name in ("e1", "e2"))
        system.produce({**first, "retry": {"count": 0}}, other)
    system.worker()
    system.wait_states(accepted=2 * len(codes), timeout=20)
    results = system.results(3 * len(codes))
    for code, number in codes.items():
        event_id = f"e1.{code}"
        first, second = system.attempts(event_id)
        assert (first["outcome"], first["final"], first["error_code"], first["http_status"]) == ("retry", False, code, 400)
        assert first["error_message"].endswith("sent as SMS in the next slot") and first["advice"]
        assert (second["outcome"], second["final"], second["attempt"]) == ("accepted", True, 2)
        assert second["message_sid"].startswith("SM") or second["message_sid"].startswith("MM")
        assert second["request"]["parameters"]["Body"] == f"{event_id}: hello\n{OWL}\nhttps://example.com/b.png"
        assert not second["request"]["parameters"].get("MediaUrl") and "SendAsMms" not in second["request"]["parameters"]
        assert first["request"]["parameters"]["MediaUrl"] == [OWL, "https://example.com/b.png"]
        assert "as SMS" in second["story"] and "as SMS to" not in first["story"]
        posts = system.sim.posts(to=number)
        assert [len(p["media_urls"]) for p in posts] == [2, 0, 2], "the second is the first one's, the third the other event's"
        assert all(b["arrived_at"] - a["arrived_at"] >= 1 for a, b in zip(posts, posts[1:]))
        assert system.value("select budget_spent from mms.deliveries where event_id = %s", event_id) == 1
        health = system.query("select * from mms.destination_health where destination_id = %s", f"d{code}")
        assert [row["parked_since"] for row in health] == [None]
        assert [(r["attempt"], r["outcome"]) for r in results if r["event_id"] == event_id] == [(1, "retry"), (2, "accepted")]


def test_without_the_wish_it_fails(system):
    system.destination("d", to="+15005550002")
    system.destination("never", to="+15005550002", sms_fallback=False)
    system.produce(system.event("e1", "d"), system.event("e2", "never"))
    system.worker()
    system.wait_states(failed=2)
    assert {a["error_code"] for a in system.attempts()} == {21612}


def test_what_is_refused_as_sms_as_well_fails(system):
    """No third way: the magic number refuses both."""
    system.destination("d", to="+15005550002", sms_fallback=True)
    system.produce(system.event("e1", "d"))
    system.worker()
    system.wait_states(failed=1)
    assert [(a["attempt"], a["outcome"]) for a in system.attempts()] == [(1, "retry"), (2, "failed")]


def test_a_lost_sms_is_looked_up_as_one(system):
    """The answer to the SMS never comes; the lookup knows what was sent, and nothing is sent twice."""
    system.sim.fault("error", {"to": TO}, code=21612, status=400, times=1)
    system.sim.fault("accept_then_drop", {"to": TO, "body_contains": "owl.png"}, times=1)
    system.destination("d", to=TO, sms_fallback=True)
    system.produce(system.event("e1", "d"))
    system.worker(reconcile_delay="2s", twilio_timeout="3s", lease="15s")
    system.wait_states(accepted=1, timeout=40)
    assert len(system.sim.messages()) == 1
    attempts = system.attempts()
    assert [(a["attempt"], a["outcome"]) for a in attempts] == [(1, "retry"), (2, "accepted")]
    assert attempts[1]["resolution"]


def test_an_sms_of_a_killed_worker_is_looked_up_as_one(system):
    """Nobody stored what was sent: it is rendered again, as SMS."""
    system.sim.fault("error", {"to": TO}, code=21612, status=400, times=1)
    system.sim.fault("delay", {"to": TO, "body_contains": "owl.png"}, ms=60000, accept_first=True, times=1)
    system.destination("d", to=TO, sms_fallback=True)
    system.produce(system.event("e1", "d"))
    worker = system.worker(reconcile_delay="2s", twilio_timeout="4s", lease="15s")
    until(lambda: len(system.sim.messages()) == 1, 20, "the SMS")
    worker.kill()
    system.worker(reconcile_delay="2s", twilio_timeout="4s", lease="15s")
    system.wait_states(accepted=1, timeout=60)
    assert len(system.sim.messages()) == 1
