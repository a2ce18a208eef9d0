"""Attempts whose fate is unknown, and how it is found out."""

import json
import os
import signal
import uuid
from contextlib import closing

import psycopg2
import pytest

from harness.fleet import RECONCILE
from harness.statements import Ended, Statements
from harness.system import ACCOUNT
from harness.wait import until

TO = "+15557770000"
FROM = "+15550001111"

# What is answered, and whether Twilio has the message afterwards. All of it is unknown at first.
FATES = [
    # name, fault, parameters, stored
    ("accepted, then dropped", "accept_then_drop", {}, True),
    ("accepted, then reset", "accept_then_reset", {}, True),
    ("dropped unseen", "drop", {}, False),
    ("no answer in time, taken at once", "delay", {"ms": 3000, "accept_first": True}, True),
    ("no answer in time, taken late", "delay", {"ms": 4000}, True),
    ("201 cut short", "accept_cut", {}, True),
    ("201 that is no JSON", "accept_garbage", {}, True),
    ("201 without a SID", "accept_no_sid", {}, True),
    ("HTML 502", "status", {"status": 502}, False),
    ("HTML 504, accepted", "status", {"status": 504, "accept": True}, True),
    ("500 with a code", "error", {"status": 500, "code": 20500}, False),
    ("500 with a code, accepted", "error", {"status": 500, "code": 20500, "accept": True}, True),
]

# Tried again after the result before it is marked as published: none has to wait for the outbox's sweep.
LATER = {"strategy": "linear", "count": 3, "interval": 1000}


def test_fates(system):
    """Each unknown send is found at Twilio and accepted, or surely not there and sent again: once in the end."""
    for i, (_, fault, parameters, _) in enumerate(FATES):
        number = f"+1555777{i:04}"
        system.sim.fault(fault, {"to": number}, times=1, **parameters)
        system.destination(f"d{i}", to=number)
        system.produce(system.event(f"e{i}", f"d{i}", retry=LATER), key=str(i))
    system.worker(**RECONCILE)
    system.wait_states(accepted=len(FATES), timeout=60)
    results = {}

    def all_results():
        results.clear()
        for result in system.results():
            results.setdefault(result["event_id"], []).append(result)
        return sum(any(r["final"] for r in rs) for rs in results.values()) == len(FATES)

    until(all_results, 30, "a final result of each")
    for i, (name, _, _, stored) in enumerate(FATES):
        messages = system.sim.messages(to=f"+1555777{i:04}")
        assert len(messages) == 1, name
        attempts = system.attempts(f"e{i}")
        assert [a["outcome"] for a in attempts] == (["accepted"] if stored else ["retry", "accepted"]), name
        assert attempts[-1]["message_sid"] == messages[0]["sid"], name
        said = "Twilio has the message" if stored else "Twilio did not have the message"
        assert said in attempts[0]["resolution"], name
        assert (attempts[0]["resolved_at"] - attempts[0]["finished_at"]).total_seconds() >= 4.0, name
        expected = [("unknown", False), *([] if stored else [("retry", False)]), ("accepted", True)]
        assert [(r["outcome"], r["final"]) for r in results[f"e{i}"]] == expected, name
        assert len({r["result_id"] for r in results[f"e{i}"]}) == len(expected), name
    assert system.overlooked() == []


def wait_taken(system, to=TO):
    """Waits until Twilio has read a POST to this number."""
    return until(lambda: system.sim.posts(to=to), 30, "a POST")


def wait_unknown(system, event_id):
    """Waits until its attempt is unknown."""
    until(lambda: [a for a in system.attempts(event_id) if a["outcome"] == "unknown"], 30, f"{event_id} unknown")


def lists(system, **fields):
    """The requests for a list of messages whose fields (to=…) are these."""
    gets = [r for r in system.sim.requests() if r["method"] == "GET"]
    return [r for r in gets if all(r[name] == value for name, value in fields.items())]


def wait_final(system, event_id):
    """Waits until a result says that nothing more happens to it by itself; returns its final results."""
    return until(lambda: [r for r in system.results() if r["event_id"] == event_id and r["final"]], 30, "its end")


# ---- workers that are lost ----


def test_lost_workers(system):
    """Killed after its POSTs: what Twilio has isn't sent again, the rest is, and what can't be told is left."""
    sent, lost, changed = (f"+1555777000{i}" for i in range(3))
    for id, number in (("sent", sent), ("lost", lost), ("changed", changed)):
        system.destination(id, to=number)
    victim = system.worker(**RECONCILE, kafka_session_timeout_ms=6000).wait_ready()
    system.sim.fault("hang", {"to": lost}, times=1)
    for number in (sent, changed):
        system.sim.fault("delay", {"to": number}, ms=60_000, accept_first=True)
    retries = {"lost": {"retry": {"strategy": "linear", "count": 0, "interval": 10}}}
    system.produce(*[system.event(id, id, **retries.get(id, {})) for id in ("sent", "lost", "changed")])
    for number in (sent, lost, changed):
        wait_taken(system, number)
    victim.kill()
    system.sim.clear()
    until(lambda: system.states() == {"sending": 3}, 5, "the lost worker's leases")
    assert system.sim.messages(to=lost) == []
    system.destination("changed", to=changed, body_template="another text")
    system.worker(**RECONCILE, reconcile_limit="4s")
    system.wait_states(accepted=2, unknown=1, timeout=60)
    until(lambda: [a for a in system.attempts("changed") if a["final"]], 60, "an end of what can't be told")

    (attempt,) = system.attempts("sent")
    assert (attempt["outcome"], attempt["final"]) == ("accepted", True) and "WORKER_LOST" in attempt["resolution"]
    assert [attempt["message_sid"]] == [m["sid"] for m in system.sim.messages(to=sent)]
    assert len(system.sim.posts(to=sent)) == 1

    # Although its policy allows no retry: a lost worker is not the event's fault.
    assert [a["outcome"] for a in system.attempts("lost")] == ["retry", "accepted"]
    assert len(system.sim.messages(to=lost)) == 1

    (attempt,) = system.attempts("changed")
    assert (attempt["outcome"], attempt["delivery_state"]) == ("unknown", "unknown")
    assert "a person has to decide" in attempt["resolution"] and "changed" in attempt["resolution"]
    rows = system.query("select lookup_at::text, finished_at from mms.deliveries where event_id = 'changed'")
    assert [r["lookup_at"] for r in rows] == ["infinity"] and rows[0]["finished_at"] is not None
    assert len(system.sim.posts(to=changed)) == 1

    # What their worker did not report is published by the outbox's sweep, once it is old enough.
    system.query("update mms.attempts set resolved_at = resolved_at - interval '16 s' where published_at is null")
    assert [(r["outcome"], r["reason"]) for r in wait_final(system, "changed")] == [("unknown", "WORKER_LOST")]


def test_a_slow_worker_changes_nothing(system):
    """Stopped for longer than its lease with the answer on its way, it finds that others have found out."""
    system.destination("d", to=TO)
    system.sim.latency(500)
    slow = system.worker(**RECONCILE, kafka_session_timeout_ms=6000).wait_ready()
    system.produce(system.event("e", "d"))
    wait_taken(system)
    os.kill(slow.pid, signal.SIGSTOP)
    system.worker(**RECONCILE)
    system.wait_states(accepted=1, timeout=60)
    columns = "to_jsonb(a) - 'published_at' as attempt"
    before = system.query(f"select {columns} from mms.attempts a")
    os.kill(slow.pid, signal.SIGCONT)
    until(lambda: slow.log_lines("attempt"), 30, "the slow worker's view of it")
    assert slow.stop() == 0  # what it has to write is written
    assert system.query(f"select {columns} from mms.attempts a") == before
    stands = before[0]["attempt"]["result_id"]
    assert {r["result_id"] for r in system.results() if r["outcome"] == "accepted"} <= {stands}
    assert len(system.sim.posts()) == 1


def test_stopped_while_it_asks(system):
    """SIGTERM ends a worker whose lists don't come. Nothing is concluded, and others ask again."""
    system.destination("d", to=TO)
    system.query("update mms.destinations set disabled_at = now()")
    for i in range(20):
        plant_unknown(system, "d", f"+1555777{i:04}", f"e{i}")
    hang = system.sim.fault("hang", {"method": "GET"})
    worker = system.worker(**RECONCILE)
    until(lambda: len(lists(system)) >= 16, 20, "as many lists as are asked for at a time")
    before = system.attempts()
    assert worker.stop(timeout=10) == 0
    assert system.attempts() == before
    assert system.states() == {"unknown": 20}
    system.sim.clear(hang)
    system.query("update mms.deliveries set lookup_lease = clock_timestamp()")
    system.worker(**RECONCILE)
    system.wait_states(pending=20)


def test_lookups_can_be_switched_off(system):
    """With a limit below the delay all of it is left to people, and Twilio is not asked."""
    system.destination("d", to=TO)
    system.sim.fault("drop", {"to": TO}, times=1)
    system.worker(**RECONCILE, reconcile_limit="1s")
    system.produce(system.event("e", "d"))
    until(lambda: [a for a in system.attempts("e") if a["final"]], 60, "an end")
    assert "forbids" in system.attempts("e")[0]["resolution"]
    assert [r["method"] for r in system.sim.requests()] == ["POST"]


# ---- what is there already ----


def plant_unknown(system, destination_id, to, *event_ids, ago=180):
    """Deliveries whose only attempt was made so many seconds ago and is unknown, and which are due to be looked up."""
    request = {
        "url": f"{system.sim.base_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        "parameters": {"To": to, "From": FROM, "MediaUrl": []},
    }
    system.query(
        """
        with d as (
            insert into mms.deliveries
                   (destination_id, event_id, event, source_topic, source_partition, source_offset, state, attempts,
                    budget_spent, next_attempt_at, leased_by, lease_until, slot_at, lookup_at)
            select %s, e, '{}', e, 0, 0, 'unknown', 1, 1, now(), 'another', now(), now() - %s * interval '1 s', now()
              from unnest(%s) as e
            returning destination_id, id, event_id, slot_at
        )
        insert into mms.attempts
               (destination_id, delivery_id, attempt, result_id, outcome, reason, final, slot_at, started_at,
                finished_at, worker, published_at, request)
        select d.destination_id, d.id, 1, gen_random_uuid(), 'unknown', 'TIMEOUT', false, d.slot_at, d.slot_at,
               d.slot_at + interval '2 s', 'another', now(),
               jsonb_set(%s::jsonb, '{parameters,Body}', to_jsonb(d.event_id))
          from d
        """,
        destination_id, ago, list(event_ids), json.dumps(request),
    )  # fmt: skip


def test_many_of_one_destination(system):
    """More than are taken up at once: each is looked up once, in few lists; a destination that is gone stops nobody."""
    system.destination("many", to=TO)
    system.query("update mms.destinations set disabled_at = now()")
    plant_unknown(system, "many", TO, *[f"many-{i:03}" for i in range(150)])
    plant_unknown(system, "gone", "+15557770001", *[f"gone-{i:03}" for i in range(150)])
    system.sim.latency(150)
    for _ in range(2):
        system.worker(**RECONCILE)
    system.wait_states(pending=150, unknown=150)
    # A worker that comes second finds them locked, and may get what the first has left: no more than that.
    assert len(lists(system)) <= 4
    assert system.value("select max(lookups) from mms.deliveries where destination_id = 'many'") == 1

    # They are put off with growing pauses, although they come along with each other.
    gone = """
        select min(lookups) >= 3 and min(lookup_at) > clock_timestamp() + interval '1 s' as put_off, max(lookups)
          from mms.deliveries
         where destination_id = 'gone'
    """
    until(lambda: system.query(gone)[0]["put_off"], 20, lambda: f"they are to be put off: {system.query(gone)}")
    assert system.query(gone)[0]["max"] <= 10
    assert lists(system, to="+15557770001") == []


def test_what_has_waited_for_long(system):
    """What an older program left unknown, and what is older than the limit when its first list can't be had."""
    planted = {}
    for event_id, number, ago in (("left", TO, 180), ("old", "+15557770001", 25 * 3600)):
        system.destination(event_id, to=number)
        plant_unknown(system, event_id, number, event_id, ago=ago)
        planted[event_id] = system.sim.plant(ACCOUNT, number, event_id, age_ms=1000 * ago, from_=FROM)
    system.query("update mms.deliveries set lookup_at = default where event_id = 'left'")
    system.sim.fault("status", {"to": "+15557770001", "method": "GET"}, status=503, times=1)
    system.worker(**RECONCILE)
    system.wait_states(accepted=2)
    assert {a["event_id"]: a["message_sid"] for a in system.attempts()} == planted


# ---- what Twilio lists ----


def foreign_messages(system, to):
    """The same text to the same phone, sent before by somebody else: ours was dropped, and is sent."""
    foreign = [system.sim.plant(ACCOUNT, to, "hello", from_=FROM, age_ms=age) for age in (20_000, 3_600_000)]
    system.sim.fault("drop", {"to": to}, times=1)
    yield 1
    yield {"accepted": 1}
    assert outcomes(system, to) == ["retry", "accepted"]
    assert not set(foreign) & set(sids(system, to))


def several_match(system, to):
    """More messages than attempts of ours: nobody can tell, so nothing is sent, and a person has to decide."""
    system.sim.fault("accept_then_drop", {"to": to}, times=1)
    yield 1
    system.sim.plant(ACCOUNT, to, "hello", from_=FROM)
    yield {"unknown": 1}
    (attempt,) = until(lambda: [a for a in attempts_to(system, to) if a["final"]], 30, "an end")
    assert attempt["outcome"] == "unknown" and "2 messages at Twilio match" in attempt["resolution"]
    results = wait_final(system, attempt["event_id"])
    assert [(r["outcome"], r["reason"]) for r in results] == [("unknown", "CONNECTION_LOST")]
    assert len(system.sim.posts(to=to)) == 1


def altered_on_its_way(system, to):
    """A message that may be ours with something appended to it: nothing is sent, and a person has to decide."""
    system.sim.fault("drop", {"to": to}, times=1)
    yield 1
    system.sim.plant(ACCOUNT, to, "hello\nReply STOP to end", from_=FROM)
    yield {"unknown": 1}
    (attempt,) = until(lambda: [a for a in attempts_to(system, to) if a["final"]], 30, "an end")
    assert attempt["outcome"] == "unknown" and "altered" in attempt["resolution"]
    assert len(system.sim.posts(to=to)) == 1


def equal_messages(system, to):
    """Four equal texts to one phone, all unknown, three of them there: three are accepted, one is sent again."""
    for fault in ("accept_then_drop", "accept_cut", "drop", "accept_no_sid"):
        system.sim.fault(fault, {"to": to}, times=1)
    yield 4
    yield {"accepted": 4}
    assert sids(system, to) == sorted(m["sid"] for m in system.sim.messages(to=to))
    assert len(sids(system, to)) == 4 and len(system.sim.posts(to=to)) == 5


def far_down_the_list(system, to):
    """Behind hundreds of newer messages to the same phone."""
    system.sim.fault("accept_then_drop", {"to": to}, times=1)
    yield 1
    for n in range(450):
        system.sim.plant(ACCOUNT, to, f"another {n}", from_=FROM)
    yield {"accepted": 1}
    assert outcomes(system, to) == ["accepted"] and "Twilio has the message" in attempts_to(system, to)[0]["resolution"]
    assert len(lists(system, to=to)) == 3 and len(system.sim.posts(to=to)) == 1


def list_that_lags(system, to):
    """A list without a message that is known to be there may lack ours as well: it is asked for again."""
    system.sim.fault("accept_then_drop", {"to": to}, times=1)
    empty = {"status": 200, "body": '{"messages": [], "next_page_uri": null}', "content_type": "application/json"}
    system.sim.fault("status", {"to": to, "method": "GET"}, times=1, **empty)
    yield 2
    first = f"{to}-0"
    wait_unknown(system, first)
    # The second message has to be known for a while by then.
    system.query("update mms.deliveries set lookup_at = lookup_at + interval '3 s' where event_id = %s", first)
    yield {"accepted": 2}
    assert outcomes(system, to) == ["accepted"] * 2
    assert len(lists(system, to=to)) == 2 and len(system.sim.posts(to=to)) == 2


def trial_account(system, to):
    """Twilio puts a sentence before the body."""
    system.sim.fault("drop", {"to": to}, times=1)
    yield 1
    sid = system.sim.plant(ACCOUNT, to, "Sent from your Twilio trial account - hello", from_=FROM)
    yield {"accepted": 1}
    assert sids(system, to) == [sid]
    assert len(system.sim.posts(to=to)) == 1


def no_list(fault, **parameters):
    """The list can't be had at first: nothing is concluded from that."""

    def scenario(system, to):
        system.sim.fault("accept_then_drop", {"to": to}, times=1)
        system.sim.fault(fault, {"to": to, "method": "GET"}, times=2, **parameters)
        yield 1
        yield {"accepted": 1}
        assert outcomes(system, to) == ["accepted"]
        assert len(lists(system, to=to)) == 3 and len(system.sim.posts(to=to)) == 1

    return scenario


SCENARIOS = [
    foreign_messages,
    several_match,
    altered_on_its_way,
    equal_messages,
    far_down_the_list,
    list_that_lags,
    trial_account,
    no_list("status", status=503),
    no_list("drop"),
    no_list("error", code=20003, status=401),
    no_list("accept_cut"),
    no_list("accept_garbage"),
]


def attempts_to(system, to):
    """The attempts to this number."""
    return [a for a in system.attempts() if a["destination_id"] == to]


def outcomes(system, to):
    return [a["outcome"] for a in attempts_to(system, to)]


def sids(system, to):
    return sorted(a["message_sid"] for a in attempts_to(system, to) if a["message_sid"])


def test_what_twilio_lists(system):
    """Each of SCENARIOS with a destination of its own; Twilio's clock is an hour ahead.

    A scenario sets up, yields how many events it wants; goes on when Twilio has read the first POST, yields the states
    that its deliveries come to; goes on when they have, and checks.
    """
    system.sim.clock(3_600_000)
    scenarios = {f"+1555777{i:04}": scenario for i, scenario in enumerate(SCENARIOS)}
    running = {to: scenario(system, to) for to, scenario in scenarios.items()}
    for to, scenario in running.items():
        system.destination(to, to=to, body_template="{{message}}")
        system.produce(*[system.event(f"{to}-{n}", to) for n in range(next(scenario))])
    system.worker(**RECONCILE, reconcile_limit="4s")
    expected = {}
    for to, scenario in running.items():
        wait_taken(system, to)
        expected[to] = next(scenario)
    for to, scenario in running.items():
        until(lambda: states_to(system, to) == expected[to], 60, lambda: f"{scenario}: {states_to(system, to)}")
        assert next(scenario, None) is None
    system.check_workers()


def states_to(system, to):
    rows = system.query("select state, count(*) as n from mms.deliveries where destination_id = %s group by 1", to)
    return {r["state"]: r["n"] for r in rows}


# ---- whose message is it? ----

PICTURES = [f"https://demo.twilio.com/{name}.png" for name in ("zero", "one")]


def picture_event(system, n):
    """An event whose message says the same as the others' and has another picture."""
    return system.event(f"e{n}", "d") | {"payload": {"picture": PICTURES[n]}}


def pictures_by_sid(system):
    """Of what Twilio has."""
    return {m["sid"]: m["media_urls"] for m in system.sim.messages(to=TO)}


def test_equal_words_and_other_pictures(system):
    """One never arrived, the next one did and is not due yet: its message isn't given to the first one."""
    system.destination("d", to=TO, body_template="Your picture", media_urls=["{{payload.picture}}"])
    for fault in ("drop", "accept_then_drop"):
        system.sim.fault(fault, {"to": TO}, times=1)
    system.worker(**RECONCILE)
    system.produce(*[picture_event(system, n) for n in range(2)])
    wait_unknown(system, "e1")
    system.query("update mms.deliveries set lookup_at = lookup_at + interval '1 min' where event_id = 'e1'")
    until(lambda: all(a["resolution"] for a in system.attempts()) and len(system.attempts()) == 2, 30, "a look at both")
    assert [(a["outcome"], a["message_sid"]) for a in system.attempts()] == [("unknown", None)] * 2
    assert all("different media" in a["resolution"] for a in system.attempts())
    # Also when that next one was left to a person: the message may be its all the same.
    system.query("update mms.deliveries set lookup_at = 'infinity' where event_id = 'e1'")
    first = "select lookups from mms.deliveries where event_id = 'e0'"
    looked = system.value(first)
    until(lambda: system.value(first) >= looked + 2, 30, "further looks at the first")
    assert system.states() == {"unknown": 2}
    assert system.value("select lookup_at::text from mms.deliveries where event_id = 'e1'") == "infinity"
    assert len(system.sim.posts()) == 2


def test_a_message_under_way(system):
    """One never arrived; a look finds the next one's message before its answer is here, and leaves it alone."""
    system.destination("d", to=TO, body_template="Your picture", media_urls=["{{payload.picture}}"])
    worker = system.worker(**{**RECONCILE, "twilio_timeout": "5s", "lease": "15s"})
    system.sim.fault("drop", {"to": TO}, times=1)
    system.produce(picture_event(system, 0))
    wait_unknown(system, "e0")
    system.query("update mms.deliveries set lookup_at = now() + interval '1 h'")
    system.sim.fault("delay", {"to": TO}, times=1, ms=3000, accept_first=True)
    system.produce(picture_event(system, 1))
    until(lambda: system.sim.messages(to=TO), 30, "the second message")
    system.query("update mms.deliveries set lookup_at = now() where event_id = 'e0'")
    until(lambda: worker.log_lines("still unknown"), 30, "a look at the first one")
    assert system.value("select state from mms.deliveries where event_id = 'e1'") == "sending"
    system.wait_states(accepted=2, timeout=60)
    assert [a["outcome"] for a in system.attempts("e0")] == ["retry", "accepted"]
    assert [a["outcome"] for a in system.attempts("e1")] == ["accepted"]
    made = {a["message_sid"]: a["request"]["parameters"]["MediaUrl"] for a in system.attempts() if a["message_sid"]}
    assert made == pictures_by_sid(system) and len(made) == 2


def test_a_message_belongs_to_one_attempt(system):
    """Twilio's answers name a message that another attempt has: by its own answer, or because it was found for it."""
    answered, found, second, third = (f"+1555777000{i}" for i in range(4))
    for number in (answered, found, second, third):
        system.destination(number, to=number)
    system.sim.fault("accept_then_drop", {"to": found}, times=1)
    system.worker(**RECONCILE)
    system.produce(system.event("answered", answered), system.event("found", found))
    system.wait_states(accepted=2)
    sid = {name: system.attempts(name)[0]["message_sid"] for name in ("answered", "found")}
    for number, name in ((second, "answered"), (third, "found")):
        body = json.dumps({"sid": sid[name], "status": "queued"})
        system.sim.fault("status", {"to": number}, status=201, body=body, content_type="application/json", times=1)
    system.produce(system.event("second", second), system.event("third", third))
    until(lambda: len(system.sim.posts(to=found)) == 2, 30, "what was only found to be sent again")
    system.wait_states(accepted=4)

    # One of two answers is wrong: which, nobody knows. The later one is looked up, not there, and sent.
    assert [a["outcome"] for a in system.attempts("answered")] == ["accepted"]
    assert [a["outcome"] for a in system.attempts("second")] == ["retry", "accepted"]
    assert len(system.sim.messages(to=second)) == 1

    # An answer beats what a look had found: that one is looked up again, and its message is not there.
    assert [(a["outcome"], a["message_sid"]) for a in system.attempts("third")] == [("accepted", sid["found"])]
    taken, again = system.attempts("found")
    assert (taken["outcome"], taken["message_sid"], taken["final"]) == ("retry", None, False)
    assert again["outcome"] == "accepted" and again["message_sid"] not in sid.values()


# ---- the statements, one against the other ----


@pytest.fixture
def statements(system):
    system.destination("d", to=TO)
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        yield statements


def test_who_comes_along(system, statements):
    """With one that is due come those that may be mixed up with it; an old one would make its list a long one."""
    for event_id, ago, later in (("due", 180, "0 s"), ("near", 200, "5 min"), ("old", 20 * 3600, "5 min"), ("left", 160, "infinity")):
        plant_unknown(system, "d", TO, event_id, ago=ago)
        when = "'infinity'" if later == "infinity" else f"now() + interval '{later}'"
        system.query(f"update mms.deliveries set lookups = 1, lookup_at = {when} where event_id = %s", event_id)
    system.query("update mms.attempts set request = jsonb_set(request::jsonb, '{parameters,Body}', '\"same\"')")
    assert {row.event_id for row in statements.look_up()} == {"due", "near", "left"}


def test_a_claim_is_undone_by_its_id(system, statements):
    """What a claim did whose answer was lost, and nothing else, goes back with its slot."""
    system.destination("other", to="+15557770001")
    statements.intake(("e0", "d"), ("e1", "d"), ("f0", "other"))
    before = system.query("select destination_id, next_slot_at from mms.pacing order by 1")
    lost = statements.claim(spacing=1_000_000, window=3_000_000)
    assert len(lost) == 2
    system.query("update mms.deliveries set claim = %s::text::uuid where destination_id = 'other'", uuid.uuid4().hex)
    claim_id = system.value("select claim::text from mms.deliveries where event_id = 'e0'")
    assert statements.undo_claim(claim_id, 4_000_000) == 1
    rows = system.query("select event_id, state, attempts from mms.deliveries order by 1")
    assert [tuple(r.values()) for r in rows] == [("e0", "pending", 0), ("e1", "pending", 0), ("f0", "sending", 1)]
    assert system.overlooked() == []
    soon = "next_slot_at < clock_timestamp() + interval '1 s' as soon"
    after = system.query(f"select destination_id, {soon} from mms.pacing order by 1")
    assert [r["soon"] for r in after] == [True, False], before
    again = statements.claim(spacing=1_000_000, window=3_000_000)
    assert [c.event_id for c in again] == ["e0"]


def test_a_worker_that_was_only_slow_overwrites_nothing(system, statements):
    """Its lease ran out, the attempt was looked up, absent, and made again: only then does it report."""
    statements.intake(("e", "d"))
    (claimed,) = statements.claim(lease=0)
    assert statements.take_over() == 1
    system.query("update mms.deliveries set state = 'pending', lookup_at = default")
    system.query("update mms.attempts set outcome = 'retry', resolution = 'Twilio did not have it'")
    system.query("update mms.pacing set due_at = '-infinity', pending_from = '-infinity'")
    (second,) = statements.claim()
    assert second.attempts == 2
    for state in ("pending", "failed", "unknown"):
        assert statements.evidence(Ended(claimed, state=state)) == []
    assert system.query("select state, attempts from mms.deliveries") == [{"state": "sending", "attempts": 2}]
    assert system.query("select outcome from mms.attempts") == [{"outcome": "retry"}]
    # That Twilio took it after all is worth knowing, whatever was concluded before.
    assert len(statements.evidence(Ended(claimed, state="accepted"))) == 1
    assert system.query("select state, attempts from mms.deliveries") == [{"state": "sending", "attempts": 2}]
    attempt = system.query("select outcome, resolution from mms.attempts")[0]
    assert attempt == {"outcome": "accepted", "resolution": "Twilio did not have it; reported late by its worker"}


def test_results_wait_behind_earlier_ones(system, statements):
    """A result whose event has an earlier one that is not published is left to the sweep, which has both in order."""
    statements.intake(("e", "d"))
    (first,) = statements.claim()
    retried = Ended(first, state="pending", next_attempt_at=statements.in_ms(0))
    assert [waits for _, waits in statements.evidence(retried)] == [0]
    (second,) = statements.claim()
    assert [waits for _, waits in statements.evidence(Ended(second, state="accepted"))] == [1]
    system.query("update mms.attempts set finished_at = finished_at - interval '1 min'")
    system.worker(**RECONCILE)
    results = system.results(2)
    assert [(r["attempt"], r["outcome"]) for r in results] == [(1, "retry"), (2, "accepted")]


def unknown_found(system, statements, event_id, message_sid):
    """Takes an event in, lets its attempt be unknown, and finds its message. Returns its claim."""
    statements.intake((event_id, "d"))
    (claimed,) = statements.claim()
    statements.evidence(Ended(claimed, state="unknown"))
    system.query("update mms.deliveries set lookup_at = default where event_id = %s", event_id)
    (asked,) = statements.look_up()
    assert len(statements.resolve(asked, "accepted", message_sid)) == 1
    return claimed


def test_an_answer_takes_its_message_from_who_was_found(system, statements):
    """One was found to have made a message that another's late answer names: it is unknown again, and looked up."""
    unknown_found(system, statements, "a", "MM1")
    system.query("update mms.attempts set published_at = now()")
    (before,) = system.query("select * from mms.attempts")
    statements.intake(("b", "d"))
    (claimed,) = statements.claim(lease=0)
    assert statements.take_over() == 1
    answer = Ended(claimed, state="accepted", message_sid="MM1")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        statements.evidence(answer)
    assert system.states() == {"accepted": 1, "unknown": 1}
    assert len(statements.evidence(answer, reclaims=True)) == 1
    rows = system.query("select event_id, delivery_state, outcome, message_sid from mms.attempt_history order by 1")
    assert [tuple(r.values()) for r in rows] == [
        ("a", "unknown", "unknown", None),
        ("b", "accepted", "accepted", "MM1"),
    ]
    (taken,) = system.query("select * from mms.attempts where outcome = 'unknown'")
    assert (taken["reason"], taken["final"], taken["published_at"]) == ("MESSAGE_TAKEN", False, None)
    assert taken["result_id"] != before["result_id"] and taken["resolved_at"] > before["resolved_at"]
    assert taken["resolution"] == "looked up; that was another attempt's message"
    assert system.value("select finished_at from mms.deliveries where event_id = 'a'") is None
    # Stored once more, as after a commit whose answer was lost, it changes nothing.
    history = system.attempts()
    assert len(statements.evidence(answer, reclaims=True)) == 1
    assert system.attempts() == history
    (asked,) = statements.look_up()
    assert (asked.event_id, asked.attempts) == ("a", 1)


def test_an_answer_takes_nothing_from_another_answer(system, statements):
    """Twilio named the same message in two answers: the one that came first keeps it."""
    statements.intake(("a", "d"), ("b", "d"))
    first, second = statements.claim(spacing=0) + statements.claim(spacing=0)
    statements.evidence(Ended(first, state="accepted", message_sid="MM1"))
    with pytest.raises(psycopg2.errors.UniqueViolation):
        statements.evidence(Ended(second, state="accepted", message_sid="MM1"), reclaims=True)
    assert system.states() == {"accepted": 1, "sending": 1}
    assert system.value("select message_sid from mms.attempts") == "MM1"


@pytest.mark.parametrize("change", ["attempts = 2", "state = 'failed'"])
def test_taking_a_message_moves_no_delivery_that_went_on(system, statements, change):
    """It has another attempt by now, or somebody has moved it: only the evidence is put right."""
    claimed = unknown_found(system, statements, "a", "MM1")
    system.query(f"update mms.deliveries set {change} where id = %s", claimed.id)
    (before,) = system.query("select * from mms.deliveries")
    statements.intake(("b", "d"))
    (other,) = statements.claim()
    assert len(statements.evidence(Ended(other, state="accepted", message_sid="MM1"), reclaims=True)) == 1
    (attempt,) = system.attempts("a")
    assert (attempt["attempt"], attempt["outcome"], attempt["message_sid"]) == (1, "unknown", None)
    assert system.query("select * from mms.deliveries where event_id = 'a'") == [before]
