"""The Twilio simulator, checked by parties that did not write it (Twilio's Python client, curl) and byte by byte."""

import base64
import contextlib
import email.utils
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

pytestmark = pytest.mark.timeout(60)

TOP = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TWILIO_SIM", str(TOP / "build" / "twilio-sim"))
ACCOUNT = "AC" + "0" * 31 + "1"
OTHER_ACCOUNT = "AC" + "0" * 31 + "2"
TOKEN = "s3cret-token-of-the-tests"
FROM = "+15005550006"
TO = "+14155550100"
MEDIA = ["https://example.com/%d.jpg" % i for i in range(10)]
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
PATIENCE = 10


# ---------------------------------------------------------------------------------------------- helpers


class Sim:
    """A running simulator and its control API."""

    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = requests.Session()
        self.http.trust_env = False

    def control(self, method, path, expect=(200, 201), **kwargs):
        answer = self.http.request(method, self.url + "/_sim/" + path, timeout=PATIENCE, **kwargs)
        assert answer.status_code in expect, answer.text
        return answer.json()

    def fault(self, name, **kwargs):
        return self.control("POST", "faults", json={"fault": name, **kwargs})["id"]

    def log(self, query=""):
        return self.control("GET", "requests" + query)

    def messages(self, **query):
        return self.control("GET", "messages", params=query)

    def stats(self):
        return self.control("GET", "stats")


class LocalTwilio(TwilioHttpClient):
    """Sends what is meant for api.twilio.com to the simulator; the rest of Twilio's client is untouched."""

    def __init__(self, url):
        super().__init__(timeout=PATIENCE)
        self.url = url
        self.session.trust_env = False

    def request(self, method, url, *args, **kwargs):
        assert url.startswith("https://api.twilio.com/")
        return super().request(method, url.replace("https://api.twilio.com", self.url), *args, **kwargs)


class Raw:
    """One TCP connection on which every byte counts."""

    def __init__(self, sim):
        self.sock = socket.create_connection(("127.0.0.1", sim.port), timeout=PATIENCE)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        """Reads some bytes; False at the end of the stream."""
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def everything(self):
        """All bytes until the simulator closes."""
        while self.more():
            pass
        return self.buffer

    def answer(self):
        """One complete answer: status, headers (lower case), body."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), "closed before the end of the head: %r" % self.buffer
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        self.buffer = rest
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            assert self.more(), "closed before the end of the body"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split()[1]), headers, body

    def silent(self, seconds):
        """Whether nothing, not even an end, comes for so long."""
        return not select.select([self.sock], [], [], seconds)[0]

    def close(self):
        self.sock.close()


def form(**params):
    pairs = {"To": TO, "From": FROM, "Body": "hello", **params}
    return urllib.parse.urlencode([(k, v) for k, v in pairs.items() if v is not None], doseq=True).encode()


def basic(user=ACCOUNT, password=TOKEN):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def post(body=None, path=PATH, headers="", auth=None):
    body = form() if body is None else body
    head = (
        f"POST {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: {auth or basic()}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def wait_until(predicate, what):
    deadline = time.monotonic() + PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"gave up waiting for {what}, last value {value!r}"
        time.sleep(0.005)


@contextlib.contextmanager
def running(tmp_path, *arguments):
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [BINARY, "--port-file", str(port_file), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        assert re.fullmatch(r"listening on 127\.0\.0\.1:\d+\n", line), line + process.stderr.read()
        assert line.rsplit(":", 1)[1].strip() == port_file.read_text().strip()
        yield Sim(process, int(port_file.read_text()))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="module")
def the_sim(tmp_path_factory):
    with running(tmp_path_factory.mktemp("sim")) as sim:
        yield sim
        sim.process.send_signal(signal.SIGTERM)
        assert sim.process.wait(PATIENCE) == 0, sim.process.stderr.read()
        assert sim.process.stderr.read() == ""


@pytest.fixture
def sim(the_sim):
    the_sim.control("POST", "reset")
    return the_sim


@pytest.fixture
def client(sim):
    return Client(ACCOUNT, TOKEN, http_client=LocalTwilio(sim.url))


@pytest.fixture
def raw(sim):
    connections = []

    def connect():
        connections.append(Raw(sim))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


# ------------------------------------------------------------------------- Twilio's own client: the good cases


def test_create_with_several_media(sim, client):
    message = client.messages.create(to=TO, from_=FROM, body="Grüße & 100% +more 👍", media_url=MEDIA[:3])
    assert re.fullmatch("MM[0-9a-f]{32}", message.sid)
    assert (message.status, message.num_media, message.direction) == ("queued", "3", "outbound-api")
    assert (message.to, message.from_, message.body) == (TO, FROM, "Grüße & 100% +more 👍")
    assert message.account_sid == ACCOUNT and message.api_version == "2010-04-01"
    assert message.date_sent is None and message.date_created is not None and message.date_updated is not None
    assert message.price is None and message.price_unit == "USD"
    assert message.error_code is None and message.error_message is None and message.messaging_service_sid is None
    assert message.uri == f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{message.sid}.json"
    assert list(message.subresource_uris) == ["media"]
    assert sim.messages()[0]["media_urls"] == MEDIA[:3]


def test_sids_and_first_statuses(client):
    service = "MG" + "a" * 32
    assert client.messages.create(to=TO, from_=FROM, body="x").sid.startswith("SM")
    assert client.messages.create(to=TO, from_=FROM, body="x", send_as_mms=True).sid.startswith("MM")
    through_service = client.messages.create(to=TO, messaging_service_sid=service, media_url=MEDIA[:1])
    assert through_service.status == "accepted" and through_service.from_ is None
    assert through_service.messaging_service_sid == service and through_service.num_segments == "0"
    both = client.messages.create(to=TO, messaging_service_sid=service, from_=FROM, body="x")
    assert both.from_ == FROM


def test_answer_headers(client):
    client.messages.create(to=TO, from_=FROM, body="x")
    headers = client.http_client.last_response.headers
    assert headers["Content-Type"] == "application/json;charset=utf-8"
    assert re.fullmatch("RQ[0-9a-f]{32}", headers["Twilio-Request-Id"])
    assert headers["Twilio-Concurrent-Requests"] == "1"
    assert re.fullmatch(r"\d+\.\d{3}", headers["Twilio-Request-Duration"])
    assert headers["X-API-Domain"] == "api.twilio.com"


def test_fetch_redact_cancel_delete(client):
    message = client.messages.create(to=TO, from_=FROM, body="x")
    assert client.messages(message.sid).fetch().body == "x"
    assert client.messages(message.sid).update(body="").body == ""
    assert client.messages(message.sid).update(status="canceled").status == "canceled"
    assert client.messages(message.sid).delete()
    with pytest.raises(TwilioRestException) as caught:
        client.messages(message.sid).fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert client.messages.list() == []


def test_list_pages_newest_first(client):
    sids = [client.messages.create(to=TO, from_=FROM, body=f"n{i}").sid for i in range(23)]
    client.messages.create(to="+14155550199", from_=FROM, body="somebody else's")
    listed = client.messages.list(to=TO, page_size=5)
    assert [m.sid for m in listed] == sids[::-1]
    assert len(client.messages.list()) == 24
    assert len(client.messages.list(from_=FROM, limit=7)) == 7
    assert client.messages.list(from_="+15005550999") == []
    assert client.messages.list(to="+19995550000") == []


def test_pages_stay_put_while_messages_come_and_go(sim, client):
    sids = [client.messages.create(to=TO, from_=FROM, body="x").sid for _ in range(6)]
    page = client.messages.page(to=TO, page_size=2)
    first = [m.sid for m in page]
    client.messages(first[-1]).delete()
    client.messages.create(to=TO, from_=FROM, body="newer")
    second_page = page.next_page()
    assert [m.sid for m in second_page] == [sids[3], sids[2]]
    assert [m.sid for m in second_page.next_page()] == [sids[1], sids[0]]
    assert second_page.next_page().next_page() is None
    assert first[0] in [m.sid for m in second_page.previous_page()]


def test_list_json_shape(sim, client):
    for _ in range(3):
        client.messages.create(to=TO, from_=FROM, body="x")
    answer = sim.http.get(sim.url + PATH, params={"To": TO, "PageSize": 2}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    page = answer.json()
    assert (page["page"], page["page_size"], page["start"], page["end"]) == (0, 2, 0, 1)
    assert page["previous_page_uri"] is None
    assert page["uri"] == page["first_page_uri"] == PATH + "?To=%2B14155550100&PageSize=2&Page=0"
    assert page["next_page_uri"].startswith(PATH + "?To=%2B14155550100&PageSize=2&Page=1&PageToken=PA")
    numbered = sim.http.get(sim.url + PATH, params={"PageSize": 2, "Page": 1}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert len(numbered.json()["messages"]) == 1


def test_list_by_date(client):
    created = client.messages.create(to=TO, from_=FROM, body="x").date_created
    assert len(client.messages.list(date_sent=created)) == 1
    assert client.messages.list(date_sent_before=created.replace(year=created.year - 1)) == []
    assert len(client.messages.list(date_sent_after=created.replace(year=created.year - 1, day=1))) == 1


def test_accounts_do_not_see_each_other(sim, client):
    message = client.messages.create(to=TO, from_=FROM, body="x")
    other = Client(OTHER_ACCOUNT, TOKEN, http_client=LocalTwilio(sim.url))
    assert other.messages.list() == []
    with pytest.raises(TwilioRestException):
        other.messages(message.sid).fetch()


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "params, status, code, text",
    [
        ({"to": "123"}, 400, 21211, "The 'To' number 123 is not a valid phone number."),
        ({"to": " 14155550100"}, 400, 21211, "The 'To' number  14155550100 is not a valid phone number."),
        ({"to": "+15005550001"}, 400, 21211, "The 'To' number +15005550001 is not a valid phone number."),
        ({"to": "+15005550002"}, 400, 21612, None),
        ({"to": "+15005550003"}, 400, 21408, None),
        ({"to": "+15005550004"}, 400, 21610, "Attempt to send to unsubscribed recipient"),
        ({"to": "+15005550009"}, 400, 21614, "To number: +15005550009, is not a mobile number"),
        ({"to": FROM}, 400, 21266, None),
        ({"from_": "+15005550001"}, 400, 21212, None),
        ({"from_": "not a phone number"}, 400, 21212, None),
        ({"from_": "+15005550007"}, 400, 21606, None),
        ({"from_": "+15005550008"}, 429, 21611, "SMS queue is full."),
        ({"from_": None}, 400, 21603, None),
        ({"body": None}, 400, 21602, None),
        ({"body": ""}, 400, 21602, None),
        ({"body": None, "from_": None, "messaging_service_sid": "MG" + "a" * 32}, 400, 21619, None),
        ({"body": "x" * 1601}, 400, 21617, None),
        ({"media_url": ["ftp://example.com/a.jpg"]}, 400, 21620, None),
        ({"media_url": ['["https://example.com/a.jpg"]']}, 400, 21620, None),
        ({"media_url": MEDIA + MEDIA[:1]}, 400, 21623, None),
        ({"validity_period": 36001}, 400, 21624, None),
    ],
)
def test_refusals(sim, client, params, status, code, text):
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(**{"to": TO, "from_": FROM, "body": "x", **params})
    assert (caught.value.status, caught.value.code) == (status, code)
    assert text is None or caught.value.msg.endswith(text)
    body = json.loads(client.http_client.last_response.text)
    assert set(body) == {"code", "message", "more_info", "status"} and body["status"] == status
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert sim.messages() == [] and sim.log()[0]["status"] == status and sim.log()[0]["sid"] is None


def test_limits_are_inclusive(client):
    assert client.messages.create(to=TO, from_=FROM, body="ü" * 1600, media_url=MEDIA).num_media == "10"
    assert client.messages.create(to=TO, from_="12345", body="x").from_ == "12345"
    assert client.messages.create(to=TO, from_="My Shop", body="x").from_ == "My Shop"


def test_to_is_required(sim):
    answer = sim.http.post(sim.url + PATH, data={"From": FROM, "Body": "x"}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (400, 21604)


def test_credentials(sim, client):
    create = {"to": TO, "from_": FROM, "body": "x"}
    sim.control("POST", "accounts", json={"account_sid": ACCOUNT, "auth_token": "another"})
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(**create)
    assert (caught.value.status, caught.value.code) == (401, 20003)
    assert json.loads(client.http_client.last_response.text)["detail"] == "Your AccountSid or AuthToken was incorrect."
    right = Client(ACCOUNT, "another", http_client=LocalTwilio(sim.url))
    assert right.messages.create(**create).sid
    by_key = Client("SK" + "f" * 32, "another", account_sid=ACCOUNT, http_client=LocalTwilio(sim.url))
    assert by_key.messages.create(**create).account_sid == ACCOUNT
    stranger = Client(OTHER_ACCOUNT, TOKEN, account_sid=ACCOUNT, http_client=LocalTwilio(sim.url))
    with pytest.raises(TwilioRestException) as caught:
        stranger.messages.create(**create)
    assert "invalid username" in caught.value.msg
    for auth in (None, (ACCOUNT, "")):
        assert sim.http.post(sim.url + PATH, data={"To": TO}, auth=auth, timeout=PATIENCE).status_code == 401


def test_account(sim, client):
    """The account's own resource: for its token, and (as with Twilio's standard keys) for no API key."""
    account = client.api.accounts(ACCOUNT).fetch()
    assert (account.sid, account.status, account.type) == (ACCOUNT, "active", "Full")
    sim.control("POST", "accounts", json={"account_sid": ACCOUNT, "auth_token": "another"})
    for user, password, words in ((ACCOUNT, TOKEN, "Authenticate"), ("SK" + "f" * 32, "another", "invalid username")):
        with pytest.raises(TwilioRestException) as caught:
            Client(user, password, account_sid=ACCOUNT, http_client=LocalTwilio(sim.url)).api.accounts(ACCOUNT).fetch()
        assert (caught.value.status, caught.value.code) == (401, 20003) and words in caught.value.msg
    path = f"/2010-04-01/Accounts/{ACCOUNT}"
    answer = sim.http.get(sim.url + path, auth=(ACCOUNT, "another"), timeout=PATIENCE)
    assert ElementTree.fromstring(answer.text).findtext("Account/Status") == "active"
    answer = sim.http.post(sim.url + path + ".json", auth=(ACCOUNT, "another"), timeout=PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (405, 20004)


def test_not_found(sim):
    bad_account = "/2010-04-01/Accounts/invalid_sid/Messages.json"
    for path in (bad_account, "/", "/2010-04-01/Accounts.json", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"):
        answer = sim.http.post(sim.url + path, data={"To": TO}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
        assert answer.status_code == 404 and answer.json()["code"] == 20404
        assert answer.json()["message"] == f"The requested resource {path} was not found"
    put = sim.http.put(sim.url + PATH, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert (put.status_code, put.json()["code"]) == (405, 20004)


def test_json_is_not_a_form(sim):
    answer = sim.http.post(sim.url + PATH, json={"To": TO}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert answer.json()["code"] == 21604


def test_xml_without_the_suffix(sim):
    url = sim.url + PATH.removesuffix(".json")
    good = sim.http.post(url, data={"To": TO, "From": FROM, "Body": "<&>"}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert good.status_code == 201 and good.headers["Content-Type"] == "application/xml"
    assert ElementTree.fromstring(good.text).findtext("Message/Body") == "<&>"
    bad = sim.http.post(url, data={"To": "1", "From": FROM, "Body": "x"}, auth=(ACCOUNT, TOKEN), timeout=PATIENCE)
    assert ElementTree.fromstring(bad.text).findtext("RestException/Code") == "21211"
    assert len(ElementTree.fromstring(sim.http.get(url, auth=(ACCOUNT, TOKEN)).text).findall("Messages/Message")) == 1


# --------------------------------------------------------------------------------------------- HTTP


def test_keep_alive_and_pipelining(sim, raw):
    connection = raw()
    connection.send(post())
    assert connection.answer()[0] == 201
    connection.send(b"".join(post(form(Body=f"p{i}")) for i in range(20)))
    for i in range(20):
        status, headers, body = connection.answer()
        assert status == 201 and json.loads(body)["body"] == f"p{i}" and headers["connection"] == "keep-alive"
    log = sim.log()
    assert [e["nth_on_connection"] for e in log] == list(range(1, 22))
    assert len({e["connection"] for e in log}) == 1


def test_pipelining_behind_a_waiting_request(sim, raw):
    sim.fault("hang", match={"body_contains": "first"}, times=1)
    connection = raw()
    connection.send(post(form(Body="first")) + post(form(Body="second")))
    wait_until(lambda: len(sim.log()) == 1, "the first request")
    sim.control("DELETE", "faults")
    assert json.loads(connection.answer()[2])["body"] == "first"
    assert json.loads(connection.answer()[2])["body"] == "second"


@pytest.mark.parametrize("last", ["POST /_sim/reset", "DELETE /_sim/faults"])
def test_control_requests_pipelined_behind_hung_ones(sim, raw, last):
    """Releasing a hung request uncovers a control request that would itself release, or drop, the others."""
    sim.fault("hang")
    connections = [raw() for _ in range(3)]
    for connection in connections:
        connection.send(post() + f"{last} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    wait_until(lambda: len(sim.log()) == 3, "the requests")
    sim.control("DELETE", "faults")
    for connection in connections:
        assert connection.answer()[0] == 201
        assert connection.answer()[0] == 200 and connection.everything() == b""


def test_connection_close_and_http_1_0(raw):
    connection = raw()
    connection.send(post(headers="Connection: close\r\n"))
    assert connection.answer()[0] == 201 and connection.everything() == b""
    connection = raw()
    connection.send(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert connection.answer()[1]["connection"] == "close" and connection.everything() == b""


def test_one_byte_at_a_time(sim, raw):
    connection = raw()
    before = time.time()
    request = post(headers="X-Long: " + "y" * 300 + "\r\n")
    connection.send(request[:1])
    after_first_byte = time.time()
    for i in range(1, len(request)):
        connection.send(request[i : i + 1])
    assert connection.answer()[0] == 201
    assert before - 0.001 <= sim.log()[0]["arrived_at"] <= after_first_byte + 0.001


def test_arrival_is_the_kernels_not_the_simulators(sim, raw):
    connection = raw()
    connection.send(post())
    connection.answer()
    sim.process.send_signal(signal.SIGSTOP)
    try:
        before = time.time()
        connection.send(post())
        after = time.time()
        assert connection.silent(0.3)
    finally:
        sim.process.send_signal(signal.SIGCONT)
    connection.answer()
    assert before - 0.001 <= sim.log()[1]["arrived_at"] <= after + 0.001


def test_partial_requests_cost_nothing(sim, raw):
    request = post()
    for stop in (1, 20, len(request) - len(form()), len(request) - 1):
        connection = raw()
        connection.send(request[:stop])
        connection.close()
    stalled = [raw() for _ in range(50)]
    for connection in stalled:
        connection.send(request[:-1])
    connection = raw()
    connection.send(request)
    assert connection.answer()[0] == 201
    assert len(sim.log()) == 1
    for connection in stalled:
        connection.send(request[-1:])
        assert connection.answer()[0] == 201


def test_long_headers(raw):
    connection = raw()
    connection.send(post(headers="".join(f"X-{i}: {'z' * 1000}\r\n" for i in range(10))))
    assert connection.answer()[0] == 201
    connection = raw()
    connection.send(post(headers="X-Big: " + "z" * 70000 + "\r\n"))
    assert connection.answer()[0] == 431 and connection.everything() == b""


def test_large_bodies(sim, raw):
    fits = form(Body="x", Padding="p" * 1_000_000)
    connection = raw()
    connection.send(post(fits))
    assert connection.answer()[0] == 201
    connection.send(post(b"x" * (1024 * 1024 + 1)))
    status, headers, _ = connection.answer()
    assert (status, headers["connection"]) == (413, "close") and connection.everything() == b""
    assert len(sim.log()) == 1


def chunked(body, size):
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\nX-Trailer: 1\r\n\r\n"


def test_chunked_bodies(sim, raw):
    head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    connection = raw()
    for size in (1, 7, 1000):
        connection.send(head + chunked(form(Body="in chunks"), size))
        assert json.loads(connection.answer()[2])["body"] == "in chunks"
    connection.send(head + b"zz\r\n")
    assert connection.answer()[0] == 400 and connection.everything() == b""
    connection = raw()
    connection.send(head + b"ffffffffffff\r\n")
    assert connection.answer()[0] == 413
    connection = raw()
    connection.send(post(b"", headers="Transfer-Encoding: chunked\r\n"))
    assert connection.answer()[0] == 400


def test_expect_100_continue(raw):
    connection = raw()
    request = post(headers="Expect: 100-continue\r\n")
    connection.send(request[: -len(form())])
    while b"\r\n\r\n" not in connection.buffer:
        assert connection.more()
    assert connection.buffer == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.buffer = b""
    connection.send(form())
    assert connection.answer()[0] == 201


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: \0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n", 417),
    ],
)
def test_broken_requests(sim, raw, request_bytes, status):
    connection = raw()
    connection.send(request_bytes)
    assert connection.answer()[0] == status and connection.everything() == b""
    assert sim.log() == []


def test_head_has_no_body(raw):
    connection = raw()
    connection.send(post(b"").replace(b"POST", b"HEAD") + post())
    while b"\r\n\r\n" not in connection.buffer:
        connection.more()
    head, _, connection.buffer = connection.buffer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert connection.answer()[0] == 201


# --------------------------------------------------------------------------------------------- faults


def test_delay_then_accept_although_the_client_is_gone(sim, raw):
    sim.fault("delay", ms=100)
    connection = raw()
    connection.send(post())
    wait_until(sim.log, "the request")
    assert sim.messages() == []
    connection.close()
    message = wait_until(sim.messages, "the late message")[0]
    entry = sim.log()[0]
    assert (entry["sid"], entry["status"], entry["fault"]) == (message["sid"], None, "delay")


def test_delay_answers_late(raw, sim):
    sim.fault("delay", ms=150)
    connection = raw()
    started = time.monotonic()
    connection.send(post())
    assert connection.answer()[0] == 201
    assert time.monotonic() - started >= 0.149


def test_delay_accept_first(sim, raw):
    sim.fault("delay", ms=60_000, accept_first=True)
    connection = raw()
    connection.send(post())
    wait_until(sim.messages, "the message before its answer")
    assert connection.silent(0)
    sim.control("POST", "reset")
    assert connection.everything() == b""


@pytest.mark.parametrize("name, stored", [("accept_then_drop", 1), ("drop", 0)])
def test_drops(sim, raw, name, stored):
    sim.fault(name)
    connection = raw()
    connection.send(post())
    assert connection.everything() == b""
    entry = sim.log()[0]
    assert (entry["fault"], entry["status"], entry["sid"] is not None) == (name, None, bool(stored))
    assert len(sim.messages()) == stored


def test_accept_then_reset(sim, raw):
    sim.fault("accept_then_reset")
    connection = raw()
    connection.send(post())
    with pytest.raises(ConnectionResetError):
        connection.everything()
    assert len(sim.messages()) == 1


@pytest.mark.parametrize("parameters", [{}, {"bytes": 0}, {"bytes": 17}])
def test_accept_cut(sim, raw, parameters):
    sim.fault("accept_cut", **parameters)
    connection = raw()
    connection.send(post())
    head, _, body = connection.everything().partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
    assert head.startswith(b"HTTP/1.1 201 ") and len(body) == parameters.get("bytes", length // 2) < length
    assert len(sim.messages()) == 1 and sim.log()[0]["status"] == 201


def test_accept_garbage(sim, raw):
    sim.fault("accept_garbage")
    connection = raw()
    connection.send(post())
    status, headers, body = connection.answer()
    assert status == 201 and headers["content-type"].startswith("application/json")
    with pytest.raises(ValueError):
        json.loads(body)
    assert len(sim.messages()) == 1


def test_accept_no_sid(sim, raw):
    sim.fault("accept_no_sid")
    connection = raw()
    connection.send(post())
    status, _, body = connection.answer()
    assert status == 201 and "sid" not in json.loads(body) and json.loads(body)["status"] == "queued"
    assert sim.log()[0]["sid"] == sim.messages()[0]["sid"]


@pytest.mark.parametrize("status, words", [(502, "Bad Gateway"), (503, "Unavailable"), (504, "Gateway Time-out")])
@pytest.mark.parametrize("accept", [False, True])
def test_status(sim, raw, status, words, accept):
    sim.fault("status", status=status, retry_after=7, accept=accept)
    connection = raw()
    connection.send(post())
    got, headers, body = connection.answer()
    assert (got, headers["content-type"], headers["retry-after"]) == (status, "text/html", "7")
    assert words in body.decode() and "openresty" in body.decode()
    assert len(sim.messages()) == accept
    assert (sim.log()[0]["sid"] is not None) == accept


def test_status_with_a_body_of_its_own(sim, raw):
    sim.fault("status", status=451, body="Unavailable For Legal Reasons", content_type="text/plain")
    connection = raw()
    connection.send(post())
    got, headers, body = connection.answer()
    assert (got, headers["content-type"], body) == (451, "text/plain", b"Unavailable For Legal Reasons")
    assert "retry-after" not in headers


@pytest.mark.parametrize(
    "parameters, status, message",
    [
        ({"code": 20429, "status": 429}, 429, "Too many requests"),
        ({"code": 20429, "retry_after": "3"}, 429, "Too many requests"),
        ({"code": 21611}, 429, "SMS queue is full."),
        ({"code": 20003}, 401, "Authenticate"),
        ({"code": 20404}, 404, "The requested resource was not found"),
        ({"code": 21610}, 400, "Attempt to send to unsubscribed recipient"),
        ({"code": 20500}, 500, "An internal server error has occurred"),
        ({"code": 99999, "status": 418, "message": "teapot"}, 418, "teapot"),
    ],
)
def test_error(sim, client, parameters, status, message):
    sim.fault("error", **parameters)
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(to=TO, from_=FROM, body="x")
    assert (caught.value.status, caught.value.code) == (status, parameters["code"])
    assert caught.value.msg.endswith(message)
    assert client.http_client.last_response.headers.get("Retry-After") == parameters.get("retry_after")
    assert sim.messages() == []


def test_close_kept_alive(sim, raw):
    sim.fault("close_kept_alive")
    connection = raw()
    connection.send(post())
    assert connection.answer()[0] == 201
    connection.send(post())
    assert connection.everything() == b""
    assert [e["fault"] for e in sim.log()] == [None, "close_kept_alive"]
    assert len(sim.messages()) == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_close_kept_alive_makes_curl_repeat_a_post(sim):
    """The trap that the fault is there for: curl sends twice, the simulator has three."""
    sim.fault("close_kept_alive", times=1)
    url = sim.url + PATH
    options = ["-s", "--noproxy", "*", "-u", f"{ACCOUNT}:{TOKEN}", "-d", form().decode(), "-o", "/dev/null"]
    command = ["curl", "-w", "%{http_code} ", *options, url, "--next", "-w", "%{http_code}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "201 201")
    assert len(sim.log()) == 3 and len(sim.messages()) == 3


def test_echo_authorization(sim, raw):
    sim.fault("echo_authorization", status=502)
    connection = raw()
    connection.send(post())
    status, headers, body = connection.answer()
    assert (status, headers["content-type"]) == (502, "text/html") and basic() in body.decode()
    assert sim.messages() == []


def test_xml(sim, raw):
    sim.fault("xml")
    connection = raw()
    connection.send(post())
    status, headers, body = connection.answer()
    assert (status, headers["content-type"]) == (201, "application/xml")
    assert ElementTree.fromstring(body).findtext("Message/Sid") == sim.messages()[0]["sid"]
    connection.send(post(form(To="123")))
    assert ElementTree.fromstring(connection.answer()[2]).findtext("RestException/Status") == "400"


def test_huge_body(sim, raw):
    sim.fault("huge_body", bytes=3_000_000)
    connection = raw()
    connection.send(post())
    status, _, body = connection.answer()
    assert status == 201 and len(body) == 3_000_000 and json.loads(body)["sid"] == sim.messages()[0]["sid"]
    connection.send(post())
    assert connection.answer()[0] == 201


def test_hang(sim, raw):
    rule = sim.fault("hang")
    gone, patient = raw(), raw()
    gone.send(post(form(Body="gone")))
    patient.send(post(form(Body="patient")))
    wait_until(lambda: len(sim.log()) == 2, "both requests")
    opened = sim.stats()["connections_open"]
    gone.close()
    wait_until(lambda: sim.stats()["connections_open"] == opened - 1, "the close to be seen")
    assert sim.messages() == [] and patient.silent(0)
    sim.control("DELETE", f"faults/{rule}")
    assert json.loads(patient.answer()[2])["body"] == "patient"
    assert len(sim.messages()) == 1


def test_matching(sim, client):
    elsewhere = {"code": 21610}
    sim.fault("error", match={"to": "+14155550101"}, **elsewhere)
    sim.fault("error", match={"from": "+15005550111"}, **elsewhere)
    sim.fault("error", match={"account": OTHER_ACCOUNT}, **elsewhere)
    sim.fault("error", match={"body_contains": "needle"}, **elsewhere)
    sim.fault("error", match={"method": "GET"}, code=20500)

    def create(**params):
        return client.messages.create(**{"to": TO, "from_": FROM, "body": "hay", **params})

    assert create().sid
    for params in ({"to": "+14155550101"}, {"from_": "+15005550111"}, {"body": "hay needle hay"}):
        with pytest.raises(TwilioRestException):
            create(**params)
    with pytest.raises(TwilioRestException):
        Client(OTHER_ACCOUNT, TOKEN, http_client=LocalTwilio(sim.url)).messages.create(to=TO, from_=FROM, body="x")
    with pytest.raises(TwilioRestException):
        client.messages("SM" + "0" * 32).fetch()
    assert [rule["hits"] for rule in sim.control("GET", "faults")] == [1, 1, 1, 1, 1]


def test_times_and_skip(sim, raw):
    sim.fault("error", code=21610, skip=2, times=2)
    connection = raw()
    statuses = []
    for _ in range(6):
        connection.send(post())
        statuses.append(connection.answer()[0])
    assert statuses == [201, 201, 400, 400, 201, 201]
    (rule,) = sim.control("GET", "faults")
    assert (rule["hits"], rule["times"], rule["skip"]) == (2, 0, 0)


def test_probability_is_repeatable(sim, raw):
    def run():
        sim.control("DELETE", "faults")
        sim.control("POST", "seed", json={"seed": 42})
        sim.fault("error", code=20429, probability=0.3)
        connection = raw()
        statuses = []
        for _ in range(200):
            connection.send(post())
            statuses.append(connection.answer()[0])
        return statuses

    first = run()
    assert first == run() and 30 < first.count(429) < 90


# ------------------------------------------------------------------------------------- log, gaps, control


def test_log(sim, raw):
    body = b"To=%2B14155550100&From=%2B15005550006&Body=a+b%26c&MediaUrl=https%3A%2F%2Fx.io%2F1"
    body += b"&MediaUrl=https://x.io/2&Odd"
    connection = raw()
    connection.send(post(body))
    connection.answer()
    (entry,) = sim.log()
    assert abs(entry.pop("arrived_at") - time.time()) < 5
    assert entry.pop("connection") >= 1
    assert re.fullmatch("MM[0-9a-f]{32}", entry.pop("sid"))
    assert entry == {
        "n": 1,
        "nth_on_connection": 1,
        "method": "POST",
        "path": PATH,
        "query": "",
        "account": ACCOUNT,
        "user": ACCOUNT,
        "to": TO,
        "from": FROM,
        "messaging_service_sid": None,
        "body": "a b&c",
        "media_urls": ["https://x.io/1", "https://x.io/2"],
        "params": [
            ["To", TO],
            ["From", FROM],
            ["Body", "a b&c"],
            ["MediaUrl", "https://x.io/1"],
            ["MediaUrl", "https://x.io/2"],
            ["Odd", ""],
        ],
        "raw_body": body.decode(),
        "fault": None,
        "status": 201,
    }


def test_log_has_microseconds(sim, raw):
    connection = raw()
    connection.send(post())
    connection.answer()
    text = sim.http.get(sim.url + "/_sim/requests", timeout=PATIENCE).text
    assert re.search(r'"arrived_at":\d{10}\.\d{6},', text)


def test_log_paging_and_clearing(sim, raw):
    connection = raw()
    for _ in range(10):
        connection.send(post())
        connection.answer()
    answer = sim.http.get(sim.url + "/_sim/requests?since=4&limit=3", timeout=PATIENCE)
    assert [e["n"] for e in answer.json()] == [5, 6, 7] and answer.headers["X-Sim-More"] == "true"
    assert sim.log("?since=10") == [] and sim.log("?since=999") == []
    sim.control("DELETE", "requests")
    assert sim.log() == []
    connection.send(post())
    connection.answer()
    assert [e["n"] for e in sim.log()] == [11] and sim.stats()["requests"] == 11
    sim.control("POST", "reset")
    assert sim.log() == [] and sim.messages() == [] and sim.stats()["requests"] == 0


def test_no_secret_is_told(sim, raw):
    connection = raw()
    connection.send(post())
    connection.answer()
    sim.control("POST", "accounts", json={"account_sid": ACCOUNT, "auth_token": TOKEN})
    for path in ("requests", "messages", "stats", "faults", "gaps"):
        text = sim.http.get(sim.url + "/_sim/" + path, timeout=PATIENCE).text
        assert TOKEN not in text and basic() not in text and basic()[6:] not in text


def test_gets_are_logged_with_their_query(sim, client):
    client.messages.list(to=TO, page_size=5)
    (entry,) = sim.log()
    assert (entry["method"], entry["to"], entry["raw_body"]) == ("GET", TO, "")
    assert ["To", TO] in entry["params"] and "To=%2B14155550100" in entry["query"]


def test_bytes_that_are_not_utf8(sim, raw):
    connection = raw()
    connection.send(post(b"To=%2B14155550100&From=%2B15005550006&Body=a%FFb%C0%80%00c"))
    assert connection.answer()[0] == 201
    assert sim.log()[0]["body"] == "a\ufffdb\ufffd\ufffd"


def test_gaps(sim, raw):
    connection = raw()
    for to in (TO, TO, "+14155550101", TO):
        connection.send(post(form(To=to)))
        connection.answer()
    arrivals = [e["arrived_at"] for e in sim.log() if e["to"] == TO]
    shortest = min(b - a for a, b in zip(arrivals, arrivals[1:])) * 1000
    gaps = sim.control("GET", "gaps?key=to")
    assert (gaps[TO]["count"], gaps[TO]["early"]) == (3, 2)
    assert gaps[TO]["min_gap_ms"] == pytest.approx(shortest, abs=0.003)
    assert gaps["+14155550101"] == {"count": 1, "min_gap_ms": None, "early": 0}
    assert sim.control("GET", "gaps?key=from")[FROM]["count"] == 4
    assert sim.control("GET", "gaps?key=account")[ACCOUNT]["count"] == 4


def test_gaps_tell_early_from_punctual(sim, raw):
    """Two requests more than a second apart are not early; the wait is for the answer of a delayed one."""
    sim.fault("delay", ms=1005, times=1)
    connection = raw()
    connection.send(post())
    assert connection.answer()[0] == 201
    connection.send(post())
    connection.answer()
    gaps = sim.control("GET", "gaps")[TO]
    assert gaps["count"] == 2 and gaps["early"] == 0 and 1000 <= gaps["min_gap_ms"] < 2000


def test_latency_is_concurrent(sim, raw):
    sim.control("POST", "latency", json={"ms": 200})
    connections = [raw() for _ in range(200)]
    started = time.monotonic()
    for connection in connections:
        connection.send(post())
    highest = 0
    for connection in connections:
        status, headers, _ = connection.answer()
        assert status == 201
        highest = max(highest, int(headers["twilio-concurrent-requests"]))
    assert 0.199 <= time.monotonic() - started < 5
    assert highest > 1


def test_stats(sim, raw):
    connection = raw()
    for to in (TO, "123", TO):
        connection.send(post(form(To=to)))
        connection.answer()
    stats = sim.stats()
    assert (stats["requests"], stats["messages"], stats["by_status"]) == (3, 2, {"201": 2, "400": 1})
    assert 1 <= stats["connections_open"] <= stats["connections_total"]


def test_messages_filters(sim, client):
    for to, body in ((TO, "a"), (TO, "b"), ("+14155550101", "a")):
        client.messages.create(to=to, from_=FROM, body=body)
    assert [m["body"] for m in sim.messages(to=TO)] == ["a", "b"]
    assert len(sim.messages(body="a")) == 2 and len(sim.messages(to=TO, body="a")) == 1
    assert len(sim.messages(limit=1)) == 1


@pytest.mark.parametrize(
    "method, path, body, words",
    [
        ("POST", "faults", "{", "body: expected JSON"),
        ("POST", "faults", "[]", "body: expected a JSON object"),
        ("POST", "faults", "{}", "'fault': expected one of delay, "),
        ("POST", "faults", '{"fault": "boom"}', "'fault': expected one of"),
        ("POST", "faults", '{"fault": "delay"}', "'ms': missing, expected an integer"),
        ("POST", "faults", '{"fault": "delay", "ms": "1"}', "'ms': expected an integer from 0"),
        ("POST", "faults", '{"fault": "drop", "ms": 1}', "'ms': not known here"),
        ("POST", "faults", '{"fault": "drop", "times": -1}', "'times': expected an integer from 0"),
        ("POST", "faults", '{"fault": "drop", "probability": 1.5}', "'probability': expected a number from 0 to 1"),
        ("POST", "faults", '{"fault": "drop", "match": 1}', "'match': expected an object"),
        ("POST", "faults", '{"fault": "drop", "match": {"too": "x"}}', "in 'match': field 'too': not known here"),
        ("POST", "faults", '{"fault": "drop", "match": {"to": 1}}', "in 'match': field 'to': expected a string"),
        ("POST", "faults", '{"fault": "drop", "match": {"method": "post"}}', "field 'method': expected POST"),
        ("POST", "faults", '{"fault": "status", "status": 99}', "'status': expected an integer from 200 to 599"),
        ("POST", "faults", '{"fault": "status", "status": 502, "content_type": "a\\r\\nb"}', "'content_type'"),
        ("POST", "faults", '{"fault": "error", "code": 12345}', "'status': missing"),
        ("POST", "seed", '{"seed": -1}', "'seed': expected an integer"),
        ("POST", "latency", '{"ms": 1.5}', "'ms': expected an integer"),
        ("POST", "clock", '{"offset_ms": 1.5}', "'offset_ms': expected an integer"),
        ("POST", "clock", "{}", "'offset_ms': missing"),
        ("POST", "messages", '{"to": "+1", "from": "+2"}', "'account_sid': expected AC"),
        ("POST", "messages", '{"account_sid": "%s", "from": "+2"}' % ACCOUNT, "'to': expected a string"),
        ("POST", "messages", '{"account_sid": "%s", "to": "+1"}' % ACCOUNT, "'from': missing"),
        ("POST", "messages", '{"account_sid": "%s", "to": "+1", "age_ms": -1}' % ACCOUNT, "'age_ms': expected"),
        ("POST", "messages", '{"account_sid": "%s", "to": "+1", "media_urls": [1]}' % ACCOUNT, "'media_urls': "),
        ("POST", "accounts", '{"account_sid": "AC1", "auth_token": "x"}', "'account_sid': expected AC"),
        ("POST", "accounts", '{"account_sid": "%s"}' % ACCOUNT, "'auth_token': expected a string"),
        ("GET", "requests?since=x", None, "'since': expected a whole number"),
        ("GET", "requests?limit=100001", None, "'limit': expected at most"),
        ("GET", "requests?sicne=1", None, "'sicne': not known here"),
        ("GET", "gaps?key=body", None, "'key': expected to, from or account"),
    ],
)
def test_control_says_what_is_wrong(sim, method, path, body, words):
    answer = sim.control(method, path, expect=(400,), data=body)
    assert list(answer) == ["error"] and words in answer["error"] and "\n" not in answer["error"]
    assert sim.control("GET", "faults") == [] and sim.messages() == []


def test_control_paths_and_methods(sim):
    assert "error" in sim.control("GET", "nothing", expect=(404,))
    assert "error" in sim.control("GET", "reset", expect=(405,))
    assert "error" in sim.control("DELETE", "faults/77", expect=(404,))
    assert sim.control("DELETE", "faults") == {"removed": 0}


def test_reset_drops_waiting_requests(sim, raw):
    sim.fault("hang", match={"body_contains": "hang"})
    sim.fault("delay", ms=60_000)
    hanging, delayed = raw(), raw()
    hanging.send(post(form(Body="hang")))
    delayed.send(post())
    wait_until(lambda: len(sim.log()) == 2, "both requests")
    sim.control("POST", "reset")
    assert hanging.everything() == b"" and delayed.everything() == b""
    assert sim.messages() == [] and sim.control("GET", "faults") == []


# --------------------------------------------------------------------------------- Twilio's clock, planted messages


def date_of(headers):
    """An answer's Date, in seconds since 1970; its form is the one that RFC 9110 wants."""
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
    return email.utils.parsedate_to_datetime(headers["date"]).timestamp()


def twilio_date(text):
    return email.utils.parsedate_to_datetime(text).timestamp()


@pytest.mark.parametrize("offset", [0, -90, 3600])
def test_every_answer_has_a_date(sim, raw, offset):
    """Good ones, refusals, gateway pages, what is no HTTP, the control API's own."""
    sim.control("POST", "clock", json={"offset_ms": 1000 * offset})
    sim.fault("status", status=502, match={"body_contains": "gateway"})
    sim.fault("echo_authorization", match={"body_contains": "echo"})
    sim.fault("accept_garbage", match={"body_contains": "garbage"})
    requests_made = [post(), post(form(To="1")), *(post(form(Body=word)) for word in ("gateway", "echo", "garbage"))]
    requests_made += [b"GET %s HTTP/1.1\r\nHost: sim\r\n\r\n" % path for path in (b"/nothing", b"/_sim/stats")]
    requests_made += [b"?\r\n\r\n"]
    connection = raw()
    statuses = []
    for request in requests_made:
        connection.send(request)
        before = time.time()
        status, headers, _ = connection.answer()
        statuses.append(status)
        assert before - 1.1 <= date_of(headers) - offset <= time.time()
    assert statuses == [201, 400, 502, 502, 201, 404, 200, 400]


def test_the_clock_is_twilios_alone(sim, raw):
    """It shifts what Twilio says of itself; arrivals stay, and so do messages that are there already."""
    connection = raw()
    connection.send(post(form(Body="before")))
    connection.answer()
    sim.control("POST", "clock", json={"offset_ms": -600_000})
    connection.send(post(form(Body="after")))
    sid = json.loads(connection.answer()[2])["sid"]
    after, before = sim.messages()
    assert (after["body"], before["body"]) == ("after", "before"), "in order of creation"
    assert abs(twilio_date(before["date_created"]) - time.time()) < 5
    assert abs(twilio_date(after["date_created"]) + 600 - time.time()) < 5
    assert abs(after["created_at"] + 600 - time.time()) < 5
    assert all(abs(entry["arrived_at"] - time.time()) < 5 for entry in sim.log())
    sim.control("POST", "clock", json={"offset_ms": 600_000})
    connection.send(post(b"Body=", path=f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"))
    updated = json.loads(connection.answer()[2])["date_updated"]
    assert abs(twilio_date(updated) - 600 - time.time()) < 5
    sim.control("POST", "reset")
    connection.send(post())
    assert abs(date_of(connection.answer()[1]) - time.time()) < 5


def test_planted_messages(sim, client):
    """As if another system had sent them: no request, no gap, and in their place by their date."""
    newer = client.messages.create(to=TO, from_=FROM, body="same", media_url=MEDIA[:1]).sid
    plain = {"account_sid": ACCOUNT, "to": TO, "from": FROM, "body": "same"}
    old = sim.control("POST", "messages", json={**plain, "age_ms": 120_000, "media_urls": MEDIA[:1]})["sid"]
    older = sim.control("POST", "messages", json={**plain, "age_ms": 3_600_000})["sid"]
    service = "MG" + "a" * 32
    other = {"account_sid": ACCOUNT, "to": "+14155550199", "messaging_service_sid": service}
    elsewhere = sim.control("POST", "messages", json=other)["sid"]
    assert [entry["sid"] for entry in sim.log()] == [newer] and sim.control("GET", "gaps")[TO]["count"] == 1
    listed = client.messages.list(to=TO, page_size=1)
    assert [m.sid for m in listed] == [newer, old, older]
    assert (old[:2], older[:2], elsewhere[:2]) == ("MM", "SM", "SM")
    assert (listed[1].body, listed[1].from_, listed[1].num_media, listed[2].num_media) == ("same", FROM, "1", "0")
    assert abs(listed[1].date_created.timestamp() + 120 - time.time()) < 5
    assert client.messages(elsewhere).fetch().messaging_service_sid == service
    assert sim.stats()["messages"] == 4


# ------------------------------------------------------------------------------------------ the program


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_in_the_middle_of_things(tmp_path, which):
    with running(tmp_path) as sim:
        sim.fault("hang", match={"body_contains": "hang"})
        sim.fault("delay", ms=60_000, match={"body_contains": "late"})
        connections = [Raw(sim) for _ in range(3)]
        connections[0].send(post(form(Body="hang")))
        connections[1].send(post(form(Body="late")))
        connections[2].send(post()[:30])
        wait_until(lambda: len(sim.log()) == 2, "the requests")
        sim.process.send_signal(which)
        assert sim.process.wait(PATIENCE) == 0
        assert sim.process.stderr.read() == ""
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("arguments", [["--nonsense"], ["extra"]])
def test_wrong_arguments(arguments):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_address_that_cannot_be_had(sim):
    for address in ("nowhere", f"127.0.0.1:{sim.port}"):
        done = subprocess.run([BINARY, "--listen", address], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 1 and f"cannot listen on '{address}'" in done.stderr
