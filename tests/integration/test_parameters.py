"""Every parameter that a destination can have reaches Twilio as it was meant, byte for byte."""

import base64
import http.server
import json
import threading

import jsonschema
import pytest

from harness import ROOT
from harness.fleet import RECONCILE
from harness.system import ACCOUNT, OWL, TOKEN, config
from harness.wait import until
from test_destination_config import API_KEY, SECRET, WRONG, check_no_secret

SERVICE = "MG" + "0123456789abcdef" * 2
APPLICATION = "AP" + "0123456789abcdef" * 2
CALLBACK = "https://calls.example.com/cb?x=1&y=%2B"
CALLBACK_SHOWN = "https://calls.example.com/cb?x=***&y=***"

# Every option: the field, its value, Twilio's name, the value in the form, and in the evidence.
OPTIONS = [
    ("status_callback", CALLBACK, "StatusCallback", "https%3A%2F%2Fcalls.example.com%2Fcb%3Fx%3D1%26y%3D%252B", CALLBACK_SHOWN),
    ("application_sid", APPLICATION, "ApplicationSid", APPLICATION, APPLICATION),
    ("max_price", 0.5, "MaxPrice", "0.5", "0.5"),
    ("provide_feedback", True, "ProvideFeedback", "true", "true"),
    ("validity_period", 60, "ValidityPeriod", "60", "60"),
    ("smart_encoded", False, "SmartEncoded", "false", "false"),
    ("shorten_urls", True, "ShortenUrls", "true", "true"),
    ("content_retention", "discard", "ContentRetention", "discard", "discard"),
    ("address_retention", "obfuscate", "AddressRetention", "obfuscate", "obfuscate"),
    ("send_as_mms", True, "SendAsMms", "true", "true"),
    ("risk_check", "disable", "RiskCheck", "disable", "disable"),
]
FIELDS = {field: value for field, value, *_ in OPTIONS}
# Beside which fields of the config a value is allowed.
NEEDS = {"shorten_urls": {"messaging_service_sid": SERVICE}}

MEDIA = f"&MediaUrl={OWL.replace(':', '%3A').replace('/', '%2F')}"


class RawTwilio:
    """Answers every create request with a valid 201, and keeps its path, Authorization header and body as they came."""

    def __init__(self):
        self.posts = posts = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append({"path": self.path, "headers": dict(self.headers), "body": body})
                answer = json.dumps({"sid": f"MM{len(posts):032x}", "status": "queued", "error_code": None}).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def twilio():
    server = RawTwilio()
    yield server
    server.close()


def send_one(system, twilio, event=None, **changes):
    """One event, sent by a worker; the request as Twilio got it."""
    system.destination("d", **changes)
    system.worker(twilio_base_url=twilio.base_url)
    system.produce(event or system.event("e", "d"))
    system.wait_states(accepted=1)
    assert len(twilio.posts) == 1
    return twilio.posts[0]


def parameters_of(system, event_id="e"):
    """What the evidence says was sent."""
    attempts = system.attempts(event_id)
    assert len(attempts) == 1
    return attempts[0]["request"]["parameters"]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_every_parameter_byte_for_byte(system, twilio):
    """All of them at once, text in several scripts, several media; the evidence says the same."""
    body = "Skatī + 100% & \U0001f44d\n=?"
    urls = [OWL, "https://media.example.com/b c.png".replace(" ", "%20"), "https://media.example.com/ā?x=1&y=2"]
    event = system.event("e", "d", message=body, urls=urls)
    post = send_one(
        system, twilio, event, body_template="{{message}}", media_urls=["{{urls}}"], messaging_service_sid=SERVICE,
        sms_fallback=True, **FIELDS,
    )
    expected = (
        f"To=%2B15557770000&From=%2B15550001111&MessagingServiceSid={SERVICE}"
        "&Body=Skat%C4%AB%20%2B%20100%25%20%26%20%F0%9F%91%8D%0A%3D%3F"
        "&MediaUrl=https%3A%2F%2Fdemo.twilio.com%2Fowl.png&MediaUrl=https%3A%2F%2Fmedia.example.com%2Fb%2520c.png"
        "&MediaUrl=https%3A%2F%2Fmedia.example.com%2F%C4%81%3Fx%3D1%26y%3D2"
    ) + "".join(f"&{name}={sent}" for _, _, name, sent, _ in OPTIONS)
    assert post["body"].decode() == expected
    assert post["path"] == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert post["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert post["headers"]["Authorization"] == basic(ACCOUNT, TOKEN)
    assert parameters_of(system) == {
        "To": "+15557770000", "From": "+15550001111", "MessagingServiceSid": SERVICE, "Body": body, "MediaUrl": urls,
        **{name: said for _, _, name, _, said in OPTIONS},
    }
    check_no_secret(system)


def test_each_parameter_alone(system, twilio):
    """Each at a destination of its own: nothing else appears in the form, whatever the other fields are."""
    for field, value, *_ in OPTIONS:
        absent = {other: None for other in FIELDS}
        row = {**config(**NEEDS.get(field, {})), **absent, field: value}
        system.query("insert into mms.destinations (id, type, config) values (%s, 'TWILIO_MMS', %s)", field, json.dumps(row))
    system.worker(twilio_base_url=twilio.base_url)
    system.produce_many([system.event(field, field) for field in FIELDS])
    system.wait_states(accepted=len(FIELDS))
    forms = {post["body"].decode() for post in twilio.posts}
    assert forms == {
        "To=%2B15557770000&From=%2B15550001111"
        + (f"&MessagingServiceSid={SERVICE}" if field in NEEDS else "")
        + f"&Body={field}%3A%20hello{MEDIA}&{name}={sent}"
        for field, _, name, sent, _ in OPTIONS
    }
    for field, _, name, _, said in OPTIONS:
        assert parameters_of(system, field)[name] == said


def test_each_kind_of_sender(system, twilio):
    senders = {
        "number": ({"from": "+15550001111"}, "&From=%2B15550001111"),
        "short-code": ({"from": "12345"}, "&From=12345"),
        "alphanumeric": ({"from": "Acme Ltd"}, "&From=Acme%20Ltd"),
        "service": ({"from": None, "messaging_service_sid": SERVICE}, f"&MessagingServiceSid={SERVICE}"),
        "both": ({"from": "12345", "messaging_service_sid": SERVICE}, f"&From=12345&MessagingServiceSid={SERVICE}"),
    }
    for name, (sender, _) in senders.items():
        system.destination(name, **sender)
    system.worker(twilio_base_url=twilio.base_url)
    system.produce(*[system.event(name, name) for name in senders])
    system.wait_states(accepted=len(senders))
    assert sorted(post["body"].decode() for post in twilio.posts) == sorted(
        f"To=%2B15557770000{expected}&Body={name}%3A%20hello{MEDIA}" for name, (_, expected) in senders.items()
    )


def test_an_api_key_signs_for_its_account(system, twilio):
    """Its SID and secret are what Basic auth has; the account stays in the path, the token is not sent at all."""
    post = send_one(
        system, twilio, auth={"account_sid": ACCOUNT, "auth_token": TOKEN, "api_key_sid": API_KEY, "api_key_secret": SECRET}
    )
    assert post["path"] == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert post["headers"]["Authorization"] == basic(API_KEY, SECRET)
    assert TOKEN not in str(post) and base64.b64encode(TOKEN.encode()).decode()[:20] not in str(post)
    check_no_secret(system)


def test_the_simulator_takes_every_parameter(system):
    """Twilio's own rules, as far as the simulator has them, find nothing wrong with the whole of it."""
    system.destination("d", messaging_service_sid=SERVICE, **FIELDS)
    system.worker()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)
    post = system.sim.posts()[0]
    assert (post["status"], post["to"], post["from"]) == (201, "+15557770000", "+15550001111")
    assert post["body"] == "e: hello"


# ---- an attempt whose answer was lost ----

LINK = "https://shop.example.com/orders/1?from=mms"


def test_lookups_allow_for_what_was_asked_for(system):
    """Twilio lists another body, none, or not even the recipient: what can't be told stays unknown, and nothing is sent twice."""
    cases = {
        "short": {"shorten_urls": True, "messaging_service_sid": SERVICE},
        "resent": {"shorten_urls": True, "messaging_service_sid": SERVICE},
        "emptied": {"content_retention": "discard"},
        "hidden": {"address_retention": "obfuscate"},
    }
    numbers = {name: f"+1555777000{i}" for i, name in enumerate(cases)}
    for name, options in cases.items():
        system.sim.fault("drop", {"to": numbers[name]}, times=1)
        system.destination(name, to=numbers[name], body_template="See {{message}}", **options)
    system.worker(**RECONCILE)
    system.produce(*[system.event(name, name, message=LINK) for name in cases])
    until(lambda: len([a for a in system.attempts() if a["outcome"] == "unknown"]) == len(cases), 20, "all unknown")
    # What Twilio would have made of them.
    system.sim.plant(ACCOUNT, numbers["short"], "See https://sho.rt/Ab12", from_="+15550001111", messaging_service_sid=SERVICE)
    system.sim.plant(ACCOUNT, numbers["emptied"], " ", from_="+15550001111")
    system.wait_states(accepted=2, unknown=2, timeout=60)
    until(lambda: all((system.attempts(name)[0]["resolution"] or "").startswith("still unknown") for name in ("emptied", "hidden")), 20, "why")

    (attempt,) = system.attempts("short")
    assert [attempt["message_sid"]] == [message["sid"] for message in system.sim.messages(to=numbers["short"])]
    assert [a["outcome"] for a in system.attempts("resent")] == ["retry", "accepted"]
    assert "bodies discarded" in system.attempts("emptied")[0]["resolution"]
    assert "obfuscates recipients' numbers" in system.attempts("hidden")[0]["resolution"]
    posts = {name: len(system.sim.posts(to=number)) for name, number in numbers.items()}
    assert posts == {"short": 1, "resent": 2, "emptied": 1, "hidden": 1}
    assert not [r for r in system.sim.requests() if r["method"] == "GET" and r["to"] == numbers["hidden"]]


# ---- the contract ----


def contract():
    return json.loads((ROOT / "schemas" / "destination.schema.json").read_text())


def is_valid(changed):
    return jsonschema.Draft202012Validator(contract()).is_valid(changed)


# Faults that a schema can't see: they are in templates, in hosts, in pairs of fields (and Python's $ takes a last line feed).
UNSEEN = {
    "to: open braces", "to: empty token", "body: open braces", "body: empty step", "body: blank in a path", "media: open braces",
    "status_callback: underscore", "status_callback: password", "key: without secret", "key: secret alone",
    "token: line feed",
}


def test_the_schema_has_the_worker_s_fields():
    used = set(config()) | {"body_overflow", "messaging_service_sid", "sms_fallback"}
    assert set(contract()["properties"]) == used | set(FIELDS)
    assert contract()["properties"]["max_price"]["deprecated"] is True
    assert all(rule.get("description") for rule in contract()["properties"].values())


def test_the_schema_takes_what_the_worker_takes():
    assert is_valid(config(messaging_service_sid=SERVICE, sms_fallback=True, **FIELDS))
    assert is_valid({**config(), **{field: None for field in FIELDS}, "sms_fallback": None})
    assert is_valid(config(validity_period=60.0, shorten_urls=False))
    for field, value in FIELDS.items():
        assert is_valid(config(**{field: value}, **NEEDS.get(field, {}))), field


def test_the_schema_refuses_what_the_worker_refuses():
    taken = {case.name for case in WRONG if is_valid(config(**case.changes))}
    assert taken <= UNSEEN, taken - UNSEEN
