"""Trouble stays at the destination: parking, probes, and what the health view says."""

from contextlib import closing

from harness.statements import Ended, Statements
from harness.system import ACCOUNT, TOKEN
from harness.wait import until

TO = "+15557770000"

# A second of pacing lasts 5 ms: what is written into the future is written that much nearer.
SPEED = 200
_FAST = f"""
    create function public.fast_moment(moment timestamptz, was timestamptz) returns timestamptz language sql as $$
        select case when moment is distinct from was and isfinite(moment) and moment > clock_timestamp()
                    then clock_timestamp() + (moment - clock_timestamp()) / {SPEED} else moment end $$;
    create function fast_pacing() returns trigger language plpgsql as $$
    begin
        new.next_slot_at := public.fast_moment(new.next_slot_at, old.next_slot_at);
        new.parked_until := public.fast_moment(new.parked_until, old.parked_until);
        new.due_at := public.fast_moment(new.due_at, old.due_at);
        return new;
    end $$;
    create trigger fast_pacing before update on mms.pacing for each row execute function fast_pacing();
"""


def health(system, id="d"):
    return system.query("select * from mms.destination_health where destination_id = %s", id)[0]


def auth(token):
    return {"account_sid": ACCOUNT, "auth_token": token}


def test_wrong_credentials_do_not_burn_the_backlog(system):
    """
    A thousand events wait at a destination whose token is wrong, for ten minutes and for a thousand slots (a second lasts
    5 ms in this test): a handful of requests, and all are delivered once the row is mended.
    """
    system.query(_FAST)
    system.sim.set_token(ACCOUNT, TOKEN)
    system.destination("d", to=TO, auth=auth("wrong"))
    system.produce_many([system.event(f"e{i}", "d") for i in range(1000)])
    worker = system.worker()
    until(lambda: system.value("select count(*) from mms.deliveries") == 1000, 60, "the events to be taken in")
    until(lambda: system.attempts(), 30, "a first probe")
    began = system.value("select clock_timestamp()")
    until(lambda: system.value("select clock_timestamp() > %s + interval '600 seconds' / %s", began, SPEED), 30, "ten minutes")
    requests = system.sim.posts()
    assert 5 <= len(requests) <= 9, [r["arrived_at"] for r in requests]
    assert {r["status"] for r in requests} == {401}
    assert system.value("select count(*) from mms.deliveries where budget_spent > 0 or state = 'failed'") == 0
    assert {(a["outcome"], a["reason"]) for a in system.attempts()} == {("retry", "AUTHENTICATION_FAILED")}
    assert all("auth_token" in a["advice"] for a in system.attempts())
    seen = health(system)
    assert seen["parked_reason"] == "AUTHENTICATION_FAILED" and seen["pending"] + len(requests) >= 1000

    system.destination("d", to=TO, auth=auth(TOKEN))
    system.wait_states(accepted=1000, timeout=120)
    assert len(system.sim.messages()) == 1000
    assert system.value("select count(*) from mms.deliveries where budget_spent <> 1") == 0
    seen = health(system)
    assert (seen["condition"], seen["trouble"], seen["parked_reason"], seen["parked_since"]) == ("active", 0, None, None)
    assert worker.alive


def test_health_says_why_since_when_and_the_next_probe(system):
    system.sim.set_token(ACCOUNT, TOKEN)
    system.destination("d", to=TO, auth=auth("wrong"))
    system.produce(system.event("e1", "d"), system.event("e2", "d"))
    system.worker()
    until(lambda: health(system)["condition"] == "parked", 30, "parking")
    first = health(system)
    now = system.value("select clock_timestamp()")
    assert first["trouble"] == 1 and first["pending"] == 2
    assert first["parked_reason"] == first["last_reason"] == "AUTHENTICATION_FAILED"
    assert first["parked_since"] <= now <= first["next_probe_at"]
    assert 9 < (first["parked_until"] - first["last_attempt_at"]).total_seconds() < 11
    assert first["next_probe_at"] == first["parked_until"]
    assert first["last_advice"].endswith(".")
    until(lambda: health(system)["trouble"] == 2, 30, "the second probe")
    second = health(system)
    assert second["parked_since"] == first["parked_since"]
    assert 19 < (second["parked_until"] - second["last_attempt_at"]).total_seconds() < 21

    began = system.value("select clock_timestamp()")
    system.destination("d", to=TO, auth=auth(TOKEN))
    system.wait_states(accepted=2, timeout=10)
    assert (system.attempts()[-2]["started_at"] - began).total_seconds() < 3, "a mended row is tried at once"
    well = health(system)
    assert (well["condition"], well["parked_since"], well["next_probe_at"], well["last_advice"]) == ("active", None, None, None)


def test_what_is_in_flight_together_is_one_failure(system):
    """Three sends are under way when the trouble begins: the next pause is the second one, not the fourth."""
    system.destination("d", to=TO)
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        statements.intake(*[(f"e{i}", "d") for i in range(3)])
        claimed = [statements.claim()[0] for _ in range(3)]
        for row in claimed:
            statements.evidence(Ended(row, state="pending", parked_until=statements.in_ms(0)))
        assert health(system)["trouble"] == 1
        (probe,) = statements.claim(look_ahead=1_000_000)
        statements.evidence(Ended(probe, state="pending", parked_until=statements.in_ms(0)))
        assert health(system)["trouble"] == 2


def test_one_probe_at_a_time(system):
    """However long a probe takes, nothing else is sent meanwhile; and one that says nothing is followed by another."""
    system.sim.set_token(ACCOUNT, TOKEN)
    system.destination("d", to=TO, auth=auth("wrong"))
    system.produce_many([system.event(f"e{i}", "d") for i in range(20)])
    system.worker(lease="25s", twilio_timeout="15s")
    until(lambda: health(system)["trouble"] == 1, 30, "parking")
    system.sim.set_token(ACCOUNT, "other")
    system.sim.fault("delay", {"to": TO}, ms=7000, times=1)
    until(lambda: len(system.sim.posts()) == 2, 30, "the second probe")
    until(lambda: health(system)["trouble"] == 2, 30, "its answer")
    assert len(system.sim.posts()) == 2, "nothing else was sent in seven seconds"

    # A probe whose answer never comes is unknown, and no proof of anything: the next one is sent when its lease is over.
    system.sim.set_token(ACCOUNT, "wrong")
    system.sim.fault("drop", {"to": TO}, times=1)
    system.query("update mms.pacing set parked_until = clock_timestamp(), due_at = clock_timestamp()")
    until(lambda: len(system.sim.posts()) == 3, 30, "the third probe")
    until(lambda: system.states().get("accepted", 0) >= 2, 60, "what comes after it")
    gap = system.sim.posts()[3]["arrived_at"] - system.sim.posts()[2]["arrived_at"]
    assert gap < 30, gap


def test_a_probe_that_fails_for_its_own_fault_holds_nobody(system):
    """The event is to blame, without a request or with one: the next one is tried a slot later."""
    system.sim.set_token(ACCOUNT, TOKEN)
    system.destination("d", to="{{payload.to}}", auth=auth("wrong"))
    numbers = ["nonsense", "nonsense", "+15005550009", "+15557770001", "+15557770002"]
    events = [{"event_id": f"e{i}", "destination_id": "d", "payload": {"to": to}} for i, to in enumerate(numbers)]
    system.produce({**events[3], "event_id": "e9"})
    system.worker()
    until(lambda: health(system)["trouble"] == 1, 30, "parking")
    system.query("update mms.deliveries set next_attempt_at = next_attempt_at + interval '1 minute'")
    system.produce(*events)
    until(lambda: system.states() == {"pending": 6}, 20, "the events to be taken in")
    system.sim.set_token(ACCOUNT, "wrong")
    until(lambda: system.states().get("accepted") == 2, 40, "the others")
    times = {a["event_id"]: a for a in system.attempts() if a["event_id"] != "e9"}
    assert [times[f"e{i}"]["outcome"] for i in range(5)] == ["failed"] * 3 + ["accepted"] * 2
    assert (times["e4"]["finished_at"] - times["e0"]["finished_at"]).total_seconds() < 6


def test_too_many_requests_park_from_one_second_on(system):
    """429 with Retry-After, without, and with code 21611: what waits is parked, and only the busy ones count."""
    system.sim.fault("error", {"to": "+15557770001"}, status=429, code=20429, times=2)
    system.sim.fault("error", {"to": "+15557770002"}, status=429, code=20429, retry_after=5, times=1)
    system.sim.fault("error", {"to": "+15557770003"}, status=429, code=21611, times=1)
    for i in (1, 2, 3):
        system.destination(f"d{i}", to=f"+1555777000{i}")
        system.produce(*[system.event(f"e{i}.{j}", f"d{i}") for j in range(3)], key=str(i))
    system.worker(retry_base="100ms", retry_max="1s")
    system.wait_states(accepted=9, timeout=60)
    sent = {i: [p["arrived_at"] for p in system.sim.posts(to=f"+1555777000{i}")] for i in (1, 2, 3)}
    gaps = {i: [round(b - a, 2) for a, b in zip(sent[i], sent[i][1:])] for i in sent}
    assert len(sent[1]) == 5 and 1 <= gaps[1][0] < 3 and 2 <= gaps[1][1] < 4, gaps
    assert len(sent[2]) == 4 and 5 <= gaps[2][0] < 8, gaps
    assert len(sent[3]) == 4 and 10 <= gaps[3][0] < 13, gaps
    spent = {r["d"]: r["n"] for r in system.query("select destination_id as d, sum(budget_spent) as n from mms.deliveries group by 1")}
    assert spent == {"d1": 5, "d2": 4, "d3": 3}


def test_a_busy_answer_that_ends_an_event_parks_all_the_same(system):
    system.sim.fault("error", {"to": TO}, status=429, code=20429, retry_after=4, times=1)
    system.destination("d", to=TO)
    system.produce(system.event("e1", "d", retry={"count": 0}), system.event("e2", "d"))
    system.worker()
    system.wait_states(failed=1, accepted=1, timeout=30)
    first, second = [p["arrived_at"] for p in system.sim.posts()]
    assert 4 <= second - first < 8


def test_trouble_with_one_recipient_lets_others_pass(system):
    """A country that isn't enabled parks the destination; but its event goes behind the others, which are sent."""
    system.destination("d", to="{{payload.to}}")
    numbers = ["+15005550003", "+15557770001", "+15557770002", "+15557770003"]
    system.produce(*[{"event_id": f"e{i}", "destination_id": "d", "payload": {"to": to}} for i, to in enumerate(numbers)])
    system.worker()
    until(lambda: system.states() == {"accepted": 3, "pending": 1}, 40, "the others")
    assert system.value("select event_id from mms.deliveries where state = 'pending'") == "e0"
    until(lambda: len(system.attempts("e0")) == 2, 40, "its second turn")
    assert {(a["outcome"], a["reason"]) for a in system.attempts("e0")} == {("retry", "REGION_NOT_ENABLED")}
    assert system.value("select budget_spent from mms.deliveries where event_id = 'e0'") == 0


def test_what_was_under_way_makes_trouble_no_worse(system):
    """Four sends wait for their answers when the first 401 comes: that is one trouble, and one pause."""
    system.sim.set_token(ACCOUNT, "other")
    system.sim.latency(4500)
    system.destination("d", to=TO)
    system.produce_many([system.event(f"e{i}", "d") for i in range(20)])
    system.worker()
    until(lambda: len(system.attempts()) >= 4, 40, "their answers")
    seen = health(system)
    assert seen["trouble"] == 1 and 0 < (seen["parked_until"] - seen["last_attempt_at"]).total_seconds() < 12
