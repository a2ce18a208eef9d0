"""The life of a message at the simulator: statuses, status callbacks and their signatures, privacy, opt-outs.

Callbacks arrive at a server of these tests, and Twilio's own RequestValidator judges their signatures.
"""

import email.utils
import http.server
import queue
import re
import signal
import threading
import time
import urllib.parse
from collections import Counter
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
import requests
from test_simulator import ACCOUNT, FROM, MEDIA, PATH, PATIENCE, TO, TOKEN, LocalTwilio, Raw, form, post
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from harness.process import free_port
from harness.sim import Sim
from harness.wait import until, until_equal

pytestmark = pytest.mark.timeout(60)

SERVICE = "MG" + "a" * 32
NORMAL = ("queued", "sending", "sent", "delivered")


# ---------------------------------------------------------------------------------------------- helpers


class Received:
    """A callback as it came in."""

    def __init__(self, url, headers, body):
        self.url = url
        self.headers = headers
        self.body = body
        self.pairs = urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        self.params = dict(self.pairs)
        self.status = self.params["MessageStatus"]
        self.signature = headers["X-Twilio-Signature"]

    def valid(self, token=TOKEN, url=None):
        """Whether Twilio's validator takes the signature for good."""
        return RequestValidator(token).validate(url or self.url, Pairs(self.pairs), self.signature)


class Pairs:
    """Parameters with repeated names, as the validator wants them: each different value once."""

    def __init__(self, pairs):
        self.pairs = pairs

    def items(self):
        return sorted(set(self.pairs))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
        receiver = self.server.receiver
        receiver.requests.append(Received(f"http://{self.headers['Host']}{self.path}", self.headers, body))
        status = receiver.answer(receiver.requests[-1])
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "2")
        self.end_headers()
        if status != 204:
            self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Receiver:
    """Takes callbacks; `answer` says with what status each is answered, None: not at all."""

    def __init__(self, port=0):
        self.requests = []
        self.answer = lambda request: 204
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.receiver = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/twilio/status"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def statuses(self):
        return [request.status for request in self.requests]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def the_sim(tmp_path_factory):
    with Sim(tmp_path_factory.mktemp("sim")) as sim:
        yield sim
        assert sim.process.stop() == 0


@pytest.fixture
def sim(the_sim):
    the_sim.reset()
    return the_sim


@pytest.fixture
def client(sim):
    return Client(ACCOUNT, TOKEN, http_client=LocalTwilio(sim.base_url))


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def create(client, receiver):
    def create(**more):
        return client.messages.create(
            **{"to": TO, "from_": FROM, "body": "hello", "status_callback": receiver.url, **more}
        )

    return create


def connect(sim):
    """A bare connection to the simulator."""
    return Raw(SimpleNamespace(port=int(sim.base_url.rsplit(":", 1)[1])))


def refused(create, **params):
    """Status and code with which a create is refused."""
    with pytest.raises(TwilioRestException) as caught:
        create(**params)
    return caught.value.status, caught.value.code


# ------------------------------------------------------------------------------------------------ lives


def test_without_a_rule_nothing_happens(sim, client, receiver, create):
    message = create()
    assert sim.callbacks_to_come() == 0 and sim.callbacks() == []
    assert client.messages(message.sid).fetch().status == "queued"
    assert receiver.requests == []


def test_normal_life(sim, client, receiver, create):
    sim.life("queued", "sending", {"status": "sent", "after_ms": 20}, {"status": "delivered", "after_ms": 20})
    message = create(media_url=MEDIA[:2])
    assert message.status == "queued" and message.date_sent is None
    log = sim.await_callbacks()
    assert receiver.statuses() == ["sending", "sent", "delivered"]  # none for the status it began with
    assert [entry["status"] for entry in log] == receiver.statuses() and [entry["n"] for entry in log] == [1, 2, 3]
    now = client.messages(message.sid).fetch()
    assert (now.status, now.error_code, now.error_message) == ("delivered", None, None)
    assert message.date_created <= now.date_sent <= now.date_updated
    assert client.messages.list(to=TO)[0].status == "delivered"
    raw = requests.get(f"{sim.base_url}{message.uri}", auth=(ACCOUNT, TOKEN), timeout=PATIENCE).json()
    assert email.utils.parsedate_to_datetime(raw["date_sent"]) == now.date_sent
    assert raw["date_sent"].endswith(" +0000")


def test_form_of_a_callback(sim, receiver, create):
    sim.life("sent", "delivered")
    message = create()
    sim.await_callbacks()
    first, second = receiver.requests
    expected = {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "From": FROM,
        "To": TO,
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": "sent",
        "SmsStatus": "sent",
    }
    assert first.params == expected and len(first.pairs) == len(expected)
    date = second.params.pop("RawDlrDoneDate")
    assert second.params == {**expected, "MessageStatus": "delivered", "SmsStatus": "delivered"}
    when = datetime.strptime(date, "%y%m%d%H%M").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - when) < timedelta(minutes=2)
    assert first.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert "I-Twilio-Idempotency-Token" not in first.headers


@pytest.mark.parametrize("status", ["failed", "undelivered"])
@pytest.mark.parametrize(
    "given, code, text",
    [
        ({"error_code": 30003}, 30003, "Unreachable destination handset"),
        ({"error_code": 30999, "error_message": "Very & special"}, 30999, "Very & special"),
        ({"error_code": 30998}, 30998, None),
        ({}, None, None),
    ],
)
def test_failures(sim, client, receiver, create, status, given, code, text):
    sim.life({"status": status, **given})
    message = create()
    sim.await_callbacks()
    params = receiver.requests[0].params
    assert params.get("ErrorCode") == (None if code is None else str(code)) and params.get("ErrorMessage") == text
    assert ("RawDlrDoneDate" in params) == (status == "undelivered")
    now = client.messages(message.sid).fetch()
    assert (now.status, now.error_code, now.error_message) == (status, code, text)
    assert (now.date_sent is None) == (status == "failed")


def test_messaging_service(sim, client, receiver, create):
    sim.life("accepted", "queued", "sent")
    message = create(from_=None, messaging_service_sid=SERVICE)
    assert (message.status, message.from_, message.num_segments) == ("accepted", None, "0")
    sim.await_callbacks()
    assert receiver.statuses() == ["queued", "sent"]
    assert {r.params["MessagingServiceSid"] for r in receiver.requests} == {SERVICE}
    now = client.messages(message.sid).fetch()
    assert now.from_ is not None and now.num_segments == "1"
    assert {r.params["From"] for r in receiver.requests} == {now.from_}


def test_unknown_statuses_and_parameters(sim, client, receiver, create):
    sim.life({"status": "teleported", "extra": {"NewParameter": "a b&c=d+é👍", "Empty": "", "Many": ["2", "1", "2"]}})
    message = create()
    sim.await_callbacks()
    got = receiver.requests[0]
    assert got.status == "teleported" and client.messages(message.sid).fetch().status == "teleported"
    assert got.params["NewParameter"] == "a b&c=d+é👍" and got.params["Empty"] == ""
    assert [value for name, value in got.pairs if name == "Many"] == ["2", "1", "2"]
    assert got.valid()


def test_first_rule_that_fits_and_times(sim, create):
    only = sim.life("failed", match={"to": TO, "from": FROM, "account": ACCOUNT, "body_contains": "ell"}, times=1)
    sim.life("sent", match={"from": SERVICE})
    sim.life("delivered")
    sids = [create().sid, create().sid, create(from_=None, messaging_service_sid=SERVICE).sid, create(body="x").sid]
    sim.await_callbacks()
    status = {message["sid"]: message["status"] for message in sim.messages()}
    assert [status[sid] for sid in sids] == ["failed", "delivered", "sent", "delivered"]
    assert [rule["hits"] for rule in sim.lives()] == [1, 1, 2] and sim.lives()[0]["rule"]["times"] == 1
    sim.end_life(only)
    assert len(sim.lives()) == 2
    sim.end_life()
    assert sim.lives() == []


def test_probability_is_repeatable(sim, create):
    def draw():
        sim.reset()
        sim.seed(7)
        sim.life("failed", probability=0.5)
        for _ in range(20):
            create(status_callback=None)
        sim.await_callbacks()
        return [message["status"] for message in sim.messages()]

    first = draw()
    assert set(first) == {"queued", "failed"} and draw() == first


@pytest.mark.parametrize(
    "body, complaint",
    [
        ({"steps": []}, "steps"),
        ({"steps": ["sent"]}, "steps"),
        ({"steps": [{"status": "sent"}, {"status": ""}]}, "in step 2: field 'status'"),
        ({"steps": [{"status": "sent", "after": 1}]}, "field 'after': not known"),
        ({"steps": [{"status": "sent", "signature": "ugly"}]}, "good, bad or absent"),
        ({"steps": [{"status": "sent", "extra": {"a": 1}}]}, "extra"),
        ({"steps": [{"status": "sent"}], "callbacks": "sometimes"}, "in_order"),
        ({"steps": [{"status": "sent"}], "match": {"method": "POST"}}, "in 'match'"),
        ({"steps": [{"status": "sent"}], "hits": 1}, "field 'hits': not known"),
    ],
)
def test_malformed_rules(sim, body, complaint):
    answer = requests.post(f"{sim.base_url}/_sim/lives", json=body, timeout=PATIENCE)
    assert answer.status_code == 400 and complaint in answer.json()["error"]
    assert sim.lives() == []


# --------------------------------------------------------------------------------- order, loss, repetition


def test_callbacks_wait_for_each_other(sim, receiver, create):
    """Order is a test's to decide: a slow answer must not let the next one overtake."""
    release = threading.Event()
    receiver.answer = lambda request: 204 if release.wait(PATIENCE) else 500
    sim.life("sending", "sent", "delivered")
    create()
    until_equal(lambda: sim.stats()["lives_open"], 0, PATIENCE)
    until(lambda: receiver.requests, PATIENCE)
    assert receiver.statuses() == ["sending"] and sim.callbacks_to_come() == 3
    assert [(entry["status"], entry["done"]) for entry in sim.callbacks()] == [("sending", False)]
    release.set()
    sim.await_callbacks()
    assert receiver.statuses() == ["sending", "sent", "delivered"]


def test_parallel_callbacks_do_not_wait(sim, receiver, create):
    all_here = threading.Barrier(3)
    receiver.answer = lambda request: 204 if all_here.wait(PATIENCE) is not None else 500
    sim.life(*({"status": status, "parallel": True} for status in ("sending", "sent", "delivered")))
    create()
    assert {entry["http_status"] for entry in sim.await_callbacks()} == {204}
    assert sorted(receiver.statuses()) == ["delivered", "sending", "sent"]


def test_reversed(sim, receiver, create):
    sim.life(*NORMAL, callbacks="reversed")
    create()
    sim.await_callbacks()
    assert receiver.statuses() == ["delivered", "sent", "sending"]
    assert all(request.valid() for request in receiver.requests)


def test_one_callback_late(sim, receiver, create):
    sim.life("sending", {"status": "sent", "delay_callback_ms": 200}, {"status": "delivered"})
    create()
    sim.await_callbacks()
    assert receiver.statuses() == ["sending", "delivered", "sent"]


def test_what_is_still_to_come_is_counted(sim, receiver, create):
    hour = 3_600_000
    sim.life({"status": "sent", "delay_callback_ms": hour}, {"status": "delivered", "after_ms": hour})
    create()
    until_equal(lambda: (sim.stats()["lives_open"], sim.stats()["callbacks_open"]), (1, 1), PATIENCE)
    assert sim.callbacks_to_come() == 2 and sim.callbacks() == []


def test_repeated(sim, receiver, create):
    sim.life("sending", {"status": "sent", "repeat": 3}, "delivered")
    create()
    sim.await_callbacks()
    assert receiver.statuses() == ["sending", "sent", "sent", "sent", "delivered"]
    assert len({request.body for request in receiver.requests}) == 3  # each of the three is the same


def test_withheld(sim, client, receiver, create):
    sim.life(*NORMAL, callbacks="withheld", match={"body_contains": "all"})
    sim.life("sending", {"status": "sent", "callback": False}, "delivered")
    message = create(body="all")
    create(body="one")
    sim.await_callbacks()
    assert receiver.statuses() == ["sending", "delivered"]
    assert client.messages(message.sid).fetch().status == "delivered"


def test_callback_without_a_change(sim, receiver, create):
    sim.life({"status": "queued", "callback": True}, "queued", "sent")
    create()
    sim.await_callbacks()
    assert receiver.statuses() == ["queued", "sent"]


def test_no_status_callback_no_callback(sim, client):
    sim.life("sent")
    message = client.messages.create(to=TO, from_=FROM, body="x")
    assert sim.await_callbacks() == []
    assert client.messages(message.sid).fetch().status == "sent"


def test_callbacks_before_the_answer(sim, receiver):
    """The life of a message begins when it is stored, whether or not its creator ever hears of it."""
    sim.fault("delay", ms=60_000, accept_first=True, times=1)
    sim.fault("accept_then_drop", times=1)
    sim.life("sent", "delivered")
    waiting, dropped = connect(sim), connect(sim)
    waiting.send(post(form(StatusCallback=receiver.url)))
    until(sim.requests, PATIENCE)
    dropped.send(post(form(StatusCallback=receiver.url)))
    assert dropped.everything() == b""
    until(lambda: len(sim.messages()) == 2, PATIENCE)
    sim.await_callbacks()
    assert Counter(receiver.statuses()) == {"sent": 2, "delivered": 2}
    assert waiting.silent(0)
    waiting.close()
    dropped.close()


def test_an_answer_at_once_goes_first(sim, client, receiver, create):
    """What the create says is how the message began, however quick its life is."""
    sim.life("delivered")
    assert create().status == "queued"
    sim.await_callbacks()


# ---------------------------------------------------------------------------------------------- by hand


def test_move_by_hand(sim, client, receiver, create):
    sid = create().sid
    assert sim.move(sid, "sending") == {"sid": sid, "status": "sending"}
    sim.move(sid, "sent", callback=False)
    sim.move(sid, "undelivered", error_code=30005, repeat=2)
    sim.move(sid, "sent", signature="bad")
    sim.await_callbacks()
    assert receiver.statuses() == ["sending", "undelivered", "undelivered", "sent"]
    assert receiver.requests[1].params["ErrorCode"] == "30005"
    assert [request.valid() for request in receiver.requests] == [True, True, True, False]
    now = client.messages(sid).fetch()
    assert (now.status, now.error_code) == ("sent", None)


def test_move_what_is_not_there(sim, create):
    sid = create().sid
    for path in ("SM" + "0" * 32 + "/status", sid, sid + "/", "/status", sid + "/nonsense"):
        answer = requests.post(f"{sim.base_url}/_sim/messages/{path}", json={"status": "sent"}, timeout=PATIENCE)
        assert answer.status_code == 404, path
    answer = requests.post(f"{sim.base_url}/_sim/messages/{sid}/status", json={"after_ms": 1}, timeout=PATIENCE)
    assert answer.status_code == 400


def test_planted_messages_can_be_moved(sim, receiver):
    sid = sim.plant(ACCOUNT, TO, "hello", from_=FROM, status_callback=receiver.url)
    sim.set_token(ACCOUNT, "planted")
    sim.move(sid, "sent")
    sim.await_callbacks()
    assert receiver.requests[0].params["MessageSid"] == sid and receiver.requests[0].valid("planted")


# -------------------------------------------------------------------------------------------- signatures


@pytest.mark.parametrize(
    "suffix",
    [
        "",
        "?attempt=0a1b",
        "?a=1&b=2&a=1",
        "?plus=%2B1415&blank=a+b&utf8=%C3%A9%F0%9F%91%8D&lower=%2b",
        "/deep/path;p=1?x=/y?z",
        "?q=1#rc=0",
        "#rc=2&rp=all",
    ],
)
def test_signed_urls(sim, receiver, create, suffix):
    url = receiver.url + suffix
    sim.life("sent")
    create(status_callback=url, body="Grüße 👍")
    entry = sim.await_callbacks()[0]
    got = receiver.requests[0]
    assert got.url == url.partition("#")[0]  # with the port, without the fragment
    assert got.valid() and got.signature == entry["signature"] and entry["url"] == url
    assert not got.valid(token=TOKEN + "x") and not got.valid(url=got.url + "x")
    changed = [(name, value.replace("sent", "delivered")) for name, value in got.pairs]
    assert not RequestValidator(TOKEN).validate(got.url, dict(changed), got.signature)


def test_signed_url_without_a_port(sim, create):
    """Port 80 is not ours to listen on, but the log has what would have been sent."""
    url = "http://127.0.0.1/twilio/status?attempt=1#rc=0"
    sim.life({"status": "sent", "extra": {"Grüße": "+1 👍"}})
    create(status_callback=url)
    entry = sim.await_callbacks(20)[0]
    assert RequestValidator(TOKEN).validate(url.partition("#")[0], Pairs(map(tuple, entry["params"])), entry["signature"])


@pytest.mark.parametrize("kind", ["good", "bad", "absent"])
def test_kinds_of_signatures(sim, receiver, create, kind):
    sim.life({"status": "sent", "signature": kind})
    create()
    sim.await_callbacks()
    got = receiver.requests[0]
    if kind == "absent":
        assert got.signature is None
    else:
        assert re.fullmatch(r"[A-Za-z0-9+/]{27}=", got.signature)
        assert got.valid() == (kind == "good")


def test_repeated_names(sim, receiver, create):
    """Every different value counts, in order: a validator that read them so takes it, one that took the last does not."""
    digits = ["5678", "1234", "1234"]
    vector = Pairs([("Sid", "CA123"), ("SidAccount", "AC123")] + [("Digits", value) for value in digits])
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert RequestValidator("12345").validate(url, vector, "IK+Dwps556ElfBT0I3Rgjkr1wJU=")  # from Twilio's own tests
    sim.life({"status": "sent", "extra": {"Digits": digits}})
    create()
    sim.await_callbacks()
    got = receiver.requests[0]
    assert got.valid()
    assert not RequestValidator(TOKEN).validate(got.url, got.params, got.signature)


def test_whose_token(sim, receiver):
    """An API key's secret signs nothing; the account's token does, given or seen."""
    sim.life("sent")
    sim.set_token(ACCOUNT, "the one")
    by_key = Client("SK" + "f" * 32, "the one", account_sid=ACCOUNT, http_client=LocalTwilio(sim.base_url))
    by_key.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url)
    sim.await_callbacks()
    assert receiver.requests[0].valid("the one")
    sim.reset()
    sim.life("sent")
    by_key.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url)
    assert sim.await_callbacks()[0]["signature"] is None and receiver.requests[1].signature is None
    Client(ACCOUNT, TOKEN, http_client=LocalTwilio(sim.base_url)).messages.list()
    by_key.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url)
    sim.await_callbacks()
    assert receiver.requests[2].valid()


# ----------------------------------------------------------------------------------------------- retries


def failing(times, status):
    """Answers with `status` so many times, then with 204."""
    left = queue.SimpleQueue()
    for _ in range(times):
        left.put(status)
    return lambda request: left.get_nowait() if not left.empty() else 204


@pytest.mark.parametrize(
    "fragment, failures, status, attempts, last",
    [
        ("", 1, 500, 1, 500),  # by default only what could not connect is repeated
        ("", 1, None, 1, None),
        ("#rc=1&rp=5xx", 1, 500, 2, 204),
        ("#rp=5xx", 2, 503, 2, 503),  # rc is 1 unless given
        ("#rc=3&rp=5xx", 9, 500, 4, 500),
        ("#rc=3&rp=5xx", 1, 404, 1, 404),
        ("#rc=3&rp=4xx", 1, 404, 2, 204),
        ("#rc=5&rp=4xx,5xx", 9, 404, 6, 404),
        ("#rc=1&rp=rt", 1, None, 2, 204),
        ("#rc=2&rp=all", 2, None, 3, 204),
        ("#rc=0&rp=all", 1, 500, 1, 500),
        ("#rc=9&rp=5xx", 9, 500, 2, 500),  # out of range: as if not given
        ("#rc=2&rp=5xx", 1, 302, 1, 302),
    ],
)
def test_retries(sim, receiver, create, fragment, failures, status, attempts, last):
    receiver.answer = failing(failures, status)
    sim.life("sent")
    create(status_callback=receiver.url + fragment)
    entry = sim.await_callbacks()[0]
    assert (entry["attempts"], entry["http_status"], entry["done"]) == (attempts, last, True)
    assert len(receiver.requests) == attempts and all(request.valid() for request in receiver.requests)
    tokens = [request.headers["I-Twilio-Idempotency-Token"] for request in receiver.requests]
    assert tokens[0] is None and len(set(tokens[1:])) <= 1 and all(tokens[1:])


def test_no_connection_is_tried_twice(sim, create):
    sim.life("sent", "delivered")
    create(status_callback=f"http://127.0.0.1:{free_port()}/nobody")
    log = sim.await_callbacks()
    assert [(entry["attempts"], entry["http_status"]) for entry in log] == [(2, None), (2, None)]


def test_a_receiver_that_comes_up_in_time(sim, create):
    port = free_port()
    sid = create(status_callback=f"http://127.0.0.1:{port}/late#rc=5").sid
    sim.move(sid, "sent")
    sim.process.send_signal(signal.SIGSTOP)  # or it would have given up before a slow machine has a receiver
    late = Receiver(port)
    sim.process.send_signal(signal.SIGCONT)
    try:
        entry = sim.await_callbacks()[0]
        assert entry["http_status"] == 204 and entry["attempts"] > 1
        assert late.requests[0].headers["I-Twilio-Idempotency-Token"] and late.requests[0].valid()
    finally:
        late.close()


def test_an_answer_that_takes_too_long(sim, receiver, create):
    release = threading.Event()
    receiver.answer = lambda request: 204 if release.wait(PATIENCE) else 500
    sim.life("sent")
    create(status_callback=receiver.url + "#rt=100")
    entry = sim.await_callbacks()[0]
    release.set()
    assert (entry["attempts"], entry["http_status"]) == (1, None) and entry["duration_ms"] >= 90  # the loop's clock is coarse


def test_urls_that_cannot_be_called(sim, create):
    sim.life("sent")
    create(status_callback="https://example.com/secure")
    create(status_callback="http://user:password@127.0.0.1:1/")
    assert [(entry["attempts"], entry["http_status"]) for entry in sim.await_callbacks()] == [(0, None)] * 2


def test_the_log(sim, receiver, create):
    receiver.answer = lambda request: 500 if request.status == "sent" else 200
    sim.life("sending", "sent")
    before = time.time()
    message = create()
    first, second = sim.await_callbacks()
    assert dict(first["params"]) == receiver.requests[0].params
    assert (first["sid"], first["status"], first["url"]) == (message.sid, "sending", receiver.url)
    assert (first["http_status"], second["http_status"]) == (200, 500)
    assert before - 0.001 <= first["at"] <= second["at"] <= time.time() and first["duration_ms"] >= 0
    assert [entry["n"] for entry in sim.callbacks(since=1)] == [2] and sim.callbacks(limit=1) == [first]
    assert sim.callbacks(sid=message.sid, http_status=500) == [second]


def test_many(sim, receiver, create):
    sim.life("sending", "sent", "delivered", match={"body_contains": "many"})
    for _ in range(100):
        create(body="many")
    log = sim.await_callbacks(30)
    assert len(log) == len(receiver.requests) == 300 and all(request.valid() for request in receiver.requests)
    order = {}
    for request in receiver.requests:
        order.setdefault(request.params["MessageSid"], []).append(request.status)
    assert len(order) == 100 and all(statuses == ["sending", "sent", "delivered"] for statuses in order.values())


def test_reset_forgets_everything(sim, receiver, create):
    held = threading.Event()
    receiver.answer = lambda request: 204 if held.wait(PATIENCE) else 500
    sim.opt_out(FROM, "+14155550177")
    sim.life("sending", "sent", {"status": "delivered", "after_ms": 60_000})
    create()
    create()
    until(lambda: len(receiver.requests) == 2, PATIENCE)
    sim.reset()
    held.set()
    assert sim.lives() == [] and sim.callbacks() == [] and sim.callbacks_to_come() == 0
    create(to="+14155550177")
    sim.life("failed")
    create()
    assert [entry["n"] for entry in sim.await_callbacks()] == [1]
    assert sorted(receiver.statuses()) == ["failed", "sending", "sending"]


# ------------------------------------------------------------------------------- creating: more of the rules


def submit(sim, **params):
    """A create request by hand, with parameters that Twilio's client does not know: HTTP status and answer."""
    body = {"To": TO, "From": FROM, "Body": "hello", **params}
    answer = requests.post(sim.base_url + PATH, data=body, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "params, code",
    [
        ({"StatusCallback": "nonsense"}, 21609),
        ({"StatusCallback": "ftp://example.com/"}, 21609),
        ({"StatusCallback": "http://under_score.example.com/"}, 21609),
        ({"ValidityPeriod": "0"}, 21624),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"ValidityPeriod": "ten"}, 21624),
        ({"ContentRetention": "forget"}, 30029),
        ({"AddressRetention": "discard"}, 30030),
        ({"RiskCheck": "maybe"}, 20422),
        ({"ShortenUrls": "true"}, 21619),
        ({"ApplicationSid": "AP123"}, 20422),
    ],
)
def test_refused_options(sim, params, code):
    status, answer = submit(sim, **params)
    assert (status, answer["status"], answer["code"]) == (400, 400, code)
    assert sim.messages() == []


@pytest.mark.parametrize(
    "params",
    [
        {"StatusCallback": "http://example.com:8080/under_score?a_b=1#rc=2"},
        {"ValidityPeriod": "1", "ContentRetention": "retain", "AddressRetention": "retain", "RiskCheck": "disable"},
        {"ValidityPeriod": "36000", "ContentRetention": "discard", "AddressRetention": "obfuscate", "RiskCheck": "enable"},
        {"SmartEncoded": "true", "ProvideFeedback": "true", "MaxPrice": "0.1", "SendAsMms": "false", "ShortenUrls": "false"},
        {"ApplicationSid": "AP" + "a" * 32, "ForceDelivery": "true", "Attempt": "2", "WhoKnows": "what"},
    ],
)
def test_accepted_options(sim, params):
    assert submit(sim, **params)[0] == 201
    assert len(sim.messages()) == 1


def test_content_retention(sim, client, create):
    message = create(content_retention="discard", body="secret")
    assert message.body == "" and client.messages(message.sid).fetch().body == ""
    assert client.messages.list()[0].body == ""
    assert [m["sid"] for m in sim.messages(body="secret")] == [message.sid]  # tests still find it


def test_address_retention(sim, client, receiver, create):
    message = create(address_retention="obfuscate")
    assert client.messages(message.sid).fetch().to == TO[:-4] + "XXXX"
    assert client.messages.list(to=TO) == []
    assert [m.sid for m in client.messages.list()] == [message.sid]
    assert [m["sent_to"] for m in sim.messages(to=TO)] == [TO]


def test_shortened_urls(sim, client):
    body = "See https://example.com/a?b=1 and http://example.org/c\nnow"
    status, answer = submit(sim, From="", MessagingServiceSid=SERVICE, ShortenUrls="true", Body=body)
    assert status == 201
    assert re.fullmatch(r"See https://twil\.io/\w{5} and https://twil\.io/\w{5}\nnow", answer["body"])
    assert client.messages.list()[0].body == answer["body"]
    assert sim.messages(body=body)[0]["sent_body"] == body


def test_opt_outs(sim, create):
    sim.opt_out(FROM, TO)
    sim.opt_out(SERVICE, "+14155550101")
    assert refused(create) == (400, 21610)
    assert refused(create, to="+14155550101", from_=None, messaging_service_sid=SERVICE) == (400, 21610)
    create(to="+14155550101")
    create(from_="+15005550999")
    sim.opt_in(FROM, TO)
    create()
    assert refused(create, to="+14155550101", messaging_service_sid=SERVICE) == (400, 21610)
    sim.opt_in()
    create(to="+14155550101", messaging_service_sid=SERVICE)


def test_sids(create):
    assert create().sid[:2] == "SM"
    assert create(media_url=MEDIA[:1]).sid[:2] == "MM"
    assert create(send_as_mms=True).sid[:2] == "MM"


def test_raw_bodies_are_kept(sim):
    body = b"To=%2B14155550100&From=%2B15005550006&Body=a+b%20c%2b%2B&Body=&MediaUrl=https%3A%2F%2Fe.com%2F1&&x"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    requests.post(sim.base_url + PATH, data=body, headers=headers, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert sim.requests()[0]["raw_body"].encode() == body
