"""The receiver of status callbacks, against signatures that Twilio's own library makes."""

import base64
import hashlib
import http.client
import json
import os
import socket
import time
from contextlib import ExitStack, closing
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from harness.system import ACCOUNT, TOKEN, config
from harness.wait import until, until_equal

PUBLIC = "https://mms.example.com/twilio/status"
MESSAGE = "MM" + "0123456789abcdef" * 2
OTHER_ACCOUNT, OTHER_TOKEN = "AC" + "f" * 32, "another-auth-token-entirely"
CONNECTIONS = 256  # that it holds open
IDLE = 10  # seconds after which a silent one is closed
LIFE = 30  # seconds after which any is
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def attempt(destination_id="des_1", delivery=1, number=1):
    """The query that the worker gives Twilio."""
    encoded = base64.urlsafe_b64encode(destination_id.encode()).decode().rstrip("=")
    return f"attempt={delivery}.{number}.{encoded}"


def parameters(**changes):
    """What Twilio posts; None removes a parameter."""
    whole = {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "From": "+15550001111",
        "To": "+15557770000",
        "MessageSid": MESSAGE,
        "SmsSid": MESSAGE,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not None}


class Receiver:
    """A worker that listens for callbacks."""

    def __init__(self, system, public=PUBLIC, **settings):
        self.public = public
        settings = {"log_level": "debug", **settings}
        self.worker = system.worker(callback_listen="127.0.0.1:0", status_callback_url=public, **settings).wait_ready()
        until(lambda: self.worker.log_lines("listening for callbacks"), 10, "the receiver")
        self.port = self.worker.log_lines("listening for callbacks")[0]["port"]
        until(lambda: self.worker.log_lines("read the auth tokens of destinations"), 10, "the accounts")

    def sign(self, query, form, token=TOKEN):
        return RequestValidator(token).compute_signature(self.public.split("#")[0] + (f"?{query}" if query else ""), form)

    def send(self, body=b"", query="", signature=None, method="POST", path="/", content_type=FORM, headers=()):
        """The answer's status and headers."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            headers = dict(headers)
            if content_type:
                headers["Content-Type"] = content_type
            if signature is not None:
                headers["X-Twilio-Signature"] = signature
            connection.request(method, path + (f"?{query}" if query else ""), body, headers)
            answer = connection.getresponse()
            self.text = answer.read()
            return answer.status, dict(answer.getheaders())

    def post(self, form, query="", token=TOKEN, **more):
        """A callback signed with `token`; its status."""
        return self.send(urlencode(form).encode(), query, self.sign(query, form, token), **more)[0]

    def results(self):
        """How many callbacks ended how."""
        lines = self.worker.get("/metrics")[1].splitlines()
        counted = [line.split('result="')[1] for line in lines if line.startswith("mms_callbacks_total{")]
        return {name: int(value) for name, value in (line.split('"} ') for line in counted) if int(value)}

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.worker.pid}/fd"))


@pytest.fixture
def receiver(system):
    system.destination("des_1")
    return Receiver(system)


def test_takes_what_twilio_signed(receiver):
    """Whatever the parameters, the path that arrives, and what Twilio's side does with the port."""
    forms = [
        parameters(),
        parameters(MessageStatus="a-new-one", New="1", Empty=""),
        parameters(ErrorMessage=" grüße 🦉 ", To="+1 555", Ab="c", A="bc", a="x"),
        parameters(MessagingServiceSid="MG" + "0" * 32, ErrorCode="30007", MessageStatus="undelivered"),
        parameters(**{f"p{n}": "v" for n in range(92)}),
    ]
    for form in forms:
        assert receiver.post(form, attempt()) == 204, form
    assert receiver.text == b""
    assert receiver.post(parameters(), attempt("grün 🦉/?&", 2**63 - 1, 2**31 - 1), path="/stripped/prefix") == 204
    assert receiver.post(parameters(), "key=a%20b&x&" + attempt()) == 204, "a query of the URL's own, as it was received"
    port = RequestValidator(TOKEN).compute_signature("https://mms.example.com:443/twilio/status?" + attempt(), parameters())
    assert receiver.send(urlencode(parameters()), attempt(), port)[0] == 204
    # twilio-python of today signs each value of a repeated name once, in order: this is what comes out.
    twice = receiver.sign(attempt(), {**parameters(), "Digits": "1234Digits5678"})
    body = urlencode(parameters()) + "&Digits=5678&Digits=1234&Digits=5678"
    assert receiver.send(body, attempt(), twice)[0] == 204
    assert receiver.results() == {"taken": 9}
    seen = receiver.worker.log_lines("status")
    assert len(seen) == 9
    assert seen[5]["destination_id"] == "grün 🦉/?&" and seen[5]["attempt"] == 2**31 - 1
    assert seen[0]["message_sid"] == MESSAGE and seen[1]["message_status"] == "a-new-one"
    assert TOKEN not in receiver.worker.log_text()


def test_takes_a_json_body_by_its_hash(receiver):
    """As Twilio signs bodies that are no forms."""
    body = json.dumps(parameters()).encode()
    query = attempt() + "&bodySHA256=" + hashlib.sha256(body).hexdigest()
    signature = receiver.sign(query, {})
    assert receiver.send(body, query, signature, content_type="application/json")[0] == 204
    assert receiver.send(body + b" ", query, signature, content_type="application/json")[0] == 403
    assert receiver.send(body, attempt(), receiver.sign(attempt(), {}), content_type="application/json")[0] == 415
    # The hash stands for a body that isn't a form; it doesn't free a form's parameters.
    form = urlencode(parameters()).encode()
    query = attempt() + "&bodySHA256=" + hashlib.sha256(form).hexdigest()
    assert receiver.send(form, query, receiver.sign(query, {}))[0] == 403
    assert receiver.results() == {"taken": 1, "refused": 2, "malformed": 1}


@pytest.mark.parametrize(
    ("public", "arrives"),
    [
        ("http://mms.example.com:8080/cb", attempt()),
        ("https://mms.example.com/cb?key=v#rc=3&rp=all", "key=v&" + attempt()),
        ("https://mms.example.com/", attempt()),
        ("http://[2001:db8::1]:8443/cb", attempt()),
    ],
)
def test_knows_the_url_that_was_signed(system, public, arrives):
    """Scheme, host, port and path are the setting's; the query is what arrives."""
    system.destination("des_1")
    receiver = Receiver(system, public)
    form = parameters()
    signature = RequestValidator(TOKEN).compute_signature(public.split("?")[0].split("#")[0] + "?" + arrives, form)
    assert receiver.send(urlencode(form), arrives, signature, path="/elsewhere")[0] == 204
    assert receiver.send(urlencode(form), arrives + "&x=1", signature)[0] == 403


def test_refuses_what_twilio_did_not_sign(system, receiver):
    """One answer for all of it, one line in the log, and nobody's token in either."""
    system.destination("des_2", auth={"account_sid": OTHER_ACCOUNT, "auth_token": OTHER_TOKEN})
    form, query = parameters(), attempt()
    good = receiver.sign(query, form)
    until(lambda: receiver.post(parameters(AccountSid=OTHER_ACCOUNT), query, OTHER_TOKEN) == 204, 10, "the other account")
    before = receiver.results().get("refused", 0)
    refused = [
        (form, query, None),
        (form, query, ""),
        (form, query, good[:-1]),
        (form, query, good + "="),
        (form, query, "x" * 28),
        (form, query, "\xff" * 28),
        (form, query, receiver.sign(query, form, "wrong")),
        (form, query, receiver.sign(query, form, OTHER_TOKEN)),
        (form, query, receiver.sign(query, form, "0" * 32)),
        (parameters(AccountSid=OTHER_ACCOUNT), query, good),
        (parameters(AccountSid="AC" + "0" * 32), query, receiver.sign(query, parameters(AccountSid="AC" + "0" * 32), "0" * 32)),
        (parameters(MessageStatus="failed"), query, good),
        (parameters(To="+15557770000 "), query, good),
        (parameters(More=""), query, good),
        (parameters(SmsSid=None), query, good),
        (form, attempt(number=2), good),
        (form, attempt("des_2"), good),
        (form, query + "&", good),
        (form, "", good),
    ]
    texts = set()
    for changed, asked, signature in refused:
        assert receiver.send(urlencode(changed).encode(), asked, signature)[0] == 403, (changed, asked, signature)
        texts.add(receiver.text)
    assert len(texts) == 1, "the answer says which"
    assert receiver.results()["refused"] - before == len(refused)
    assert len(receiver.worker.log_lines("status callbacks refused")) == 1
    assert TOKEN not in receiver.worker.log_text() and OTHER_TOKEN not in receiver.worker.log_text()
    assert receiver.post(form, query) == 204


def test_refuses_what_is_no_callback(receiver):
    """Each with the status that says so; none of it is an error of the worker's."""
    query, form = attempt(), parameters()
    for status, changes in [
        (400, {"MessageSid": None}),
        (400, {"MessageSid": "MM123"}),
        (400, {"MessageStatus": None}),
        (400, {"MessageStatus": "x" * 32}),
        (400, {"AccountSid": None}),
        (400, {"AccountSid": "AC' or 1=1"}),
        (400, {f"p{n}": "v" for n in range(93)}),
    ]:
        assert receiver.post(parameters(**changes), query) == status, changes
    for wrong in ["attempt=", "attempt=1", "attempt=0.1.ZA", "attempt=1.1.ZA==", "attempt=1.1.%5AA", query + "&attempt=x"]:
        assert receiver.post(form, wrong) == 400, wrong
    for fragment in ["#", "#&" + attempt(number=2), "#?" + attempt(number=2)]:
        assert receiver.send(urlencode(form), query + fragment, receiver.sign(query, form))[0] == 400, "it isn't signed"
    for body in [b"a=%zz", b"a=%00", b"\0", b"", urlencode(form).encode() + b"&AccountSid=" + ACCOUNT.encode()]:
        assert receiver.send(body, query, "x" * 28)[0] == 400, body
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]:
        status, headers = receiver.send(b"", query, method=method)
        assert (status, headers["Allow"]) == (405, "POST"), method
    for content_type in [None, "text/plain", "multipart/form-data", "application/x-www-form-urlencodedx"]:
        assert receiver.send(b"a=1", query, content_type=content_type)[0] == 415, content_type
    assert receiver.send(b"a=" + b"x" * 16383, query)[0] == 413
    assert receiver.send(b"a=" + b"x" * 3_000_000, query)[0] == 413
    assert receiver.send(b"a=1", query, headers={"X-Long": "x" * 20000})[0] in (400, 413, 431)
    assert receiver.send(b"a=1", "x" * 20000)[0] in (400, 413, 414)
    assert receiver.post(form, query) == 204
    assert not receiver.worker.log_lines("status callbacks refused")


def test_ignores_what_is_not_about_an_attempt(receiver):
    """Somebody gave the URL to a messaging service by hand: Twilio is told that all is well."""
    assert receiver.post(parameters()) == 204
    assert receiver.post(parameters(), "key=v&attempts=1") == 204
    assert receiver.results() == {"foreign": 2}
    assert not receiver.worker.log_lines("status")
    assert receiver.send(urlencode(parameters()), "", "x" * 28)[0] == 403


def test_tokens_follow_the_table(system, receiver):
    """A destination that is made, changed or disabled by SQL, within seconds; a token that can't be one is nobody's."""
    other = parameters(AccountSid=OTHER_ACCOUNT)
    assert receiver.post(other, attempt(), OTHER_TOKEN) == 403
    system.destination("des_2", auth={"account_sid": OTHER_ACCOUNT, "auth_token": OTHER_TOKEN})
    system.query("update mms.destinations set disabled_at = now() where id = 'des_2'")
    until(lambda: receiver.post(other, attempt(), OTHER_TOKEN) == 204, 5, "a new account")
    system.destination("des_2", auth={"account_sid": OTHER_ACCOUNT, "auth_token": "rotated"})
    until(lambda: receiver.post(other, attempt(), "rotated") == 204, 5, "a new token")
    assert receiver.post(other, attempt(), OTHER_TOKEN) == 204, "what is on its way is signed with the old one"
    assert receiver.post(parameters(), attempt()) == 204
    for token in [123456, "", "x" * 1000, None, ["x"]]:
        system.destination("des_3", auth={"account_sid": "AC" + "e" * 32, "auth_token": token})
        system.destination("des_4", auth={"account_sid": "AC" + "e" * 32, "auth_token": "after"})
        until(lambda: receiver.post(parameters(AccountSid="AC" + "e" * 32), attempt(), "after") == 204, 5, "the next one")
        system.query("delete from mms.destinations where id in ('des_3', 'des_4')")
    assert receiver.post(parameters(AccountSid="AC" + "e" * 32), attempt(), "123456") == 403


def test_reads_every_account_at_start(system):
    """More destinations than a page has, in an order that isn't theirs, some of them no use."""
    system.query(
        "insert into mms.destinations (id, type, config)"
        " select 'd' || n, 'TWILIO_MMS', jsonb_set(%s, '{auth}', jsonb_build_object('account_sid', 'AC' || lpad(n::text, 32, '0'),"
        " 'auth_token', 'token-' || n)) from generate_series(1, 4500) n",
        json.dumps(config()),
    )
    system.query("insert into mms.destinations (id, config) values ('a', '[]'), ('b', '{\"auth\": 1}'), ('z', 'null')")
    system.query("update mms.destinations set updated_at = '2020-01-01', disabled_at = now() where id like 'd%%1'")
    receiver = Receiver(system)
    for n in [1, 2, 1999, 2000, 2001, 3999, 4000, 4001, 4499, 4500]:
        account = f"AC{n:032d}"
        assert receiver.post(parameters(AccountSid=account), attempt(), f"token-{n}") == 204, n
        assert receiver.post(parameters(AccountSid=account), attempt(), f"token-{n + 1}") == 403, n


def _statements(cursor, database):
    """How many statements have been run in a database, and how many of them were looks at what was changed."""
    cursor.execute(
        "select coalesce(sum(s.calls), 0)::int, coalesce(sum(s.calls) filter (where s.query like '%%mms.destinations%%'), 0)::int"
        " from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = %s",
        [database],
    )
    return cursor.fetchone()


def test_forged_callbacks_cost_no_query(system, receiver):
    """Neither of known accounts nor of unknown ones; the looks at the accounts go on as if nothing were."""
    with closing(system.postgres.connect("postgres")) as outside:
        cursor = outside.cursor()
        cursor.execute("create extension if not exists pg_stat_statements")
        seconds, counts = [], []
        for flood in (0, 500):
            begin, before = time.monotonic(), _statements(cursor, system.database)
            for n in range(flood):
                form = parameters(AccountSid=ACCOUNT if n % 2 else f"AC{n:032d}")
                assert receiver.post(form, attempt(), "forged") == 403
            while time.monotonic() - begin < 4:
                time.sleep(0.1)
            after = _statements(cursor, system.database)
            seconds.append(time.monotonic() - begin)
            counts.append([now - then for then, now in zip(before, after, strict=True)])
    assert receiver.results()["refused"] == 500
    assert counts[0][1] >= 2, "this counts nothing"
    for idle, flooded in zip(*counts, strict=True):
        assert flooded / seconds[1] <= idle / seconds[0] + 1.5, (counts, seconds)
    assert len(receiver.worker.log_lines("status callbacks refused")) == 1


def _is_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_silent_connections_keep_nobody_out(system, receiver):
    """More of them than it holds: callbacks get through, messages go out, and in the end all are closed."""
    before = receiver.descriptors()
    with ExitStack() as stack:
        silent = [stack.enter_context(receiver.connect()) for _ in range(200)]
        for connection in silent[::2]:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        silent += [stack.enter_context(receiver.connect()) for _ in range(200)]
        begin = time.monotonic()
        system.produce(*(system.event(f"e{n}", "des_1") for n in range(3)))
        for _ in range(20):
            assert receiver.post(parameters(), attempt()) == 204
        assert time.monotonic() - begin < IDLE
        assert receiver.descriptors() <= before + CONNECTIONS + 20
        until(lambda: sum(map(_is_closed, silent)) >= 400 - CONNECTIONS, 5, "those too many to be closed")
        assert not _is_closed(silent[-1]), "it closes more than it must"
        system.wait_states(accepted=3, timeout=IDLE)
        until(lambda: all(map(_is_closed, silent)), IDLE + 10, "all to be closed")
    until(lambda: receiver.descriptors() <= before + 3, 5, "the descriptors to be free")
    # Counting goes down as well as up: as many again have room.
    with ExitStack() as stack:
        again = [stack.enter_context(receiver.connect()) for _ in range(CONNECTIONS - 10)]
        assert receiver.post(parameters(), attempt()) == 204
        assert not any(map(_is_closed, again))
        for connection in again:
            connection.close()
        again = [stack.enter_context(receiver.connect()) for _ in range(CONNECTIONS - 10)]
        assert receiver.post(parameters(), attempt()) == 204
        assert not any(map(_is_closed, again))


def test_who_drips_is_closed(receiver):
    """A byte a second keeps a connection from being idle, but not open for ever."""
    with closing(receiver.connect()) as connection:
        begin = time.monotonic()

        def drip():
            if _is_closed(connection):
                return True
            connection.sendall(b"x")
            return False

        connection.sendall(b"POST / HTTP/1.1\r\nX: ")
        until(drip, LIFE + 10, "the connection to be closed", ignore=(ConnectionError,), interval=1)
        assert time.monotonic() - begin > IDLE + 5, "it was not idle"
    assert receiver.post(parameters(), attempt()) == 204


def test_stops_with_connections_open(system):
    """SIGTERM: nobody is waited for, and the port is free at once."""
    system.destination("des_1")
    receiver = Receiver(system)
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(receiver.connect()).sendall(b"POST / HTTP/1.1\r\n")
        assert receiver.worker.stop(timeout=15) == 0
    system.check_workers()


def test_is_off_unless_it_is_asked_for(system):
    """No port, no look at the accounts."""
    system.destination("des_1")
    worker = system.worker(log_level="debug", status_callback_url=PUBLIC).wait_ready()
    until_equal(lambda: worker.get("/healthz")[0], 200)
    assert not worker.log_lines("listening for callbacks")
    assert not worker.log_lines("read the auth tokens of destinations")


def test_an_address_that_is_taken(system, receiver):
    """One line that says which setting."""
    worker = system.worker(callback_listen=f"127.0.0.1:{receiver.port}", status_callback_url=PUBLIC)
    assert worker.wait(timeout=20) == 1
    assert "MMS_CALLBACK_LISTEN" in worker.log_text()
    system.check_workers()
    system.workers.remove(worker)
