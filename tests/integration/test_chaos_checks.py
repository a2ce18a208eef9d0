"""`make chaos` finds what it is there to find, and decides everything by its seed."""

import copy
from collections import Counter
from types import SimpleNamespace

import pytest

from chaos import checks, plan, report
from chaos.plan import FULL, SHORT

TO = "+15551000001"
OTHER = "+15551000002"


def attempt(event_id, number, outcome, sid=None):
    return {
        "destination_id": "d1" if event_id != "x" else "d2",
        "delivery_id": ord(event_id),
        "event_id": event_id,
        "attempt": number,
        "result_id": f"{event_id}{number}",
        "outcome": outcome,
        "final": outcome in ("accepted", "failed"),
        "message_sid": sid,
        "message_status": "delivered" if sid else None,
        "published": True,
    }


def status(attempt, name, number, advanced=True):
    names = ("destination_id", "delivery_id", "event_id", "attempt", "message_sid")
    shown = {name: attempt[name] for name in names}
    result_id = f"{attempt['event_id']}s{number}"
    return {**shown, "status": name, "advanced": advanced, "result_id": result_id, "published": True}


def status_result(offset, status, partition=0, **changes):
    names = ("result_id", "event_id", "destination_id", "attempt", "message_sid")
    shown = {name: status[name] for name in names}
    shown |= {"message_status": status["status"], "outcome": "accepted", "final": status["status"] == "delivered"}
    return {"partition": partition, "offset": offset, "key": status["event_id"], "kind": "status", **shown, **changes}


def result(offset, attempt, partition=0, **changes):
    names = ("result_id", "event_id", "destination_id", "attempt", "outcome", "final", "message_sid")
    shown = {name: attempt[name] for name in names}
    return {"partition": partition, "offset": offset, "key": attempt["event_id"], "kind": "attempt", **shown, **changes}


def sound():
    """
    Four events: a accepted at once, b at the second attempt, c failed, x (elsewhere) unknown first and then found. The
    first two have one body, which another system has sent as well. A bad record, a repeated event, a repeated result.
    Of a's message all is told, of b's the last word comes first, of x's only the last one is learnt.
    """
    attempts = [
        attempt("a", 1, "accepted", "MMa"),
        attempt("b", 1, "retry"),
        attempt("b", 2, "accepted", "MMb"),
        attempt("c", 1, "failed"),
        attempt("x", 1, "accepted", "MMx"),
    ]
    a1, b1, b2, c1, x1 = attempts
    statuses = [
        status(a1, "sent", 1),
        status(a1, "delivered", 2),
        status(b2, "delivered", 1),
        status(b2, "sent", 2, advanced=False),
        status(x1, "delivered", 1),
    ]
    bodies = {"a": "same", "b": "same", "c": "c", "x": "x"}
    to = {"a": TO, "b": TO, "c": TO, "x": OTHER}
    rejection = {"result_id": "r", "kind": "rejection", "event_id": None, "destination_id": None, "attempt": None}
    rejection |= {"outcome": "rejected", "final": True, "message_sid": None, "partition": 2, "offset": 0, "key": None}
    records = [(0, 0, "a"), (0, 1, "b"), (1, 0, "c"), (1, 1, "x"), (1, 2, "a"), (1, 3, "bad-0")]
    return SimpleNamespace(
        expected=[
            {"event_id": e, "destination_id": "d2" if e == "x" else "d1", "to": to[e], "body": bodies[e]}
            for e in bodies
        ],
        records=[{"partition": p, "offset": o, "key": key, "value": key.encode()} for p, o, key in records],
        bad_keys={"bad-0"},
        deliveries=[
            {"destination_id": "d1", "id": ord("a"), "event_id": "a", "state": "accepted", "attempts": 1},
            {"destination_id": "d1", "id": ord("b"), "event_id": "b", "state": "accepted", "attempts": 2},
            {"destination_id": "d1", "id": ord("c"), "event_id": "c", "state": "failed", "attempts": 1},
            {"destination_id": "d2", "id": ord("x"), "event_id": "x", "state": "accepted", "attempts": 1},
        ],
        attempts=attempts,
        statuses=statuses,
        rejected=[{"topic": "t", "partition": 1, "offset": 3, "result_id": "r", "published": True}],
        messages=[
            {"sid": "MMf", "to": TO, "body": "same", "status": "delivered"},
            {"sid": "MMa", "to": TO, "body": "same", "status": "delivered"},
            {"sid": "MMb", "to": TO, "body": "same", "status": "delivered"},
            {"sid": "MMx", "to": OTHER, "body": "x", "status": "delivered"},
        ],
        foreign={"MMf"},
        gaps={TO: {"count": 4, "min_gap_ms": 1000.5, "early": 0}, OTHER: {"count": 1, "min_gap_ms": None, "early": 0}},
        results=[
            result(0, a1),
            result(1, b1),
            result(2, c1),
            result(3, b2),
            result(4, b1),  # again, later: at least once
            result(0, x1, 1, result_id="x0", outcome="unknown", final=False, message_sid=None),
            result(1, x1, 1),
            status_result(10, statuses[0]),
            status_result(11, statuses[1]),
            status_result(12, statuses[0]),  # again, later
            status_result(13, statuses[2]),
            status_result(10, statuses[4], 1),
            rejection,
        ],
        dead_letters=[{"source": "t/1/3", "key": "bad-0", "value": b"bad-0"}],
        committed={0: 2, 1: 4},
        ends={0: 2, 1: 4, 2: 0},
        overlooked=[],
        still_asked_for=[],
        secrets={"the workers' logs": 0},
    )


def find(facts):
    """Kinds of complaints, and how many of each."""
    return dict(Counter(complaint.kind for complaint in checks.check_all(facts)))


def test_nothing_is_wrong_with_what_is_sound():
    assert find(sound()) == {}


def of(rows, event_id, number=None):
    return next(row for row in rows if row["event_id"] == event_id and number in (None, row.get("attempt")))


def drop(rows, **match):
    rows[:] = [row for row in rows if any(row[name] != value for name, value in match.items())]


def no_delivery(f):
    drop(f.deliveries, event_id="c")
    drop(f.attempts, event_id="c")
    drop(f.results, event_id="c")


def state(event_id, value):
    def change(f):
        of(f.deliveries, event_id)["state"] = value

    return change


def sent_twice(f):
    f.messages.append({"sid": "MMx2", "to": OTHER, "body": "x", "status": "delivered"})


def sent_twice_among_equals(f):
    f.messages.append({"sid": "MMab", "to": TO, "body": "same", "status": "delivered"})


def sent_though_failed(f):
    f.messages.append({"sid": "MMc", "to": TO, "body": "c", "status": "delivered"})


def accepted_but_not_there(f):
    drop(f.messages, sid="MMx")


def one_of_two_equals_is_not_there(f):
    drop(f.messages, sid="MMb")


def took_a_foreign_one(f):
    """The message of b is not there; b has another system's."""
    drop(f.messages, sid="MMb")
    of(f.attempts, "b", 2)["message_sid"] = "MMf"
    next(row for row in f.results if row["result_id"] == "b2")["message_sid"] = "MMf"


def two_with_one_message(f):
    of(f.attempts, "b", 2)["message_sid"] = "MMa"
    next(row for row in f.results if row["result_id"] == "b2")["message_sid"] = "MMa"


def somebody_elses_body(f):
    of(f.attempts, "x", 1)["message_sid"] = "MMy"
    next(row for row in f.results if row["result_id"] == "x1")["message_sid"] = "MMy"
    f.messages.append({"sid": "MMy", "to": OTHER, "body": "y", "status": "delivered"})
    drop(f.messages, sid="MMx")


def early(f):
    f.gaps[TO].update(early=1, min_gap_ms=999.999)


def result_missing(f):
    drop(f.results, result_id="c1")


def earlier_result_missing(f):
    drop(f.results, result_id="b1")


def result_differs(f):
    next(row for row in f.results if row["result_id"] == "c1")["outcome"] = "retry"


def repetition_differs(f):
    f.results[4]["outcome"] = "unknown"


def wrong_order(f):
    b1, b2 = f.results[1], f.results[3]
    b1["offset"], b2["offset"] = b2["offset"], b1["offset"]


def known_before_unknown(f):
    unknown, known = f.results[5], f.results[6]
    unknown["offset"], known["offset"] = known["offset"], unknown["offset"]


def two_finals(f):
    f.results.append({**f.results[6], "offset": 2, "result_id": "x9"})


def no_final(f):
    drop(f.results, result_id="b2")


def other_key(f):
    f.results[0]["key"] = "z"


def hole_in_the_numbers(f):
    row = of(f.attempts, "b", 1)
    f.attempts.remove(row)


def tried_again_though_unknown(f):
    of(f.attempts, "b", 1)["outcome"] = "unknown"
    for number in (1, 4):
        f.results[number]["outcome"] = "unknown"


def tried_again_though_accepted(f):
    """An attempt too many after one that was accepted."""
    again = attempt("a", 2, "accepted", "MMa2")
    f.attempts.append(again)
    f.deliveries[0]["attempts"] = 2
    f.messages.append({"sid": "MMa2", "to": TO, "body": "same", "status": "delivered"})
    f.results.append(result(5, again))


def unpublished(f):
    of(f.attempts, "a")["published"] = False


def rejection_unpublished(f):
    f.rejected[0]["published"] = False


def behind(f):
    f.committed[1] = 3


def never_committed(f):
    del f.committed[0]


def not_rejected(f):
    f.rejected.clear()
    f.dead_letters.clear()
    drop(f.results, kind="rejection")


def good_one_rejected(f):
    f.rejected.append({"topic": "t", "partition": 0, "offset": 0, "result_id": "r2", "published": True})
    f.dead_letters.append({"source": "t/0/0", "key": "a", "value": b"a"})
    f.results.append({**f.results[-1], "result_id": "r2", "offset": 1})


def no_dead_letter(f):
    f.dead_letters.clear()


def other_bytes(f):
    f.dead_letters[0]["value"] = b"?"


def stray_delivery(f):
    f.deliveries.append({"destination_id": "d1", "id": 1, "event_id": "z", "state": "accepted", "attempts": 1})
    f.attempts.append({**attempt("a", 1, "accepted", "MMz"), "event_id": "z", "delivery_id": 1, "result_id": "z1"})
    f.results.append({**result(5, f.attempts[-1])})
    f.messages.append({"sid": "MMz", "to": TO, "body": "z", "status": "delivered"})


def two_deliveries(f):
    f.deliveries.append({**of(f.deliveries, "a"), "id": 7})
    f.attempts.append({**of(f.attempts, "a"), "delivery_id": 7})


def not_in_kafka(f):
    drop(f.records, key="c")


def overlooked(f):
    f.overlooked.append({"destination_id": "d1"})


def secret(f):
    f.secrets["mms.attempts"] = 1


def told(f, result_id):
    return next(row for row in f.results if row["result_id"] == result_id)


def end_not_learnt(f):
    of(f.attempts, "x")["message_status"] = "sent"


def other_end_at_twilio(f):
    next(row for row in f.messages if row["sid"] == "MMb")["status"] = "undelivered"


def status_without_result(f):
    drop(f.results, result_id="as2")


def status_result_differs(f):
    told(f, "xs1")["message_status"] = "failed"


def status_result_of_another_message(f):
    told(f, "xs1")["message_sid"] = "MMb2"


def status_result_of_nothing(f):
    f.results.append({**told(f, "xs1"), "offset": 20, "result_id": "xs9", "message_sid": "MMx9"})


def result_of_a_late_status(f):
    f.results.append(status_result(20, f.statuses[3]))


def went_back(f):
    told(f, "as1")["offset"], f.results[9]["offset"] = 20, 21


def two_ends(f):
    f.statuses.append(status(of(f.attempts, "x"), "failed", 2))
    f.results.append(status_result(11, f.statuses[-1], 1))


def status_before_its_attempt(f):
    told(f, "xs1")["offset"] = -1


def status_unpublished(f):
    f.statuses[0]["published"] = False


def message_of_two(f):
    f.statuses[4]["message_sid"] = told(f, "xs1")["message_sid"] = "MMz"
    f.statuses.append({**f.statuses[3], "message_sid": "MMz"})


def still_asked_for(f):
    f.still_asked_for.append({"destination_id": "d1", "message_sid": "MMa", "polls": 3})


BREAKS = [
    (end_not_learnt, {"fate"}),
    (other_end_at_twilio, {"fate"}),
    (status_without_result, {"result missing"}),
    (status_result_differs, {"result"}),
    (status_result_of_another_message, {"result"}),
    (status_result_of_nothing, {"result"}),
    (result_of_a_late_status, {"result", "back"}),
    (went_back, {"back"}),
    (two_ends, {"back"}),
    (status_before_its_attempt, {"order"}),
    (status_unpublished, {"unpublished"}),
    (message_of_two, {"shared"}),
    (still_asked_for, {"asked"}),
    (no_delivery, {"lost"}),
    (state("c", "pending"), {"lost"}),
    (state("c", "sending"), {"lost"}),
    (state("c", "unknown"), {"lost", "attempts"}),
    (state("c", "accepted"), {"lost", "attempts"}),
    (state("a", "failed"), {"duplicate", "attempts"}),
    (sent_twice, {"duplicate"}),
    (sent_twice_among_equals, {"duplicate"}),
    (sent_though_failed, {"duplicate"}),
    (accepted_but_not_there, {"lost", "sid"}),
    (one_of_two_equals_is_not_there, {"lost", "sid"}),
    (took_a_foreign_one, {"lost", "foreign"}),
    (two_with_one_message, {"sid"}),
    (somebody_elses_body, {"lost", "sid", "stray"}),
    (early, {"early"}),
    (result_missing, {"result missing"}),
    (earlier_result_missing, {"result missing"}),
    (result_differs, {"result"}),
    (repetition_differs, {"result"}),
    (wrong_order, {"order"}),
    (known_before_unknown, {"order"}),
    (two_finals, {"result", "order", "final"}),
    (no_final, {"result missing", "final", "order"}),
    (other_key, {"result"}),
    (hole_in_the_numbers, {"attempts", "result"}),
    (tried_again_though_unknown, {"attempts"}),
    (tried_again_though_accepted, {"duplicate", "attempts", "final"}),
    (unpublished, {"unpublished"}),
    (rejection_unpublished, {"unpublished"}),
    (behind, {"offsets"}),
    (never_committed, {"offsets"}),
    (not_rejected, {"lost"}),
    (good_one_rejected, {"stray"}),
    (no_dead_letter, {"dead letter"}),
    (other_bytes, {"dead letter"}),
    (stray_delivery, {"stray"}),
    (two_deliveries, {"duplicate", "sid", "result missing"}),
    (not_in_kafka, {"not produced"}),
    (overlooked, {"overlooked"}),
    (secret, {"secret"}),
]


@pytest.mark.parametrize("change, kinds", BREAKS, ids=[change.__name__ for change, _ in BREAKS])
def test_what_is_wrong_is_found(change, kinds):
    facts = sound()
    before = copy.deepcopy(facts)
    change(facts)
    assert facts != before
    assert set(find(facts)) == kinds, [str(complaint) for complaint in checks.check_all(facts)]


def test_how_many_are_lost_or_sent_twice():
    facts = sound()
    for sid in ("MM1", "MM2"):
        facts.messages.append({"sid": sid, "to": TO, "body": "same", "status": "delivered"})
    drop(facts.messages, sid="MMx")
    assert find(facts) == {"duplicate": 2, "lost": 1, "sid": 1}


def test_an_unknown_one_may_be_there_or_not():
    """It is a complaint of its own, not one about messages."""
    for there in (True, False):
        facts = sound()
        of(facts.deliveries, "x")["state"] = "unknown"
        if not there:
            drop(facts.messages, sid="MMx")
        assert checks.check_messages(facts.expected, facts.deliveries, facts.messages, facts.foreign) == []


def test_memory():
    assert checks.check_memory({"worker 0": 299.0}) == []
    assert [c.kind for c in checks.check_memory({"worker 0": 20.0, "worker 1": 301.0})] == ["memory"]


def test_unknown_sends_are_counted_by_their_end():
    facts = sound()
    left = {**facts.results[5], "event_id": "y", "result_id": "y0"}
    assert report.resolved(facts.results) == {"accepted": 1}
    assert report.resolved([*facts.results, left]) == {"accepted": 1, "unknown": 1}


# ---- the plan ----


@pytest.mark.parametrize("scale", [FULL, SHORT], ids=["full", "short"])
def test_a_seed_decides_everything(scale):
    assert plan.make(7, scale) == plan.make(7, scale)
    assert plan.make(7, scale).records != plan.make(8, scale).records
    assert plan.make(7, scale).disturbances != plan.make(8, scale).disturbances


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [FULL, SHORT], ids=["full", "short"])
def test_everything_happens(seed, scale):
    """Every disturbance, in the disturbed phase; duplicates, shared bodies, foreign messages, bad records."""
    decided = plan.make(seed, scale)
    assert {disturbance.kind for disturbance in decided.disturbances} == set(plan.KINDS)
    assert all(0 < disturbance.at < scale.seconds + 4 for disturbance in decided.disturbances)
    assert all(d.seconds > plan.LEASE for d in decided.disturbances if d.kind == "freeze")
    keys = Counter(record.key for record in decided.records)
    assert len(keys) == scale.events + len(decided.bad_keys) and len(decided.bad_keys) == len(plan.BAD_RECORDS)
    assert sum(keys.values()) - len(keys) == decided.duplicates > 0
    assert {record.partition for record in decided.records} == set(range(plan.PARTITIONS))
    assert [record.at for record in decided.records] == sorted(record.at for record in decided.records)
    groups = Counter((row["to"], row["body"]) for row in decided.expected())
    assert max(groups.values()) > 2
    assert decided.foreign and all(groups[to, body] for to, body, _ in decided.foreign)
    assert len({row["to"] for row in decided.expected()}) <= scale.destinations


def test_faults_share_the_requests_evenly():
    rules = plan.fault_rules(FULL)
    for method, share in (("POST", FULL.fault_share), ("GET", plan.GET_SHARE)):
        passed, hits = 1.0, []
        for rule in [rule for rule in rules if rule["match"]["method"] == method]:
            hits.append(passed * rule["probability"])
            passed -= hits[-1]
        assert sum(hits) == pytest.approx(share)
        assert max(hits) == pytest.approx(min(hits))


def test_lives_share_the_messages_as_planned():
    left, shares = 1.0, []
    for _, arguments in plan.life_rules():
        shares.append(left * arguments.get("probability", 1))
        left -= shares[-1]
    assert shares == pytest.approx([share for share, *_ in plan.LIVES]) and left == pytest.approx(0)


def test_every_life_ends_and_its_stages_are_known():
    for _, steps, _ in plan.LIVES:
        names = [step if isinstance(step, str) else step["status"] for step in steps]
        stages = [checks.STAGES[name] for name in names]
        assert stages == sorted(stages) and stages[-1] == max(checks.STAGES.values())


def test_what_is_stored_late_is_stored_before_it_is_looked_up():
    delays = [parameters for name, parameters in plan.POST_FAULTS if name == "delay"]
    late = [parameters["ms"] for parameters in delays if "accept_first" not in parameters]
    assert max(late) / 1000 > plan.TIMEOUT, "or nothing is stored late"
    assert max(late) / 1000 < plan.LOOKED_UP_AFTER
