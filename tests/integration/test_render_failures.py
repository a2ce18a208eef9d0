"""Events that are taken in, but make no message: failed with evidence, and nothing is sent."""

import json
from dataclasses import dataclass, field

import jsonschema

from harness import ROOT
from harness.system import TOKEN
from harness.wait import until

GOOD = {"to": "+15557770000", "body": "hello", "media": "https://media.example.com/owl.png"}
TEMPLATES = {"to": "{{to}}", "body_template": "{{body}}", "media_urls": ["{{media}}"]}


@dataclass
class Case:
    """A payload (changes to GOOD; Ellipsis removes) and a config; reason None: it is sent, with these parameters."""

    name: str
    payload: dict
    reason: str | None = None
    words: list = field(default_factory=list)
    config: dict = field(default_factory=dict)
    sent: dict = field(default_factory=dict)

    def event(self):
        """As text that no serializer would write, to see that it is kept as it came."""
        payload = {name: value for name, value in {**GOOD, **self.payload}.items() if value is not ...}
        return '{"destination_id" :%s,\n\t"event_id": %s, "payload":%s  }' % tuple(map(json.dumps, [self.name, self.name, payload]))


def bad_to(name, value):
    return Case(f"to: {name}", {"to": value}, "TO_INVALID", ["config.to", "E.164"])


def bad_url(name, url):
    return Case(f"media: {name}", {"media": url}, "MEDIA_URL_INVALID", ["config.media_urls[0]", "expected a public http(s) URL"])


def urls(count):
    return [f"https://media.example.com/{i}.png" for i in range(count)]


FAILED = [
    Case("to: missing", {"to": ...}, "TOKEN_MISSING", ["config.to", "{{to}}"]),
    Case("to: missing, deep", {}, "TOKEN_MISSING", ["config.to", "{{payload.contact.phone}}"], {"to": "{{payload.contact.phone}}"}),
    Case("to: missing, beside text", {"to": ...}, "TOKEN_MISSING", ["config.to", "{{to}}"], {"to": "+1{{to}}"}),
    bad_to("empty", ""),
    bad_to("null", None),
    bad_to("without +", "15557770000"),
    bad_to("00", "0015557770000"),
    bad_to("leading zero", "+05557770000"),
    bad_to("16 digits", "+1234567890123456"),
    bad_to("one digit", "+1"),
    bad_to("blank inside", "+1555 7770000"),
    bad_to("blank before", " +15557770000"),
    bad_to("line feed behind", "+15557770000\n"),
    bad_to("letters", "+1555CALLME"),
    bad_to("other digits", "+\u0661\u0662\u0663\u0664\u0665\u0666\u0667"),
    bad_to("two numbers", "+15557770000,+15557770001"),
    bad_to("number", 15557770000),
    bad_to("array", ["+15557770000"]),
    bad_to("object", {"phone": "+15557770000"}),
    bad_to("another channel", "whatsapp:+15557770000"),
    Case("to: very long", {"to": "+1" + "5" * 500}, "TOO_LONG", ["config.to"]),
    Case("body: empty", {"body": ""}, "BODY_EMPTY", ["config.body_template"]),
    Case("body: missing", {"body": ...}, "BODY_EMPTY", ["config.body_template"]),
    Case("body: 1601", {"body": "x" * 1601}, "BODY_TOO_LONG", ["config.body_template", "1600"]),
    Case("body: 1601 owls", {"body": "\U0001f989" * 1601}, "BODY_TOO_LONG", ["config.body_template", "1600"]),
    Case("body: 100 000", {"body": "\u20ac" * 100_000}, "BODY_TOO_LONG", ["config.body_template", "1600"]),
    Case("body: of two", {"body": "x" * 900}, "BODY_TOO_LONG", ["1600"], {"body_template": "{{body}}{{body}}"}),
    bad_url("ftp", "ftp://media.example.com/owl.png"),
    bad_url("data", "data:image/png;base64,iVBORw0KGgo="),
    bad_url("javascript", "javascript:alert(1)"),
    bad_url("file", "file:///etc/passwd"),
    bad_url("no scheme", "media.example.com/owl.png"),
    bad_url("words", "an owl"),
    bad_url("empty", ""),
    bad_url("null", None),
    bad_url("object", {"url": "https://media.example.com/owl.png"}),
    bad_url("blank inside", "https://media.example.com/an owl.png"),
    bad_url("line feed", "https://media.example.com/owl.png\n"),
    bad_url("no host", "https:///owl.png"),
    bad_url("three slashes", "https:///media.example.com/owl.png"),
    bad_url("one slash", "https:/media.example.com/owl.png"),
    bad_url("no slash", "https:media.example.com"),
    bad_url("backslashes", "https:\\\\media.example.com/owl.png"),
    bad_url("port too large", "https://media.example.com:99999/owl.png"),
    bad_url("port not a number", "https://media.example.com:http/owl.png"),
    bad_url("empty label", "https://media..example.com/owl.png"),
    bad_url("loopback", "http://127.0.0.1/owl.png"),
    bad_url("loopback, short", "http://127.1/owl.png"),
    bad_url("loopback, one number", "http://2130706433/owl.png"),
    bad_url("loopback, hexadecimal", "http://0x7f.0.0.1/owl.png"),
    bad_url("loopback, octal", "http://0177.0.0.1/owl.png"),
    bad_url("loopback, v6", "http://[::1]/owl.png"),
    bad_url("loopback, v4 in v6", "http://[::ffff:127.0.0.1]/owl.png"),
    bad_url("loopback by name", "http://localhost/owl.png"),
    bad_url("loopback by name, dot", "http://localhost./owl.png"),
    bad_url("loopback by name, below", "http://a.localhost/owl.png"),
    bad_url("any address", "http://0.0.0.0/owl.png"),
    bad_url("private 10", "http://10.1.2.3/owl.png"),
    bad_url("private 172", "http://172.31.255.255/owl.png"),
    bad_url("private 192", "https://192.168.0.1:8443/owl.png"),
    bad_url("private v6", "http://[fd00::1]/owl.png"),
    bad_url("carrier", "http://100.64.0.1/owl.png"),
    bad_url("link-local", "http://169.254.169.254/latest/meta-data"),
    bad_url("link-local v6", "http://[fe80::1]/owl.png"),
    bad_url("multicast", "http://224.0.0.1/owl.png"),
    bad_url("no dot", "https://intranet/owl.png"),
    bad_url("no dot, dot behind", "https://intranet./owl.png"),
    bad_url("reserved name", "https://db.internal/owl.png"),
    bad_url("escaped name", "http://%6c%6f%63%61%6c%68%6f%73%74/owl.png"),
    bad_url("user", "https://me@media.example.com/owl.png"),
    bad_url("user and password", f"https://me:{TOKEN}@media.example.com/owl.png"),
    bad_url("2049 bytes in an array", ["https://media.example.com/" + "x" * 2023]),
    bad_url("an array's second", ["https://media.example.com/owl.png", "http://10.0.0.1/owl.png"]),
    Case("media: missing", {"media": ...}, "TOKEN_MISSING", ["config.media_urls[0]", "{{media}}"]),
    Case("media: second missing", {}, "TOKEN_MISSING", ["config.media_urls[1]", "{{x}}"], {"media_urls": ["{{media}}", "{{x}}"]}),
    Case("media: very long", {"media": "https://media.example.com/" + "x" * 5000}, "TOO_LONG", ["config.media_urls[0]", "2048"]),
    Case("media: none", {"media": []}, "MEDIA_URLS_COUNT", ["config.media_urls", "expected 1 to 10"]),
    Case("media: eleven", {"media": urls(11)}, "MEDIA_URLS_COUNT", ["config.media_urls", "expected 1 to 10"]),
    Case("media: ten and one", {"media": urls(10)}, "MEDIA_URLS_COUNT", ["1 to 10"], {"media_urls": ["{{media}}", urls(1)[0]]}),
    Case("media: array with a number", {"media": [7]}, "MEDIA_URL_INVALID", ["config.media_urls[0]", "not a string"]),
    Case("media: array with null", {"media": [None]}, "MEDIA_URL_INVALID", ["config.media_urls[0]", "not a string"]),
    Case("media: array in an array", {"media": [urls(1)]}, "MEDIA_URL_INVALID", ["config.media_urls[0]", "not a string"]),
    Case("media: array beside text", {"media": urls(2)}, "MEDIA_URL_INVALID", ["config.media_urls[0]"], {"media_urls": ["{{media}}?"]}),
    # Rendering is a single pass: a value's braces are text, and no number.
    Case("to: a token", {"to": "{{body}}", "body": "+15557770000"}, "TO_INVALID", ["config.to"]),
]

SENT = [
    Case("shortest number", {"to": "+12"}, sent={"to": "+12"}),
    Case("longest number", {"to": "+123456789012345"}, sent={"to": "+123456789012345"}),
    Case("1600 owls", {"body": "\U0001f989" * 1600}, sent={"body": "\U0001f989" * 1600}),
    Case("cut", {"body": "\u20ac" * 1601}, config={"body_overflow": "truncate"}, sent={"body": "\u20ac" * 1600}),
    Case("cut by far", {"body": "\U0001f989" * 50_000}, config={"body_overflow": "truncate"}, sent={"body": "\U0001f989" * 1600}),
    Case("missing in the body", {"body": ...}, config={"body_template": "[{{body}}]"}, sent={"body": "[]"}),
    Case("a token in a value", {"body": "{{to}}"}, sent={"body": "{{to}}"}),
    Case("ten URLs", {"media": urls(10)}, sent={"media_urls": urls(10)}),
    Case("ten URLs of two", {"media": urls(4)}, config={"media_urls": ["{{media}}", *urls(6)]}, sent={"media_urls": urls(4) + urls(6)}),
    Case("longest URL", {"media": "https://media.example.com/" + "x" * 2022}),
    Case("public address", {"media": "http://8.8.8.8:8080/owl.png"}, sent={"media_urls": ["http://8.8.8.8:8080/owl.png"]}),
]


def result_validator():
    """Of schemas/result.schema.json, as long as there is one."""
    path = ROOT / "schemas" / "result.schema.json"
    schema = json.loads(path.read_text()) if path.exists() else {}
    return jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())


def check_failed(case, deliveries, attempts, results):
    """One attempt that failed without a request, one result that says so."""
    delivery = deliveries[case.name]
    assert delivery["event"] == case.event(), "the event is not kept as it came"
    assert (delivery["state"], delivery["attempts"]) == ("failed", 1), delivery["state"]
    assert delivery["finished_at"]
    mine = attempts.get(case.name, [])
    assert len(mine) == 1, f"{len(mine)} attempts"
    attempt = mine[0]
    assert (attempt["outcome"], attempt["reason"], attempt["final"]) == ("failed", case.reason, True), attempt["reason"]
    assert all(word in attempt["error_message"] for word in case.words), attempt["error_message"]
    assert TOKEN not in attempt["error_message"]
    nothing = ("http_status", "request", "response_body", "message_sid", "message_status", "error_code", "started_at")
    assert all(attempt[name] is None for name in nothing), {name: attempt[name] for name in nothing}
    assert attempt["next_attempt_at"] is None
    said = results.get(case.name, [])
    assert len(said) == 1, f"{len(said)} results"
    result = said[0]
    assert result["result_id"] == str(attempt["result_id"])
    expected = ("attempt", "failed", True, case.reason, attempt["error_message"], 1)
    seen = tuple(result[name] for name in ("kind", "outcome", "final", "reason", "error_message", "attempt"))
    assert seen == expected, seen
    assert result["http_status"] is None and result["next_attempt_at"] is None


def grouped(rows):
    found = {}
    for row in rows:
        found.setdefault(row["event_id"], []).append(row)
    return found


def ended(system):
    """How many events have come to their end."""
    return sum(system.states().values()) + system.value("select count(*) from mms.rejected_events")


def test_every_failure_to_render_has_its_reason(system):
    """A destination for each case, all at once; those just within the rules are sent as they should be."""
    cases = FAILED + SENT
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        system.destination(case.name, **{**TEMPLATES, **case.config})
    system.kafka.produce_many(system.events_topic, [case.event() for case in cases])
    system.worker()
    until(lambda: not {*system.states()} - {"failed", "accepted"} and ended(system) == len(cases), 30, "every end")
    assert system.query("select event_id, reason, detail from mms.rejected_events") == []
    found = grouped(system.results(len(cases)))
    deliveries = {row["event_id"]: row for row in system.query("select d.*, d.event::text as event from mms.deliveries d")}
    attempts = grouped(system.attempts())
    wrong = []
    for case in FAILED:
        try:
            check_failed(case, deliveries, attempts, found)
        except AssertionError as error:
            wrong.append(f"{case.name}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join([f"{len(wrong)} cases are wrong:", *wrong])
    for results in found.values():
        result_validator().validate(results[0])

    # Sent: the good ones alone, each as its case says.
    posts = {attempts[case.name][0]["message_sid"]: case for case in SENT}
    assert {post["sid"] for post in system.sim.posts()} == posts.keys()
    for sid, case in posts.items():
        request = attempts[case.name][0]["request"]
        message = next(message for message in system.sim.messages() if message["sid"] == sid)
        media = request["parameters"]["MediaUrl"]
        seen = {"to": message["to"], "body": message["body"], "media_urls": media}
        assert {name: seen[name] for name in case.sent} == case.sent, case.name
