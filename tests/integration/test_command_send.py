"""`mms-worker send`: an event on the topic, and what becomes of it."""

import json

import pytest

TO = "+15557770000"


def test_an_event_is_on_the_topic(system):
    """As any producer would write it: keyed by its id, with what the options say."""
    done = system.command("send", "--destination", "d", "--payload", '{"n": [1, 2.50], "ö": "é"}', "--event-id", "evt_1", "--connection", "con_1")
    assert (done.status, done.err) == (0, "")
    (record,) = system.kafka.consume(system.events_topic)
    assert (record.key, record.json()) == (
        b"evt_1", {"event_id": "evt_1", "destination_id": "d", "connection_id": "con_1", "payload": {"n": [1, 2.5], "ö": "é"}})
    assert done.out.startswith(f"evt_1 is on {system.events_topic}, partition {record.partition}, offset {record.offset}")


def test_ids_of_its_own(system):
    """Each call makes another event."""
    rows = [system.command("send", "--destination", "d", "--json").rows()[0] for _ in range(2)]
    assert rows[0]["event_id"] != rows[1]["event_id"] and all(row["event_id"].startswith("evt_") for row in rows)
    assert sorted(record.json()["event_id"] for record in system.kafka.consume(system.events_topic)) == sorted(row["event_id"] for row in rows)


@pytest.mark.parametrize("source", ["argument", "stdin", "file"])
def test_where_a_payload_comes_from(system, source):
    text = '{"message": "hello"}'
    path = system.directory / "payload.json"
    path.write_text(text)
    option = {"argument": text, "stdin": "-", "file": f"@{path}"}[source]
    assert system.command("send", "--destination", "d", "--payload", option, stdin=text if source == "stdin" else "").status == 0
    assert system.kafka.consume(system.events_topic)[0].json()["payload"] == {"message": "hello"}


def test_wait_until_it_was_taken(system):
    """Status 0, and the story."""
    system.destination("d")
    system.worker()
    done = system.command("send", "--destination", "d", "--payload", '{"message": "hello"}', "--wait")
    assert (done.status, done.err) == (0, ""), done
    (attempt,) = system.attempts()
    assert f"\naccepted\n  story    {attempt['story']}" in done.out
    assert system.sim.posts()[0]["body"].endswith("hello")


def test_wait_for_a_failure(system):
    """Status 1, why, and what to do."""
    system.sim.fault("error", {"to": TO}, code=21211)
    system.destination("d", to=TO)
    system.worker()
    done = system.command("send", "--destination", "d", "--wait")
    (attempt,) = system.attempts()
    assert done.status == 1 and f"failed: {attempt['reason']}\n" in done.out and attempt["advice"] in done.out
    (row,) = system.command("send", "--destination", "d", "--wait", "--json").rows()
    assert (row["state"], row["error_code"], row["reason"]) == ("failed", 21211, attempt["reason"])


def test_wait_for_a_rejection(system):
    system.worker()
    done = system.command("send", "--destination", "nowhere", "--wait")
    assert done.status == 1 and "rejected: DESTINATION_UNKNOWN\n  detail   destination_id: there is no destination" in done.out


@pytest.mark.parametrize("why", ["disabled", "parked", "no worker"])
def test_no_result_in_time(system, why):
    """Status 3, and what it waits for."""
    system.destination("d")
    system.query("update mms.destinations set disabled_at = now() where %s = 'disabled'", why)
    if why != "no worker":
        system.worker()
    if why == "parked":
        system.query("update mms.destinations set config = config - 'to'")
        system.produce(system.event("e0", "d"))
        system.wait_states(pending=1)
    done = system.command("send", "--destination", "d", "--wait", "--timeout", "6s" if why == "no worker" else "10s")
    expected = {
        "disabled": "pending\n  waits    the destination is disabled; its events are held",
        "parked": "  waits    the destination is parked\n  parked   ",
        "no worker": "no worker has taken",
    }
    assert done.status == 3 and expected[why] in done.out + done.err


def test_a_repetition(system):
    """An id that was here before: what became of that one, and a word about it."""
    system.destination("d")
    system.worker()
    for expected in (False, True):
        done = system.command("send", "--destination", "d", "--event-id", "evt_1", "--wait")
        assert done.status == 0 and ("this event was here before" in done.out) == expected
    assert len(system.sim.messages()) == 1


@pytest.mark.parametrize("words, status, expected", [
    ([], 2, "--destination ID is missing"),
    (["--destination", "d", "--timeout", "soon"], 2, "--timeout: 'soon' is not valid, expected a duration"),
    (["--destination", "d", "--payload", "{"], 1, "--payload (JSON, @FILE or -): "),
    (["--destination", "d", "--payload", '{"a":1,"a":2}'], 1, "--payload (JSON, @FILE or -): "),
    (["--destination", "d", "--event-id", "a\tb"], 1, "the event would be rejected: EVENT_ID_INVALID: event_id"),
    (["--destination", "", "--event-id", "a"], 1, "the event would be rejected: DESTINATION_ID_INVALID: destination_id"),
])
def test_wrong_options(system, words, status, expected):
    """One line, and nothing on the topic."""
    done = system.command("send", *words)
    assert (done.status, done.out) == (status, "") and expected in done.err and done.err.count("\n") == 1
    assert system.kafka.consume(system.events_topic) == []


def test_a_file_that_is_not_there(system):
    done = system.command("send", "--destination", "d", "--payload", "@/nowhere/payload")
    assert done.status == 1 and "/nowhere/payload: No such file" in done.err


def test_a_payload_that_is_too_large(system):
    done = system.command("send", "--destination", "d", "--payload", "-", stdin=json.dumps("x" * (1 << 20)))
    assert done.status == 1 and "expected at most" in done.err


def test_topics_by_a_regular_expression(system):
    """The first that is a name; with none, --topic has to be given."""
    done = system.command("send", "--destination", "d", event_topics="^events.*")
    assert done.status == 2 and "expected --topic TOPIC" in done.err
    assert system.command("send", "--destination", "d", event_topics=f"^other.*,{system.events_topic}").status == 0
    assert system.command("send", "--destination", "d", "--topic", system.events_topic, event_topics="^other.*").status == 0
    assert len(system.kafka.consume(system.events_topic)) == 2


@pytest.mark.timeout(60)
def test_kafka_is_away(system):
    """One line that says which broker and why, status 1."""
    done = system.command("send", "--destination", "d", kafka_bootstrap_servers="127.0.0.1:1", kafka_message_timeout_ms="1000")
    assert (done.status, done.out) == (1, "") and done.err.count("\n") == 1
    assert done.err.startswith(f"mms-worker send: Kafka: topic '{system.events_topic}': ") and "127.0.0.1:1" in done.err
