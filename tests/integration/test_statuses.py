"""What became of messages: Twilio's callbacks and our polls, from the simulator to the tables and the status topic."""

import secrets
import signal
import socket
import time

import requests
from twilio.request_validator import RequestValidator

from harness.system import ACCOUNT, TOKEN
from harness.wait import until, until_equal

TO = "+15557770000"
LIFE = ("queued", "sending", {"status": "sent", "after_ms": 400}, {"status": "delivered", "after_ms": 400})
# No status comes before the result ahead of it is published, even a worker's first: none waits for the outbox's sweep.
LATER = 1500
CALM = (
    "queued", {"status": "sending", "after_ms": LATER}, {"status": "sent", "after_ms": 600}, {"status": "delivered", "after_ms": 600},
)
OTHER_ACCOUNT = "AC" + "f" * 32


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def receiver(system, **settings):
    """A worker that takes callbacks; its URL is receiver.url."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/twilio/status"
    settings = {"status_poll_rate": "0", "log_level": "debug", **settings}
    worker = system.worker(status_callback_url=url, callback_listen=f"127.0.0.1:{port}", **settings).wait_ready()
    until(lambda: worker.log_lines("read the auth tokens of destinations"), 10, "the accounts")
    worker.url = url
    return worker


def statuses(system, event_id="e1"):
    """(status, advanced) in the order of storing."""
    rows = system.query(
        "select s.* from mms.message_statuses s join mms.deliveries d on d.destination_id = s.destination_id"
        " and d.id = s.delivery_id where d.event_id = %s order by s.received_at, s.rank",
        event_id,
    )
    return [(row["status"], row["advanced"]) for row in rows]


def await_results(system, event_id, *wanted, timeout=40):
    """Waits for the event's results to be exactly these: an outcome, or a message's status."""
    seen = {}

    def look():
        for result in system.results():
            if result["event_id"] == event_id:
                seen.setdefault(result["result_id"], result)
        return [r["message_status"] if r["kind"] == "status" else r["outcome"] for r in seen.values()]

    until_equal(look, list(wanted), timeout, f"the results of {event_id}")
    return list(seen.values())


def test_the_whole_story(system):
    """From the slot to the phone: rows, results in order, and words."""
    system.sim.life(*CALM)
    system.destination("d", to=TO)
    receiver(system)
    system.produce(system.event("e1", "d", connection_id="con_1"), headers=[("traceparent", b"00-1-2-01")])
    results = await_results(system, "e1", "accepted", "sending", "sent", "delivered")
    assert statuses(system) == [("sending", True), ("sent", True), ("delivered", True)]
    sid = system.sim.messages()[0]["sid"]
    for result in results[1:]:
        assert (result["kind"], result["outcome"], result["attempt"], result["message_sid"]) == ("status", "accepted", 1, sid)
        assert result["connection_id"] == "con_1" and result["destination_id"] == "d" and result["error_code"] is None
    assert [r["final"] for r in results] == [True, False, False, True]
    (attempt,) = system.attempts("e1")
    assert (attempt["message_status"], attempt["message_status_final"]) == ("delivered", True)
    assert attempt["advice"] is None and attempt["error_code"] is None
    for words in ("Slot ", "Sent at ", TO, "HTTP 201", f"Accepted as {sid}", "sending at", "sent at", "delivered at"):
        assert words in attempt["story"], attempt["story"]
    (row,) = system.query("select * from mms.message_statuses where status = 'delivered'")
    assert row["source"] == "callback" and row["parameters"]["MessageSid"] == sid
    until(lambda: system.value("select count(*) from mms.message_statuses where published_at is null") == 0, 10, "marks")
    assert system.value("select count(*) from mms.open_messages") == 0


def test_what_failed_later_says_why_and_what_to_do(system):
    """Each code at a destination of its own; one that nobody knows has no reason, and an advice all the same."""
    codes = {30003: True, 30007: True, 30008: True, 11751: True, 63999: False}
    for code in codes:
        step = {"status": "undelivered", "after_ms": LATER, "error_code": code, "error_message": "no such handset"}
        system.sim.life("queued", step, match={"to": f"+155577{code}"})
        system.destination(f"d{code}", to=f"+155577{code}")
    receiver(system)
    system.produce(*[system.event(f"e{code}", f"d{code}") for code in codes])
    for code, has_reason in codes.items():
        result = await_results(system, f"e{code}", "accepted", "undelivered")[1]
        assert (result["error_code"], result["final"], result["outcome"]) == (code, True, "accepted")
        assert bool(result["reason"]) == has_reason, code
        (attempt,) = system.attempts(f"e{code}")
        assert (attempt["outcome"], attempt["message_status"], attempt["error_code"]) == ("accepted", "undelivered", code)
        assert attempt["advice"].endswith(".") and attempt["advice"].rstrip(".") in attempt["story"]
        assert attempt["message_status_reason"] == result["reason"]


def test_callbacks_out_of_order_never_go_back(system):
    system.sim.life(*CALM, callbacks="reversed")
    system.destination("d", to=TO)
    receiver(system)
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    answered = system.sim.await_callbacks()
    assert [c["http_status"] for c in answered] == [204] * 3
    wanted = {("delivered", True), ("sent", False), ("sending", False)}
    until_equal(lambda: set(statuses(system)), wanted, 10, "the statuses")
    await_results(system, "e1", "accepted", "delivered")
    assert system.attempts("e1")[0]["message_status"] == "delivered"


def test_a_repeated_callback_is_one_status(system):
    system.sim.life("queued", {"status": "sent", "after_ms": LATER, "repeat": 5}, {"status": "delivered", "after_ms": 600, "repeat": 3})
    system.destination("d", to=TO)
    receiver(system)
    system.produce(system.event("e1", "d"))
    await_results(system, "e1", "accepted", "sent", "delivered")
    assert len(system.sim.await_callbacks()) == 8
    assert statuses(system) == [("sent", True), ("delivered", True)]


def test_unknown_statuses_and_parameters(system):
    """A name that nobody knows yet is kept and published; the ones that are known still come behind it."""
    system.sim.life(
        "queued",
        {"status": "teleporting", "after_ms": LATER, "extra": {"Néw": "wört", "Twice": ["b", "a"]}},
        {"status": "delivered", "after_ms": 600},
    )
    system.destination("d", to=TO)
    receiver(system)
    system.produce(system.event("e1", "d"))
    results = await_results(system, "e1", "accepted", "teleporting", "delivered")
    assert [r["final"] for r in results] == [True, False, True]
    parameters = system.value("select parameters from mms.message_statuses where status = 'teleporting'")
    assert parameters["Néw"] == "wört"


def test_callbacks_that_know_more_than_we_do(system):
    """
    Twilio tells of a message while our own POST still waits for its answer; of two whose answers were lost, or had no SID; and
    of one that it refused in words. Its own callbacks are believed, at once: nobody waits for the lookup, which is an hour
    away here, and nothing is sent again.
    """
    numbers = {name: f"+1555777000{i}" for i, name in enumerate(("early", "accept_then_drop", "accept_no_sid", "refused"))}
    system.sim.life(*LIFE, match={"to": numbers["early"]})
    system.sim.fault("delay", {"to": numbers["early"]}, ms=4000, accept_first=True)
    for lost in ("accept_then_drop", "accept_no_sid"):
        system.sim.life(
            "queued", {"status": "sent", "after_ms": 1500}, {"status": "delivered", "after_ms": 300}, match={"to": numbers[lost]}
        )
        system.sim.fault(lost, {"to": numbers[lost]})
    system.sim.fault("error", {"to": numbers["refused"]}, code=20429, status=429, accept=True, times=1)
    for name, number in numbers.items():
        system.destination(name, to=number)
    receiver(system, reconcile_delay="1h", retry_base="1h", retry_max="1h")
    system.produce(*[system.event(name, name) for name in numbers])

    until(lambda: system.attempts("refused"), 20, "an attempt")
    assert system.attempts("refused")[0]["outcome"] == "retry"
    system.sim.move(system.sim.messages(to=numbers["refused"])[0]["sid"], "sent", callback=True)
    until_equal(lambda: len(statuses(system, "early")), 3, 20, "the statuses of what has no answer yet")
    assert system.value("select state from mms.deliveries where event_id = 'early'") == "sending"
    system.wait_states(accepted=4)

    await_results(system, "early", "accepted", "sending", "sent", "delivered")
    assert system.attempts("early")[0]["message_status"] == "delivered"
    for lost in ("accept_then_drop", "accept_no_sid"):
        await_results(system, lost, "unknown", "accepted", "sent", "delivered")
        (attempt,) = system.attempts(lost)
        (message,) = system.sim.messages(to=numbers[lost])
        seen = (attempt["outcome"], attempt["message_sid"], attempt["message_status"])
        assert seen == ("accepted", message["sid"], "delivered"), lost
        assert "callback" in attempt["resolution"] and "callback" in attempt["story"]
    await_results(system, "refused", "retry", "accepted", "sent")
    assert {name: len(system.sim.posts(to=number)) for name, number in numbers.items()} == dict.fromkeys(numbers, 1)
    assert not [r for r in system.sim.requests() if r["method"] == "GET"], "Twilio wasn't asked"


def test_a_callback_resolves_what_was_left_to_a_person(system):
    system.sim.fault("accept_then_drop", {"to": TO})
    system.sim.fault("status", {"to": TO, "method": "GET"}, status=500)
    system.destination("d", to=TO)
    receiver(system, reconcile_delay="1s", reconcile_limit="1s", twilio_timeout="2s", lease="15s")
    system.produce(system.event("e1", "d"))
    until(lambda: system.query("select 1 from mms.attempts where outcome = 'unknown' and final"), 40, "giving up")
    system.sim.move(system.sim.messages()[0]["sid"], "delivered", callback=True)
    system.wait_states(accepted=1)
    assert system.attempts("e1")[0]["message_status"] == "delivered"


def test_a_callback_for_a_killed_worker(system):
    """It was sent by a worker that is no more; another one is told, and knows when the lease is over."""
    system.sim.life("queued", {"status": "sent", "after_ms": 2000})
    system.sim.fault("delay", {"to": TO}, ms=60000, accept_first=True)
    system.destination("d", to=TO)
    other = receiver(system, lease="15s", twilio_timeout="5s", reconcile_delay="1h")
    sender = system.worker(status_callback_url=other.url, lease="15s", twilio_timeout="5s", reconcile_delay="1h")
    system.query("update mms.destinations set disabled_at = now()")
    system.produce(system.event("e1", "d"))
    until(lambda: system.states() == {"pending": 1}, 20, "intake")
    other.send_signal(signal.SIGSTOP)
    system.query("update mms.destinations set disabled_at = null")
    until(lambda: system.sim.messages(), 20, "the message")
    sender.kill()
    other.send_signal(signal.SIGCONT)
    system.wait_states(accepted=1, timeout=40)
    assert len(system.sim.messages()) == 1
    assert "callback" in system.attempts("e1")[0]["resolution"]


def test_a_callback_that_names_another_attempts_message(system):
    """Twilio's answer named it for another one: that can't be, and a person is told so once."""
    receiver_settings = {"reconcile_delay": "1h", "lease": "15s", "twilio_timeout": "5s"}
    system.destination("d", to=TO)
    worker = receiver(system, **receiver_settings)
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    taken = system.sim.messages()[0]["sid"]
    system.sim.fault("accept_then_drop", {"to": TO})
    system.produce(system.event("e2", "d"))
    system.wait_states(accepted=1, unknown=1)
    url = system.attempts("e2")[0]["request"]["parameters"]["StatusCallback"]
    form = {"AccountSid": ACCOUNT, "MessageSid": taken, "MessageStatus": "sent"}
    signature = RequestValidator(TOKEN).compute_signature(url, form)
    assert requests.post(url, form, headers={"X-Twilio-Signature": signature}, timeout=10).status_code == 204
    until(lambda: system.attempts("e2")[0]["final"], 20, "the end of it")
    (attempt,) = system.attempts("e2")
    assert (attempt["outcome"], attempt["reason"], attempt["message_sid"]) == ("unknown", "MESSAGE_TAKEN", None)
    assert "a person has to decide" in attempt["resolution"] and taken in attempt["resolution"]
    assert system.value("select lookup_at::text from mms.deliveries where state = 'unknown'") == "infinity"
    assert system.attempts("e1")[0]["message_sid"] == taken and system.attempts("e1")[0]["outcome"] == "accepted"
    assert not [line for line in worker.log_lines() if line["level"] == "error"]


def test_nobody_can_tell_of_another_accounts_message(system):
    """A well signed callback of one account that names an attempt of another's: taken, and changes nothing."""
    auth = {"account_sid": OTHER_ACCOUNT, "auth_token": "other-token"}
    system.destination("mine", to=TO)
    system.destination("other", to="+15557770001", auth=auth)
    worker = receiver(system, log_level="debug")
    system.produce(system.event("e1", "mine"))
    system.wait_states(accepted=1)
    message = system.sim.messages()[0]
    url = system.attempts("e1")[0]["request"]["parameters"]["StatusCallback"]
    form = {"AccountSid": OTHER_ACCOUNT, "MessageSid": message["sid"], "MessageStatus": "failed", "ErrorCode": "30007"}
    signature = RequestValidator("other-token").compute_signature(url, form)
    assert requests.post(url, form, headers={"X-Twilio-Signature": signature}, timeout=10).status_code == 204
    own = {**form, "AccountSid": ACCOUNT, "MessageStatus": "sent", "ErrorCode": ""}
    signature = RequestValidator(TOKEN).compute_signature(url, own)
    assert requests.post(url, own, headers={"X-Twilio-Signature": signature}, timeout=10).status_code == 204
    until_equal(lambda: statuses(system), [("sent", True)], 10, "the statuses")
    assert worker.alive


def test_a_token_of_another_destination_vouches_for_nothing(system):
    """Who writes our account's SID and a token of his own into his destination can sign, but not for our messages."""
    system.destination("mine", to=TO)
    system.destination("theirs", to="+15557770001", auth={"account_sid": ACCOUNT, "auth_token": "their-own-token"})
    receiver(system)
    system.produce(system.event("e1", "mine"))
    system.wait_states(accepted=1)
    url = system.attempts("e1")[0]["request"]["parameters"]["StatusCallback"]
    sid = system.sim.messages()[0]["sid"]
    for token, status in (("their-own-token", "failed"), (TOKEN, "sent")):
        form = {"AccountSid": ACCOUNT, "MessageSid": sid, "MessageStatus": status, "From": "+15550001111", "To": TO}
        form["ErrorCode"] = "21610" if status == "failed" else ""
        signature = RequestValidator(token).compute_signature(url, form)
        assert requests.post(url, form, headers={"X-Twilio-Signature": signature}, timeout=10).status_code == 204
    until_equal(lambda: statuses(system), [("sent", True)], 10, "the statuses")
    assert not system.query("select 1 from mms.opt_outs")


def test_an_opt_out_that_is_told_later(system):
    system.sim.life("queued", {"status": "failed", "after_ms": 300, "error_code": 21610})
    system.destination("d", to=TO)
    receiver(system)
    system.produce(system.event("e1", "d"))
    until(lambda: system.query("select 1 from mms.opt_outs where recipient = %s", TO), 20, "the opt-out")
    system.produce(system.event("e2", "d"))
    system.wait_states(accepted=1, failed=1)
    assert system.attempts("e2")[0]["reason"] == "RECIPIENT_OPTED_OUT" and len(system.sim.posts()) == 1


def test_what_is_no_number_opts_nobody_out(system):
    """An account's owner can sign what he likes: a sender too long for a key costs no other status its place."""
    system.destination("d", to=TO)
    worker = receiver(system)
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    url = system.attempts("e1")[0]["request"]["parameters"]["StatusCallback"]
    form = {
        "AccountSid": ACCOUNT,
        "MessageSid": system.sim.messages()[0]["sid"],
        "MessageStatus": "failed",
        "ErrorCode": "21610",
        "From": secrets.token_hex(6000),
        "To": TO,
    }
    signature = RequestValidator(TOKEN).compute_signature(url, form)
    assert requests.post(url, form, headers={"X-Twilio-Signature": signature}, timeout=10).status_code == 204
    until_equal(lambda: statuses(system), [("failed", True)], 10, "the status")
    assert not system.query("select 1 from mms.opt_outs")
    assert not worker.log_lines("statuses of messages refused by PostgreSQL; polls make up for them")


def test_a_destinations_own_callback_wins(system):
    """Who is told is the destination's wish; its messages are asked for instead."""
    own = f"http://127.0.0.1:{free_port()}/theirs"
    system.sim.life(*LIFE, callbacks="withheld")
    system.destination("url", to=TO, status_callback=own)
    system.destination("app", to=TO, application_sid="AP" + "0" * 32)
    system.destination("ours", to=TO)
    worker = receiver(system, status_poll_rate="5", status_poll_delay="1s")
    system.produce(*[system.event(f"e.{id}", id) for id in ("url", "app", "ours")])
    system.wait_states(accepted=3)
    sent = {a["destination_id"]: a["request"]["parameters"].get("StatusCallback") for a in system.attempts()}
    assert sent["url"] == own and sent["app"] is None and sent["ours"].startswith(worker.url + "?attempt=")
    until(lambda: all(a["message_status"] == "delivered" for a in system.attempts()), 30, "the polls")


def test_a_status_that_is_refused_costs_no_other(system):
    """Reports share a transaction; what PostgreSQL refuses in one of them is no reason to lose the rest."""
    numbers = [f"+1555777000{i}" for i in range(8)]
    for i, number in enumerate(numbers):
        system.destination(f"d{i}", to=number)
    worker = receiver(system)
    system.query("alter table mms.message_statuses add check (status <> 'poison')")
    system.produce(*[system.event(f"e{i}", f"d{i}") for i in range(8)])
    system.wait_states(accepted=8)
    sids = {message["to"]: message["sid"] for message in system.sim.messages()}
    with system.postgres.connect(system.database) as held, held.cursor() as cursor:
        held.autocommit = False
        cursor.execute("begin; lock table mms.message_statuses in exclusive mode")
        # The first waits for the lock; the others gather meanwhile.
        for i, number in enumerate(numbers):
            system.sim.move(sids[number], "poison" if i == 4 else "sent", callback=True)
        until(lambda: len(system.sim.callbacks(http_status=204)) == 8, 10, "the callbacks")
        cursor.execute("commit")
    until_equal(lambda: system.value("select count(*) from mms.message_statuses"), 7, 10, "the others' statuses")
    system.sim.move(sids[numbers[4]], "delivered", callback=True)
    until_equal(lambda: system.value("select count(*) from mms.message_statuses"), 8, 10, "what comes after it")
    (line,) = [line for line in worker.log_lines() if line["level"] == "error"]
    assert line["message_sid"] == sids[numbers[4]]


def test_many_at_once(system):
    """Three hundred messages through two workers, one of which takes the callbacks of both."""
    system.sim.life("queued", {"status": "sent", "after_ms": 2000, "repeat": 2}, {"status": "delivered", "after_ms": 900})
    for i in range(100):
        system.destination(f"d{i}", to=f"+1555777{i:04}")
    first = receiver(system)
    system.worker(status_callback_url=first.url, status_poll_rate="0")
    system.produce_many([system.event(f"e{i}", f"d{i % 100}") for i in range(300)])
    system.wait_states(accepted=300, timeout=60)
    until_equal(lambda: system.value("select count(*) from mms.message_statuses where advanced"), 600, 30, "the statuses")
    seen = {}

    def look():
        for result in system.results():
            seen.setdefault(result["event_id"], {}).setdefault(result["result_id"], result)
        return sum(len(results) for results in seen.values())

    until_equal(look, 900, 60, "the results")
    for results in seen.values():
        assert [r["message_status"] for r in results.values()][1:] == ["sent", "delivered"]


# ---- polls ----


def gets(system):
    return [r for r in system.sim.requests() if r["method"] == "GET" and "/Messages/" in r["path"]]


def test_without_callbacks_twilio_is_asked(system):
    system.sim.life(*LIFE)
    system.destination("d", to=TO)
    system.worker(status_poll_delay="2s")
    system.produce(system.event("e1", "d"))
    await_results(system, "e1", "accepted", "delivered")
    assert system.query("select status, source from mms.message_statuses") == [{"status": "delivered", "source": "poll"}]
    assert system.value("select count(*) from mms.open_messages") == 0 and len(gets(system)) == 1
    assert "StatusCallback" not in system.sim.posts()[0]["raw_body"]


def test_pauses_grow_and_end(system):
    """Not at rest: asked after 1 s, 4 s more, 16 s more; once it was sent much later; after a day not at all."""
    ahead = "select extract(epoch from poll_at - clock_timestamp())::float from mms.open_messages"
    system.destination("d", to=TO)
    system.worker(status_poll_delay="1s")
    system.produce(system.event("e1", "d"))
    until(lambda: len(gets(system)) == 2, 20, "two polls")
    times = [r["arrived_at"] for r in gets(system)]
    assert 3 <= times[1] - times[0] < 8
    assert 12 < system.value(ahead) <= 20, "it is waited for poll_at, as before the second"
    system.query("update mms.open_messages set poll_at = clock_timestamp()")
    until(lambda: len(gets(system)) == 3, 20, "the third poll")
    assert 50 < system.value(ahead) <= 80
    sid = system.sim.messages()[0]["sid"]
    system.sim.move(sid, "sent", callback=False)
    system.query("update mms.open_messages set poll_at = clock_timestamp()")
    until_equal(lambda: statuses(system), [("queued", True), ("sent", True)], 20, "the status")
    assert 230 < system.value(ahead) <= 260
    system.query("update mms.open_messages set poll_at = clock_timestamp(), opened_at = opened_at - interval '25 hours'")
    asked = len(gets(system))
    until(lambda: system.value("select count(*) from mms.open_messages") == 0, 20, "the end")
    assert len(gets(system)) == asked


def test_polls_are_few(system):
    """However many messages wait, a worker asks for some a second; and rests when Twilio says that it is too much."""
    for i in range(60):
        system.destination(f"d{i}", to=f"+1555777{i:04}")
    system.worker(status_poll_delay="1s", status_poll_rate="3")
    system.produce_many([system.event(f"e{i}", f"d{i}") for i in range(60)])
    system.wait_states(accepted=60)
    until(lambda: len(gets(system)) >= 20, 30, "polls")
    times = [r["arrived_at"] for r in gets(system)]
    assert len(times) / (times[-1] - times[0]) < 4.5, times
    assert len({r["path"] for r in gets(system)[:20]}) == 20, "others first"
    system.sim.fault("error", {"method": "GET"}, code=20429, status=429)
    before = len(gets(system))
    until(lambda: len(gets(system)) > before, 10, "a refusal")
    after = len(gets(system))
    time.sleep(4)  # that nothing comes
    assert len(gets(system)) <= after + 3


def test_missed_callbacks_are_made_up_for(system):
    system.sim.life(*LIFE, callbacks="withheld")
    system.destination("d", to=TO)
    receiver(system, status_poll_rate="5", status_poll_delay="2s")
    system.produce(system.event("e1", "d"))
    await_results(system, "e1", "accepted", "delivered")


def test_polls_can_be_switched_off(system):
    system.destination("d", to=TO)
    system.worker(status_poll_rate="0", status_poll_delay="1s")
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    assert system.value("select count(*) from mms.open_messages") == 0


def test_a_poll_that_fails_is_no_harm(system):
    """The message is gone at Twilio, or the answer is nonsense, or none comes."""
    faults = [("status", {"status": 404}), ("accept_garbage", {}), ("drop", {}), ("status", {"status": 500}), ("xml", {})]
    system.sim.life(*LIFE)
    accounts = ["AC" + str(i) * 32 for i in range(len(faults))]
    for i, (fault, parameters) in enumerate(faults):
        system.destination(f"d{i}", to=f"+1555777000{i}", auth={"account_sid": accounts[i], "auth_token": "t"})
        system.sim.fault(fault, {"method": "GET", "account": accounts[i]}, times=1, **parameters)
    system.worker(status_poll_delay="1s")
    system.produce(*[system.event(f"e{i}", f"d{i}") for i in range(len(faults))])
    system.wait_states(accepted=len(faults))
    until(lambda: all(a["message_status"] == "delivered" for a in system.attempts()), 60, "the polls")
    assert [rule["hits"] for rule in system.sim.faults()] == [1] * len(faults)


def test_what_a_lookup_saw_is_not_gone_back_from(system):
    """The list that found the message says that it was delivered; a callback that it was sent comes late."""
    system.sim.fault("accept_then_drop", {"to": TO})
    system.destination("d", to=TO)
    receiver(system, reconcile_delay="2s", twilio_timeout="3s", lease="15s")
    system.produce(system.event("e1", "d"))
    until(lambda: system.sim.messages(), 20, "the message")
    sid = system.sim.messages()[0]["sid"]
    system.sim.move(sid, "delivered", callback=False)
    system.wait_states(accepted=1, timeout=30)
    until_equal(lambda: statuses(system), [("delivered", True)], 10, "what the lookup saw")
    system.sim.move(sid, "sent", callback=True)
    until_equal(lambda: statuses(system), [("delivered", True), ("sent", False)], 10, "the callback")
    assert system.attempts("e1")[0]["message_status"] == "delivered"
    assert system.value("select count(*) from mms.open_messages") == 0



def test_a_message_at_rest_before_its_evidence_is_asked_for_once(system):
    """Its last status came before the answer to our POST did: one poll finds that out, and is the last."""
    system.sim.life("queued", {"status": "delivered", "after_ms": 100})
    system.sim.fault("delay", {"to": TO, "method": "POST"}, ms=3000, accept_first=True)
    system.destination("d", to=TO)
    receiver(system, status_poll_rate="5", status_poll_delay="2s")
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    assert statuses(system) == [("delivered", True)]
    assert system.value("select count(*) from mms.open_messages") == 1
    until(lambda: system.value("select count(*) from mms.open_messages") == 0, 30, "the poll")
    assert len(gets(system)) == 1
