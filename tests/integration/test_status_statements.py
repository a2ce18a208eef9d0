"""Statuses of messages against everything that goes on at the same time, statement by statement (worker/sql)."""

from contextlib import closing

import pytest

from harness.statements import MICROSECONDS, Ended, Statements, Told

SID, OTHER_SID = "MM" + "1" * 32, "MM" + "2" * 32


@pytest.fixture
def statements(system):
    system.destination("d")
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        yield statements


def claimed(statements, event_id="e"):
    statements.intake((event_id, "d"))
    (row,) = statements.claim()
    return row, ("d", row.id, row.attempts)


def unknown(system, statements, event_id="e"):
    """An attempt that is unknown, and due to be looked up."""
    row, attempt = claimed(statements, event_id)
    statements.evidence(Ended(row, state="unknown"))
    system.query("update mms.deliveries set lookup_at = clock_timestamp() where event_id = %s", event_id)
    return row, attempt


def open_messages(system):
    return [(r["delivery_id"], r["message_sid"]) for r in system.query("select * from mms.open_messages order by 1, 2")]


def test_what_was_final_before_is_not_asked_for(system, statements):
    """An unknown attempt whose callbacks have said everything before it was resolved."""
    _, attempt = unknown(system, statements)
    statements.tell(Told(attempt, SID, "delivered", 60, final=True))
    (asked,) = statements.look_up()
    assert asked.told_sid == SID
    assert len(statements.resolve(asked, "accepted", asked.told_sid)) == 1
    assert open_messages(system) == []


def test_a_message_that_is_asked_for_in_vain_is_not_asked_again(system, statements):
    """Its last status came before the evidence of its attempt; the poll says what is known, and that is enough."""
    row, attempt = claimed(statements)
    statements.tell(Told(attempt, SID, "delivered", 60, final=True))
    statements.evidence(Ended(row, state="accepted", message_sid=SID))
    assert open_messages(system) == [(row.id, SID)]
    system.query("update mms.open_messages set poll_at = clock_timestamp()")
    assert len(statements.poll()) == 1
    assert statements.tell(Told(attempt, SID, "delivered", 60, final=True, source="poll")) == []
    assert open_messages(system) == []


def test_settings_that_are_too_large_stay_where_they_are(system, statements):
    """A row from before there was a bound: neither a lookup nor a poll reads it, as a claim doesn't; the message isn't lost sight of."""
    _, attempt = unknown(system, statements)
    row, _ = claimed(statements, "e2")
    statements.evidence(Ended(row, state="accepted", message_sid=SID))
    system.query("alter table mms.destinations drop constraint destinations_config_size")
    # What can't be compressed: what is read is what is stored.
    system.query(
        "update mms.destinations set config = config || jsonb_build_object('body_template',"
        " (select string_agg(md5(n::text), '') from generate_series(1, 4000) n))"
    )
    system.query("update mms.open_messages set poll_at = clock_timestamp()")
    assert [(row.message_sid, row.type, row.config) for row in statements.poll()] == [(SID, "TWILIO_MMS", None)]
    system.query("update mms.deliveries set lookup_at = clock_timestamp() where state = 'unknown'")
    assert [(row.id, row.type, row.config) for row in statements.look_up()] == [(attempt[1], "TWILIO_MMS", None)]


def test_left_over_results_keep_the_order_in_which_they_were_told(system, statements):
    """Several statuses of a message in one batch, before the attempt's own result is published: the sweep has them."""
    row, attempt = claimed(statements)
    life = (("queued", 20), ("sending", 30), ("sent", 40), ("delivered", 60))
    told = statements.tell(*(Told(attempt, SID, status, rank, final=rank == 60) for status, rank in life))
    assert [(t.status, t.waits) for t in told] == [(status, 1) for status, _ in life]
    assert statements.left_over_statuses() == []
    statements.evidence(Ended(row, state="accepted", message_sid=SID))
    system.query("update mms.attempts set published_at = now()")
    assert [r.status for r in statements.left_over_statuses()] == [status for status, _ in life]


def test_left_over_results_of_a_message_go_together(system, statements):
    """What had to wait is out of the reach of most sweeps by then; what came later isn't."""
    row, attempt = claimed(statements)
    statements.tell(Told(attempt, SID, "sent", 40))
    system.query("update mms.message_statuses set received_at = received_at - interval '1 hour'")
    statements.tell(Told(attempt, SID, "delivered", 60, final=True))
    statements.evidence(Ended(row, state="accepted", message_sid=SID))
    assert statements.left_over_statuses(reach=20 * MICROSECONDS) == []
    system.query("update mms.attempts set published_at = now()")
    assert [r.status for r in statements.left_over_statuses(reach=20 * MICROSECONDS)] == ["sent", "delivered"]


def test_left_over_results_of_a_delivery_go_together(system, statements):
    row, _ = claimed(statements)
    statements.evidence(Ended(row, state="pending", next_attempt_at=statements.in_ms(0)))
    system.query("update mms.attempts set finished_at = finished_at - interval '1 hour'")
    (again,) = statements.claim()
    ((_, waits),) = statements.evidence(Ended(again, state="accepted", message_sid=SID))
    assert waits, "an earlier result isn't published"
    assert [r.attempt for r in statements.left_over_attempts(reach=20 * MICROSECONDS)] == [1, 2]
    system.query("update mms.attempts set published_at = now() where attempt = 1")
    assert [r.attempt for r in statements.left_over_attempts(reach=20 * MICROSECONDS)] == [2]


def test_a_callback_while_its_message_is_looked_up(system, statements):
    """Twilio's list lacked the message when it was asked, and a callback tells of it before that is stored."""
    _, attempt = unknown(system, statements)
    (asked,) = statements.look_up()
    assert asked.told_sid is None
    statements.tell(Told(attempt, SID, "sent", 40))
    assert statements.resolve(asked, "pending") == []
    assert system.states() == {"unknown": 1}, "it isn't sent again"
    (again,) = statements.look_up()
    assert again.told_sid == SID
    assert len(statements.resolve(again, "accepted", again.told_sid)) == 1
    assert system.states() == {"accepted": 1}


def test_a_callback_before_an_answer_that_refuses(system, statements):
    """Twilio tells of the message, and then somebody answers that it wasn't sent."""
    row, attempt = claimed(statements)
    statements.tell(Told(attempt, SID, "sent", 40))
    assert len(statements.evidence(Ended(row, state="pending", next_attempt_at=statements.in_ms(0)))) == 1
    assert statements.claim() == [], "it isn't sent again"
    (asked,) = statements.look_up()
    assert (asked.told_sid, asked.is_unknown) == (SID, 1)
    assert len(statements.resolve(asked, "accepted", asked.told_sid)) == 1
    assert system.states() == {"accepted": 1}


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_callback_about_what_was_held_to_be_absent(system, statements, state):
    """It waits to be sent again, or its retries are used up: it was sent after all."""
    row, attempt = unknown(system, statements)
    (asked,) = statements.look_up()
    statements.resolve(asked, state)
    system.query("update mms.attempts set published_at = now()")
    statements.tell(Told(attempt, SID, "delivered", 60, final=True))
    assert system.states() == {"unknown": 1}
    assert statements.claim() == []
    (told,) = statements.look_up()
    assert (told.told_sid, told.is_unknown) == (SID, 1)
    assert len(statements.resolve(told, "accepted", SID)) == 1
    (after,) = system.attempts("e")
    assert (after["outcome"], after["final"], after["message_status"]) == ("accepted", True, "delivered")


def test_what_was_refused_stays_refused(system, statements):
    """An attempt that Twilio refused for good: a callback about it makes nobody look for it."""
    row, attempt = claimed(statements)
    statements.evidence(Ended(row, state="failed"))
    statements.tell(Told(attempt, SID, "failed", 60, final=True, error_code=30007))
    assert system.states() == {"failed": 1}


def test_a_message_that_was_another_attempts_tells_nothing(system, statements):
    """
    It was found for one attempt and asked for on its behalf, until another one's answer named it. What was learnt by
    asking doesn't make it the first one's again.
    """
    row, attempt = unknown(system, statements, "a")
    (asked,) = statements.look_up()
    statements.resolve(asked, "accepted", SID)
    statements.tell(Told(attempt, SID, "sent", 40, source="poll"))
    other, other_attempt = claimed(statements, "b")
    assert len(statements.evidence(Ended(other, state="accepted", message_sid=SID), reclaims=True)) == 1
    assert open_messages(system) == [(other.id, SID)]
    # A poll that was on its way.
    statements.tell(Told(attempt, SID, "delivered", 60, final=True, source="poll"))
    (again,) = statements.look_up()
    assert (again.event_id, again.told_sid) == ("a", None)
    (history,) = system.attempts("a")
    assert (history["outcome"], history["message_sid"], history["message_status"]) == ("unknown", None, None)


def test_a_number_that_is_none_does_no_harm(system, statements):
    """Whoever signs may say anything: the others' statuses in the batch are stored."""
    row, attempt = claimed(statements)
    _, other = claimed(statements, "e2")
    nonsense = "".join(chr(0x4E00 + i * 37 % 20000) for i in range(6000))
    statements.tell(
        Told(attempt, SID, "failed", 60, final=True, error_code=21610, recipient=nonsense),
        Told(other, OTHER_SID, "delivered", 60, final=True),
    )
    assert system.value("select count(*) from mms.message_statuses") == 2
    assert system.value("select count(*) from mms.opt_outs") == 0


def test_an_attempt_has_so_many_statuses(system, statements):
    """Who can sign can say anything, and as often as he likes: a hundred rows are kept."""
    _, attempt = unknown(system, statements)
    for n in range(0, 150, 50):
        statements.tell(*(Told(attempt, f"MM{m:032x}", "sent", 40) for m in range(n, n + 50)))
    statements.tell(*(Told(attempt, f"MM{m:032x}", "delivered", 60, final=True) for m in range(200)))
    assert system.value("select count(*) from mms.message_statuses") == 100


def test_repetitions_take_no_statuses_place(system, statements):
    """Of one batch, or of what is stored: what is said again leaves room for what is new."""
    _, attempt = unknown(system, statements)
    names = "select status, count(*) as n from mms.message_statuses group by 1 order by 1"
    told = statements.tell(*[Told(attempt, SID, "sent", 40)] * 150, Told(attempt, OTHER_SID, "queued", 20))
    assert [row.status for row in told] == ["sent", "queued"]
    statements.tell(*(Told(attempt, f"MM{n:032x}", "sent", 40) for n in range(97)), Told(attempt, SID, "delivered", 60, final=True))
    statements.tell(Told(attempt, SID, "delivered", 60, final=True), Told(attempt, SID, "sent", 40), Told(attempt, SID, "read", 70))
    assert system.query(names) == [{"status": s, "n": n} for s, n in (("delivered", 1), ("queued", 1), ("sent", 98))]


def test_what_is_too_old_takes_no_polls_place(system, statements):
    """More is sent than can be asked for: what a day has passed over is closed beside the polls, not in their stead."""
    system.query(
        "insert into mms.open_messages (destination_id, delivery_id, attempt, message_sid, opened_at, poll_at)"
        " select 'd', i, 1, 'MM' || i, now() - age, now() - age"
        "   from generate_series(1, 60) i cross join lateral (select i * interval '1 hour' as age) a"
    )
    assert {row.delivery_id for row in statements.poll(limit=5)} == {23, 22, 21, 20, 19}
    assert system.value("select count(*) from mms.open_messages where opened_at < now() - interval '1 day'") == 0
    assert system.value("select count(*) from mms.open_messages") == 23
