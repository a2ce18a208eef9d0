"""`mms-worker event ID`: the whole story of one event, for people and as JSON."""

import json
import re
import shlex
import subprocess

import pytest

from harness.plans import tables_read_whole
from harness.system import ACCOUNT, TOKEN
from harness.wait import until, until_equal
from test_statuses import CALM, receiver

TO = "+15557770000"
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def document(system, event_id):
    """The story as one JSON document, which is one line."""
    done = system.command("event", event_id, "--json")
    assert (done.status, done.err, done.out.count("\n")) == (0, "", 1), done
    assert TOKEN not in done.out
    return json.loads(done.out)


def text(system, event_id):
    """The story for people: at most 80 columns, but for commands, which are for copying."""
    done = system.command("event", event_id)
    assert (done.status, done.err) == (0, ""), done
    assert TOKEN not in done.out and TOKEN not in done.err
    for line in done.out.splitlines():
        assert len(line) <= 80 or line.startswith(16 * " "), line
        assert line == line.rstrip(), repr(line)
    return done.out


def flat(story):
    """What people read, without its line breaks."""
    return " ".join(story.split())


def published(system):
    until_equal(
        lambda: system.value(
            "select (select count(*) from mms.attempts where published_at is null)"
            " + (select count(*) from mms.message_statuses where published_at is null and advanced)"
            " + (select count(*) from mms.rejected_events where published_at is null)"
        ),
        0, 40, "what isn't published",
    )


def test_accepted_and_what_became_of_it(system):
    """One attempt, and each status of its message in order; the event's own bytes and the request in JSON only."""
    system.sim.life(*CALM)
    system.destination("d", to=TO)
    receiver(system)
    system.kafka.produce(
        system.events_topic, b'{"event_id": "e1",\n\t"destination_id": "d", "connection_id": "con_1",\r\n "payload": {"message": "x"}}'
    )
    until(lambda: system.query("select 1 from mms.message_statuses where status = 'delivered'"), 40, "its delivery")
    published(system)
    whole = document(system, "e1")
    assert (whole["event_id"], whole["rejected"]) == ("e1", [])
    (delivery,) = whole["deliveries"]
    assert (delivery["state"], delivery["replay"], delivery["waits"], delivery["next"]) == ("accepted", 0, None, [])
    assert (delivery["destination_id"], delivery["destination_condition"]) == ("d", "active")
    assert delivery["event"]["payload"] == {"message": "x"} and delivery["topic"] == system.events_topic
    (attempt,) = delivery["attempts"]
    assert attempt["request"]["parameters"]["To"] == TO and attempt["published_at"].endswith("+00:00")
    assert [s["status"] for s in attempt["statuses"]] == ["sending", "sent", "delivered"]
    assert all(s["published_at"] and s["source"] == "callback" for s in attempt["statuses"])
    (row,) = system.attempts("e1")
    assert attempt["story"] == row["story"] and attempt["message_sid"] == row["message_sid"]

    shown = text(system, "e1")
    assert shown.startswith("Event e1\n\nDelivery to d (d): accepted\n  Taken in    ")
    assert re.search(rf"  Connection  con_1\n  Attempt 1   accepted; result published {MOMENT}\n", shown)
    assert row["story"] in flat(shown)
    told = [" ".join(line.split()[2:4]) for line in shown.splitlines() if "(callback, published" in line]
    assert told == ["sending (callback,", "sent (callback,", "delivered (callback,"]
    assert "What to do" not in shown and "Waits" not in shown and '"payload"' not in shown


def test_failed_after_retries_and_opted_out(system):
    """Why, attempt by attempt; who has opted out; and how it is sent anew. The id is quoted for a shell."""
    event_id = "it's e1"
    system.sim.fault("error", {"to": TO}, status=429, code=20429, times=1)
    system.sim.fault("error", {"to": TO}, status=400, code=21610, times=1)
    system.destination("d", to=TO)
    system.worker(retry_base="100ms", retry_max="100ms")
    system.produce(system.event(event_id, "d"))
    system.wait_states(failed=1)
    published(system)
    (delivery,) = document(system, event_id)["deliveries"]
    assert [(a["outcome"], a["reason"]) for a in delivery["attempts"]] == [
        ("retry", "TOO_MANY_REQUESTS"), ("failed", "RECIPIENT_OPTED_OUT"),
    ]  # fmt: skip
    assert delivery["attempts"][1]["advice"]
    (opted_out,) = delivery["opted_out"]
    assert (opted_out["recipient"], opted_out["sender"], opted_out["account_sid"]) == (TO, "+15550001111", ACCOUNT)
    (step,) = delivery["next"]
    statement, command = step["run"]
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout
    assert words.splitlines() == ["mms-worker", "replay", "--event", event_id]

    shown = text(system, event_id)
    assert "Attempt 1   retry (TOO_MANY_REQUESTS)" in shown and "Attempt 2   failed (RECIPIENT_OPTED_OUT)" in shown
    assert f"Opted out {TO} from +15550001111, since" in flat(shown)
    assert "What to do  The recipient wants no messages from this sender." in shown and f"\n{16 * ' '}{command}\n" in shown
    system.query(statement)
    assert system.value("select count(*) from mms.opt_outs") == 0
    assert "What to do  Nothing more happens by itself." in text(system, event_id)


def test_replays_and_several_destinations(system):
    """Each series of attempts of an event, and only the latest says how to send it anew."""
    system.sim.fault("error", {"to": TO}, status=400, code=21211)
    system.destination("a", to=TO)
    system.destination("b", to="+15557770001")
    system.produce(system.event("e1", "a"), system.event("e1", "b"))
    system.worker()
    system.wait_states(failed=1, accepted=1)
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " next_attempt_at, replay) select destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " now(), 1 from mms.deliveries where destination_id = 'a'"
    )
    system.query("update mms.destinations set name = 'first' where id = 'a'")
    system.wait_states(failed=2, accepted=1)
    published(system)
    deliveries = document(system, "e1")["deliveries"]
    assert [(d["destination_id"], d["replay"], d["state"], len(d["attempts"]), len(d["next"])) for d in deliveries] == [
        ("a", 0, "failed", 1, 0), ("a", 1, "failed", 1, 1), ("b", 0, "accepted", 1, 0),
    ]  # fmt: skip
    shown = text(system, "e1")
    headings = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    assert headings == ["Event e1", "Delivery to a (first): failed", "Replay 1 to a (first): failed", "Delivery to b (b): accepted"]
    assert shown.count("mms-worker replay --event e1") == 1


def test_unknown_and_then_left_to_a_person(system):
    """It says that Twilio is asked; and once nobody asks, what a person does: that SQL, run as it stands, sends it."""
    system.sim.fault("drop", {"to": TO}, times=1)
    system.destination("d's", to=TO)
    worker = system.worker(twilio_timeout="2s", lease="15s", reconcile_delay="30m")
    system.produce(system.event("e1", "d's"))
    system.wait_states(unknown=1)
    published(system)
    assert "Waits It may have been sent. Twilio is asked at " in flat(text(system, "e1"))
    assert document(system, "e1")["deliveries"][0]["next"] == []
    system.query("update mms.deliveries set lookup_at = 'infinity', finished_at = now()")
    assert "It is left to a person." in flat(text(system, "e1"))
    there, absent = document(system, "e1")["deliveries"][0]["next"]
    assert there["run"] != absent["run"] and worker.alive
    shown = text(system, "e1")
    copied = "\n".join(line[16:] for line in shown.split("sent (again)")[1].splitlines() if line.startswith(16 * " "))
    assert copied == "\n".join(absent["run"])
    (command,) = absent["run"]
    assert system.command(*shlex.split(command)[1:]).status == 0
    system.wait_states(accepted=1, failed=1)
    assert "left to a person" not in text(system, "e1"), "the first series is given up: nobody sends it, too"
    # The other way.
    system.query("update mms.deliveries set state = 'unknown', lookup_at = 'infinity' where replay = 0")
    system.query(there["run"][0])
    assert set(system.states()) == {"accepted"}


def test_why_it_waits(system):
    """Parked, disabled, without a destination, behind others, for its retry, in a worker's hand."""
    system.sim.set_token(ACCOUNT, "other")
    system.destination("parked", to=TO)
    system.destination("off; rm x", to=TO)
    system.query("update mms.destinations set disabled_at = now() where id = 'off; rm x'")
    worker = system.worker()
    system.produce(system.event("e1", "parked"), system.event("e2", "off; rm x"))
    until(lambda: system.query("select 1 from mms.destination_health where condition = 'parked'"), 30, "parking")
    until_equal(lambda: system.states(), {"pending": 2}, 30, "the states")
    worker.stop()
    shown = flat(text(system, "e1"))
    advice = system.value("select last_advice from mms.destination_health where destination_id = 'parked'")
    assert "Delivery to parked (parked): pending; the destination is parked Taken in" in shown
    assert "Waits Its destination is in trouble (AUTHENTICATION_FAILED) since" in shown
    assert f"What to do {advice} A change of the destination ends its pause at once. mms-worker destination show parked" in shown
    shown = flat(text(system, "e2"))
    assert "the destination is disabled" in shown and "Waits Its destination is disabled since" in shown
    assert shown.endswith("mms-worker destination enable 'off; rm x'")

    system.query("delete from mms.destinations where id = 'off; rm x'")
    assert "Waits Its destination does not exist (any more)." in flat(text(system, "e2"))
    system.destination("new", to=TO)
    for n in range(3):
        system.query(
            "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
            " next_attempt_at) values ('new', %s, '{}', 't', 0, 0, now())", f"n{n}",
        )  # fmt: skip
    assert "Waits For its slot, one a second: 2 of this destination are before it." in flat(text(system, "n2"))
    system.query("update mms.deliveries set next_attempt_at = now() + interval '1 hour' where event_id = 'n2'")
    assert "Waits It is tried again at" in flat(text(system, "n2"))
    sending = "update mms.deliveries set state = 'sending', leased_by = 'w1', lease_until = now() + interval %s where event_id = 'n2'"
    system.query(sending, "1 hour")
    assert "Waits Worker w1 has it until" in flat(text(system, "n2"))
    system.query(sending, "-1 hour")
    assert "Waits Worker w1 did not report within its lease; another one takes over." in flat(text(system, "n2"))


def test_rejected_then_delivered(system):
    """Why it was rejected and where it is in Kafka; what to do; and nothing of that once it was delivered."""
    worker = system.worker()
    system.produce(system.event("e1", "nobody"))
    system.produce({"event_id": "e2", "destination_id": 7})
    system.dead_letters(2)
    published(system)
    (rejected,) = document(system, "e1")["rejected"]
    (row,) = system.query("select * from mms.rejected_events where event_id = 'e1'")
    assert (rejected["reason"], rejected["partition"], rejected["offset"]) == (
        "DESTINATION_UNKNOWN", row["partition"], row["offset"],
    )  # fmt: skip
    shown = flat(text(system, "e1"))
    assert "Rejected: DESTINATION_UNKNOWN; it named the destination nobody Rejected" in shown
    assert f"from {row['topic']}/{row['partition']}/{row['offset']} Because {row['detail']} Dead letter published" in shown
    assert shown.endswith("then put the event on the topic again: mms-worker replay --event e1 --outcome rejected")
    assert "its producer has to correct it" in flat(text(system, "e2"))

    system.query("update mms.rejected_events set replayed_at = now() where event_id = 'e1'")
    system.destination("nobody", to=TO)
    system.produce(system.event("e1", "nobody"))
    system.wait_states(accepted=1)
    published(system)
    shown = text(system, "e1")
    assert re.search(rf"  Replayed    {MOMENT}\n", shown) and "What to do" not in shown
    assert "Delivery to nobody (nobody): accepted" in shown and worker.alive


def test_no_such_event(system):
    for options in ((), ("--json",)):
        done = system.command("event", "e\x1b[31m?", *options)
        assert (done.status, done.out) == (1, "")
        assert done.err == (
            "mms-worker event: no such event: 'e [31m?' (not taken in from Kafka yet, removed by prune, or another id?)\n"
        )
    assert system.command("event").status == 2


def test_nothing_from_outside_reaches_the_terminal(system):
    """Control characters in an error's words, in a name; and a word that is longer than a line."""
    system.sim.fault("error", {"to": TO}, status=400, code=21211, message="\x1b[31mred \u009b1m " + 200 * "x")
    system.destination("d", to=TO)
    system.query("update mms.destinations set name = E'a\\x1b[2Jb\\nc'")
    system.worker()
    system.produce(system.event("e1", "d"))
    system.wait_states(failed=1)
    done = system.command("event", "e1")
    assert done.status == 0 and 200 * "x" in done.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.out), repr(done.out)


@pytest.mark.timeout(60)
def test_no_table_is_read_whole(system):
    """With enough rows that reading them all would be seen: every table is reached by an index."""
    system.destination("d", to=TO)
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " next_attempt_at, attempts, state) select 'd', 'e' || n, '{}', 't', 0, n, now(), 1, 'accepted'"
        " from generate_series(1, 20000) n"
    )
    system.query(
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, final, finished_at, worker)"
        " select destination_id, id, 1, gen_random_uuid(), 'accepted', true, now(), 'w' from mms.deliveries"
    )
    system.query("vacuum analyze")
    assert len(document(system, "e777")["deliveries"]) == 1
    for raw in ("true", "false"):
        assert not tables_read_whole(system, "event", "text, text", "e777", raw) & {"deliveries", "attempts"}
