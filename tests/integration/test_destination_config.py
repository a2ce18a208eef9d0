"""A destination that is wrong, disabled or gone holds its events: nothing is spent, and they flow once the row is mended."""

import json
from dataclasses import dataclass

import jsonschema

from harness import ROOT
from harness.system import ACCOUNT, TOKEN, config
from harness.wait import until, until_equal

SECRET = "a-very-secret-api-key-secret"
API_KEY = "SK" + "0123456789abcdef" * 2


@dataclass
class Wrong:
    """A config (changes to a good one; None removes) and what the reason has to say: the field, the fault, the expected."""

    name: str
    field: str
    words: str
    changes: dict


def auth(**changes):
    whole = {"account_sid": ACCOUNT, "auth_token": TOKEN, **changes}
    return {"auth": {name: value for name, value in whole.items() if value is not None}}


E164_SENDER = "expected an E.164 number, a short code or an alphanumeric sender ID"
MEDIA = "expected an array of 1 to 10 templates"

WRONG = [
    Wrong("from: missing", "from", E164_SENDER, {"from": None}),
    Wrong("from: number", "from", E164_SENDER, {"from": 15550001111}),
    Wrong("from: empty", "from", E164_SENDER, {"from": ""}),
    Wrong("from: without +", "from", E164_SENDER, {"from": "15550001111"}),
    Wrong("from: leading zero", "from", E164_SENDER, {"from": "+05550001111"}),
    Wrong("from: blanks", "from", E164_SENDER, {"from": "+1 555 000 1111"}),
    Wrong("from: 12 letters", "from", E164_SENDER, {"from": "ABCDEFGHIJKL"}),
    Wrong("from: a template", "from", E164_SENDER, {"from": "{{sender}}"}),
    Wrong("service: number", "messaging_service_sid", "expected MG and 32", {"messaging_service_sid": 7}),
    Wrong("service: short", "messaging_service_sid", "expected MG and 32", {"messaging_service_sid": "MG12"}),
    Wrong("service: prefix", "messaging_service_sid", "expected MG and 32", {"messaging_service_sid": "AC" + "0" * 32}),
    Wrong("service: signs", "messaging_service_sid", "expected MG and 32", {"messaging_service_sid": "MG" + "-" * 32}),
    Wrong("to: missing", "to", "expected a template that renders to an E.164 number", {"to": None}),
    Wrong("to: array", "to", "expected a template that renders to an E.164 number", {"to": ["+15557770000"]}),
    Wrong("to: empty", "to", "expected a template that renders to an E.164 number", {"to": ""}),
    Wrong("to: open braces", "to", "expected a template that renders to an E.164 number", {"to": "{{phone"}),
    Wrong("to: empty token", "to", "expected a template that renders to an E.164 number", {"to": "{{ }}"}),
    Wrong("body: missing", "body_template", "expected a template for the text", {"body_template": None}),
    Wrong("body: object", "body_template", "expected a template for the text", {"body_template": {}}),
    Wrong("body: empty", "body_template", "expected a template for the text", {"body_template": ""}),
    Wrong("body: open braces", "body_template", "expected a template for the text", {"body_template": "hello {{name"}),
    Wrong("body: empty step", "body_template", "expected a template for the text", {"body_template": "{{payload..x}}"}),
    Wrong("body: blank in a path", "body_template", "expected a template for the text", {"body_template": "{{a b}}"}),
    Wrong("overflow: word", "body_overflow", 'expected "fail" or "truncate"', {"body_overflow": "split"}),
    Wrong("overflow: bool", "body_overflow", 'expected "fail" or "truncate"', {"body_overflow": True}),
    Wrong("media: missing", "media_urls", MEDIA, {"media_urls": None}),
    Wrong("media: string", "media_urls", MEDIA, {"media_urls": "https://media.example.com/owl.png"}),
    Wrong("media: none", "media_urls", MEDIA, {"media_urls": []}),
    Wrong("media: eleven", "media_urls", MEDIA, {"media_urls": ["https://media.example.com/owl.png"] * 11}),
    Wrong("media: number", "media_urls[1]", "expected a template of a media URL", {"media_urls": ["{{media_url}}", 7]}),
    Wrong("media: null", "media_urls[0]", "expected a template of a media URL", {"media_urls": [None]}),
    Wrong("media: empty", "media_urls[0]", "expected a template of a media URL", {"media_urls": [""]}),
    Wrong("media: open braces", "media_urls[0]", "expected a template of a media URL", {"media_urls": ["https://{{host"]}),
    Wrong("auth_type: other", "auth_type", "expected TWILIO_AUTH_TOKEN", {"auth_type": "BASIC"}),
    Wrong("auth_type: number", "auth_type", "expected TWILIO_AUTH_TOKEN", {"auth_type": 1}),
    Wrong("auth: missing", "auth", "expected account_sid and auth_token", {"auth": None}),
    Wrong("auth: the token itself", "auth", "expected account_sid and auth_token", {"auth": TOKEN}),
    Wrong("auth: array", "auth", "expected account_sid and auth_token", {"auth": [ACCOUNT, TOKEN]}),
    Wrong("account: missing", "auth.account_sid", "expected AC and 32", auth(account_sid=None)),
    Wrong("account: number", "auth.account_sid", "expected AC and 32", auth(account_sid=7)),
    Wrong("account: short", "auth.account_sid", "expected AC and 32", auth(account_sid=ACCOUNT[:-1])),
    Wrong("account: prefix", "auth.account_sid", "expected AC and 32", auth(account_sid="SK" + ACCOUNT[2:])),
    Wrong("account: the token", "auth.account_sid", "expected AC and 32", auth(account_sid=TOKEN)),
    Wrong("account: a path", "auth.account_sid", "expected AC and 32", auth(account_sid="AC/../" + "0" * 28)),
    Wrong("token: missing", "auth.auth_token", "expected Twilio's auth token", auth(auth_token=None)),
    Wrong("token: number", "auth.auth_token", "expected Twilio's auth token", auth(auth_token=7)),
    Wrong("token: empty", "auth.auth_token", "expected Twilio's auth token", auth(auth_token="")),
    Wrong("token: blank", "auth.auth_token", "expected Twilio's auth token", auth(auth_token=TOKEN + " ")),
    Wrong("token: line feed", "auth.auth_token", "expected Twilio's auth token", auth(auth_token=TOKEN + "\n")),
    Wrong("token: a small name", "auth.auth_token", "expected env: and the name", auth(auth_token="env:" + "a" * 32)),
    Wrong("token: the worker's own", "auth.auth_token", "expected env: and the name", auth(auth_token="env:MMS_DATABASE_URL")),
    Wrong("token: relative path", "auth.auth_token", "expected file: and an absolute path", auth(auth_token="file:token")),
    Wrong("token: path with ..", "auth.auth_token", "expected file: and an absolute path", auth(auth_token="file:/run/secrets/../x")),
    Wrong("token: sealed nothing", "auth.auth_token", "expected what 'mms-worker secret seal' prints", auth(auth_token="sealed:v1:x")),
    Wrong("token: too long", "auth.auth_token", "expected Twilio's auth token", auth(auth_token=TOKEN * 20)),
    Wrong("key: without secret", "auth.api_key_secret", "together with api_key_sid", auth(api_key_sid=API_KEY)),
    Wrong("key: secret alone", "auth.api_key_sid", "expected SK and 32", auth(api_key_secret=SECRET)),
    Wrong("key: prefix", "auth.api_key_sid", "expected SK and 32", auth(api_key_sid=ACCOUNT, api_key_secret=SECRET)),
    Wrong("key: number", "auth.api_key_sid", "expected SK and 32", auth(api_key_sid=7, api_key_secret=SECRET)),
    Wrong("key: blank secret", "auth.api_key_secret", "expected the API key's secret", auth(api_key_sid=API_KEY, api_key_secret=" ")),
    Wrong("rate: two", "rate_limit", "expected 1", {"rate_limit": 2}),
    Wrong("rate: half", "rate_limit", "expected 1", {"rate_limit": 0.5}),
    Wrong("rate: none", "rate_limit", "expected 1", {"rate_limit": 0}),
    Wrong("rate: string", "rate_limit", "expected 1", {"rate_limit": "1"}),
    Wrong("rate: true", "rate_limit", "expected 1", {"rate_limit": True}),
    Wrong("period: minute", "rate_limit_period", 'expected "second"', {"rate_limit_period": "minute"}),
    Wrong("period: number", "rate_limit_period", 'expected "second"', {"rate_limit_period": 1}),
    # Options: what is no valid value must not be left out silently.
    Wrong("status_callback: word", "status_callback", "expected an http(s) URL", {"status_callback": "soon"}),
    Wrong("status_callback: underscore", "status_callback", "underscore", {"status_callback": "http://my_host.example.com/status"}),
    Wrong("status_callback: password", "status_callback", "expected an http(s) URL", {"status_callback": f"https://u:{TOKEN}@example.com/"}),
    Wrong("application_sid: short", "application_sid", "expected AP and 32", {"application_sid": "AP1"}),
    Wrong("max_price: word", "max_price", "expected a number", {"max_price": "cheap"}),
    Wrong("max_price: negative", "max_price", "expected a number", {"max_price": -1}),
    Wrong("provide_feedback: word", "provide_feedback", "expected true or false", {"provide_feedback": "perhaps"}),
    Wrong("validity_period: zero", "validity_period", "expected a whole number of seconds from 1 to 36000", {"validity_period": 0}),
    Wrong("validity_period: a day and more", "validity_period", "from 1 to 36000", {"validity_period": 86401}),
    Wrong("validity_period: string", "validity_period", "from 1 to 36000", {"validity_period": "60"}),
    Wrong("smart_encoded: number", "smart_encoded", "expected true or false", {"smart_encoded": 7}),
    Wrong("shorten_urls: word", "shorten_urls", "expected true or false", {"shorten_urls": "perhaps"}),
    Wrong("shorten_urls: no service", "shorten_urls", "expected messaging_service_sid", {"shorten_urls": True}),
    Wrong("content_retention: word", "content_retention", 'expected "retain" or "discard"', {"content_retention": "keep"}),
    Wrong("address_retention: word", "address_retention", 'expected "retain" or "obfuscate"', {"address_retention": "keep"}),
    Wrong("send_as_mms: word", "send_as_mms", "expected true or false", {"send_as_mms": "perhaps"}),
    Wrong("risk_check: word", "risk_check", 'expected "enable" or "disable"', {"risk_check": "perhaps"}),
    Wrong("sms_fallback: word", "sms_fallback", "expected true or false", {"sms_fallback": "perhaps"}),
    Wrong("a misspelt field", "body_tempalte", "no such field", {"body_tempalte": "{{message}}"}),
    Wrong("the token in the wrong place", "auth_token", "no such field", {"auth_token": TOKEN}),
]


def rewrite(system, destination_id, **changes):
    """Mends (or breaks) a row as an operator would, by SQL."""
    system.query("update mms.destinations set config = %s where id = %s", json.dumps(config(**changes)), destination_id)


def health(system):
    """{destination_id: row of mms.destination_health}"""
    return {row["destination_id"]: row for row in system.query("select * from mms.destination_health")}


def deliveries(system):
    return {row["event_id"]: row for row in system.query("select * from mms.deliveries")}


def wait_attempts(system, count, timeout=20):
    until_equal(lambda: system.value("select count(*) from mms.attempts"), count, timeout, "the number of attempts")


def check_no_secret(system):
    """No secret in the evidence, the results, the dead letters or the logs."""
    # The destinations' own table is where they belong.
    tables = ("mms.deliveries", "mms.attempts", "mms.pacing", "mms.rejected_events", "mms.destination_health")
    places = {table: system.query(f"select t::text from {table} t") for table in tables}
    places["results"] = system.results()
    places["dead letters"] = system.dead_letters()
    places["logs"] = [worker.log_text() for worker in system.workers]
    found = [name for name, content in places.items() if TOKEN in str(content) or SECRET in str(content)]
    assert not found, f"a secret in {found}"


def result_validator():
    """Of schemas/result.schema.json, as long as there is one."""
    path = ROOT / "schemas" / "result.schema.json"
    schema = json.loads(path.read_text()) if path.exists() else {}
    return jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())


def check_held(case, delivery, attempts, results, condition):
    """It is pending, one attempt and one result say why, and the destination is parked."""
    assert (delivery["state"], delivery["attempts"], delivery["budget_spent"]) == ("pending", 1, 0), delivery
    assert len(attempts) == 1, f"{len(attempts)} attempts"
    attempt = attempts[0]
    assert (attempt["outcome"], attempt["reason"], attempt["final"]) == ("retry", "CONFIG_INVALID", False), attempt["reason"]
    message = attempt["error_message"]
    assert message.startswith(f"config.{case.field}: "), message
    assert case.words in message, message
    assert attempt["http_status"] is None and attempt["request"] is None and attempt["started_at"] is None
    assert attempt["next_attempt_at"] > attempt["finished_at"]
    assert len(results) == 1, f"{len(results)} results"
    said = {name: results[0][name] for name in ("kind", "outcome", "final", "reason", "error_message", "http_status")}
    assert said == {
        "kind": "attempt",
        "outcome": "retry",
        "final": False,
        "reason": "CONFIG_INVALID",
        "error_message": message,
        "http_status": None,
    }, said
    assert results[0]["next_attempt_at"]
    assert (condition["condition"], condition["parked_reason"]) == ("parked", "CONFIG_INVALID"), condition
    assert (condition["pending"], condition["last_error_message"]) == (1, message), condition


def grouped(rows):
    found = {}
    for row in rows:
        found.setdefault(row["destination_id"], []).append(row)
    return found


def test_every_wrong_config_holds_its_events(system):
    """All rules broken at once, each at a destination of its own beside a good one; then all rows are mended."""
    assert len({case.name for case in WRONG}) == len(WRONG)
    for case in WRONG:
        system.destination(case.name, **case.changes)
    system.destination("good", to="+15557770001")
    system.kafka.produce_many(system.events_topic, [json.dumps(system.event(case.name, case.name)) for case in WRONG])
    system.produce(*[system.event(f"good{i}", "good") for i in range(3)])
    system.worker()
    until(lambda: sum(system.states().values()) == len(WRONG) + 3 and system.states().get("accepted", 0) >= 3, 30, "intake")
    wait_attempts(system, len(WRONG) + 3)
    results = grouped(system.results(len(WRONG) + 3))
    held, attempts, conditions = deliveries(system), grouped(system.attempts()), health(system)
    wrong = []
    for case in WRONG:
        try:
            check_held(case, held[case.name], attempts.get(case.name, []), results.get(case.name, []), conditions[case.name])
        except AssertionError as error:
            wrong.append(f"{case.name}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join([f"{len(wrong)} cases are wrong:", *wrong])
    for said in results.values():
        result_validator().validate(said[0])
    assert conditions["good"]["condition"] == "active"
    assert sorted(post["body"] for post in system.sim.posts()) == [f"good{i}: hello" for i in range(3)]
    check_no_secret(system)

    # Mended: sent at once, by the next attempt, which is the first that counts.
    system.query("update mms.destinations set config = %s where id <> 'good'", json.dumps(config()))
    system.wait_states(accepted=len(WRONG) + 3, timeout=6)
    mended = deliveries(system)
    assert all((mended[case.name]["attempts"], mended[case.name]["budget_spent"]) == (2, 1) for case in WRONG)
    assert len(system.sim.posts()) == len(WRONG) + 3
    parked = [row for row in health(system).values() if row["condition"] != "active" or row["parked_reason"] or row["trouble"]]
    assert not parked


def test_mending_is_noticed_however_long_it_was_parked(system):
    """Parked for minutes after much trouble: the mended row sends within seconds, and in the order of arrival."""
    system.destination("d", to="+15557770001", rate_limit=5)
    # As if it had been in trouble a dozen times in a row.
    system.query("update mms.pacing set trouble = 12 where destination_id = 'd'")
    system.worker().wait_ready()
    system.produce(system.event("e0", "d"))
    wait_attempts(system, 1)
    system.produce(system.event("e1", "d"))
    until(lambda: health(system)["d"]["pending"] == 2, 10, "intake")
    row = health(system)["d"]
    assert (row["condition"], row["trouble"]) == ("parked", 13)
    assert system.value("select parked_until > clock_timestamp() + interval '4 minutes' from mms.pacing")
    # Still wrong, in another way: said at once, not after the pause.
    rewrite(system, "d", to="+15557770001", rate_limit_period="hour")
    wait_attempts(system, 2, timeout=5)
    assert "config.rate_limit_period" in system.attempts("e0")[-1]["error_message"]
    rewrite(system, "d", to="+15557770001")
    system.wait_states(accepted=2, timeout=8)
    assert [post["body"] for post in system.sim.posts()] == ["e0: hello", "e1: hello"]
    assert [row["attempts"] for _, row in sorted(deliveries(system).items())] == [3, 1]
    gaps = system.sim.gaps()["+15557770001"]
    assert gaps["early"] == 0, gaps


def test_config_that_is_no_object(system):
    """jsonb takes anything; the worker says that it wants an object."""
    values = {"array": [], "string": TOKEN, "number": 1, "null": None, "empty": {}}
    for name, value in values.items():
        system.query("insert into mms.destinations (id, config) values (%s, %s)", name, json.dumps(value))
        system.produce(system.event(name, name))
    system.worker()
    wait_attempts(system, len(values))
    for attempt in system.attempts():
        assert (attempt["outcome"], attempt["reason"]) == ("retry", "CONFIG_INVALID")
        assert attempt["error_message"].startswith("config")
        assert "expected" in attempt["error_message"]
    assert system.states() == {"pending": len(values)}
    check_no_secret(system)
    assert not system.sim.posts()


def test_a_disabled_destination_holds_its_events(system):
    """They wait without an attempt, visible and countable, also over a restart, and flow when it is enabled."""
    system.destination("off", to="+15557770001")
    system.destination("on", to="+15557770002")
    system.query("update mms.destinations set disabled_at = now() where id = 'off'")
    worker = system.worker().wait_ready()
    system.produce(*[system.event(f"off{i}", "off") for i in range(2)], system.event("on0", "on"), partition=4)
    until(lambda: system.states() == {"pending": 2, "accepted": 1}, 20, "the enabled destination's event to be sent")
    # A worker that starts, and one event more, change nothing about it.
    assert worker.stop() == 0
    system.worker().wait_ready()
    system.produce(system.event("off2", "off"), system.event("on1", "on"), partition=4)
    until(lambda: system.states() == {"pending": 3, "accepted": 2}, 20, "the next one")
    row = health(system)["off"]
    assert (row["condition"], row["pending"], row["last_outcome"]) == ("disabled", 3, None)
    assert row["oldest_pending_at"]
    assert not [attempt for attempt in system.attempts() if attempt["destination_id"] == "off"]
    assert not system.sim.posts(to="+15557770001")
    assert all(delivery["attempts"] == 0 for name, delivery in deliveries(system).items() if name.startswith("off"))

    system.query("update mms.destinations set disabled_at = null where id = 'off'")
    system.wait_states(accepted=5, timeout=10)
    assert [post["body"] for post in system.sim.posts(to="+15557770001")] == [f"off{i}: hello" for i in range(3)]
    assert system.sim.gaps()["+15557770001"]["early"] == 0
    assert health(system)["off"]["condition"] == "active"


def test_disabling_or_deleting_stops_a_backlog(system):
    """What is under way is finished, the rest waits from this moment on; the worker goes on with others."""
    numbers = {"disabled": "+15557770001", "deleted": "+15557770002", "clock": "+15557770003"}
    for name, number in numbers.items():
        system.destination(name, to=number)
    worker = system.worker().wait_ready()
    names = ("disabled", "deleted")
    system.produce(*[system.event(f"{name}{i}", name) for i in range(5) for name in names])
    until(lambda: sum(system.states().values()) == 10, 20, "intake of all: an event for a deleted destination is rejected")
    until(lambda: all(len(system.sim.posts(to=numbers[name])) >= 1 for name in names), 20, "a send of each")
    system.query("update mms.destinations set disabled_at = now() where id = 'disabled'")
    system.query("delete from mms.destinations where id = 'deleted'")
    sent = {name: len(system.sim.posts(to=numbers[name])) for name in names}
    # Three slots of another destination go by.
    system.produce(*[system.event(f"clock{i}", "clock") for i in range(3)])
    until(lambda: len(system.sim.posts(to=numbers["clock"])) == 3, 20, "the other destination's sends")
    now = {name: len(system.sim.posts(to=numbers[name])) for name in names}
    assert all(now[name] <= sent[name] + 1 for name in names), (sent, now)
    found = health(system)
    assert (found["disabled"]["condition"], found["disabled"]["pending"]) == ("disabled", 5 - now["disabled"])
    assert (found["deleted"]["condition"], found["deleted"]["pending"]) == ("missing", 5 - now["deleted"])
    assert worker.alive
    system.query("update mms.destinations set disabled_at = null where id = 'disabled'")
    system.destination("deleted", to=numbers["deleted"])
    system.wait_states(accepted=13, timeout=15)
    assert all(gap["early"] == 0 for gap in system.sim.gaps().values()), system.sim.gaps()


def test_wrong_credentials_are_mended(system):
    """Twilio refuses the token: parked, nothing spent, no secret shown; the right token in the row sends the event."""
    account = "AC" + "f" * 32
    right = "the-right-and-secret-token"
    system.sim.set_token(account, right)
    wrong = {"auth": {"account_sid": account, "auth_token": TOKEN}}
    system.destination("d", to="+15557770001", **wrong)
    system.destination("other", to="+15557770002")
    system.worker().wait_ready()
    system.produce(*[system.event(f"e{i}", "d") for i in range(2)], system.event("other", "other"))
    until(lambda: system.attempts("e0") and system.attempts("other"), 20, "an attempt of each")
    row = health(system)["d"]
    assert (row["condition"], row["parked_reason"], row["pending"]) == ("parked", "AUTHENTICATION_FAILED", 2)
    attempt = system.attempts("e0")[0]
    assert (attempt["outcome"], attempt["final"], attempt["http_status"], attempt["error_code"]) == ("retry", False, 401, 20003)
    assert attempt["request"]["parameters"]["To"] == "+15557770001"
    assert deliveries(system)["e0"]["budget_spent"] == 0
    # Another wrong one is tried at once; then the row is right.
    rewrite(system, "d", to="+15557770001", auth={"account_sid": account, "auth_token": SECRET})
    wait_attempts(system, 3, timeout=5)
    rewrite(system, "d", to="+15557770001", auth={"account_sid": account, "auth_token": right})
    system.wait_states(accepted=3, timeout=8)
    # The two refusals are all that the wrong tokens have cost.
    posts = system.sim.posts(to="+15557770001")
    assert [post["status"] for post in posts] == [401, 401, 201, 201]
    assert [post["body"] for post in posts] == ["e0: hello"] * 3 + ["e1: hello"]
    assert all(delivery["budget_spent"] == 1 for delivery in deliveries(system).values())
    row = health(system)["d"]
    assert (row["condition"], row["parked_reason"], row["trouble"]) == ("active", None, 0)
    check_no_secret(system)
    assert right not in str(system.attempts()) + str(system.results()) + system.workers[0].log_text()


def test_a_deleted_destination_holds_its_events(system):
    """Events taken in before it was deleted wait for it; later ones are rejected; all flow or not by the row alone."""
    system.destination("d", to="+15557770001")
    system.query("update mms.destinations set disabled_at = now()")
    worker = system.worker().wait_ready()
    system.produce(system.event("e0", "d"), system.event("e1", "d"))
    system.wait_states(pending=2, timeout=20)
    system.query("delete from mms.destinations")
    system.produce(system.event("e2", "d"))
    until_equal(lambda: worker.metric("mms_events_rejected_total"), 1, 10, "the rejection of the later event")
    assert system.query("select event_id, reason from mms.rejected_events") == [{"event_id": "e2", "reason": "DESTINATION_UNKNOWN"}]
    row = health(system)["d"]
    assert (row["condition"], row["pending"], row["name"]) == ("missing", 2, None)
    assert system.states() == {"pending": 2} and not system.attempts()
    system.destination("d", to="+15557770009")
    system.wait_states(accepted=2, timeout=8)
    assert [post["body"] for post in system.sim.posts(to="+15557770009")] == ["e0: hello", "e1: hello"]


def test_mending_while_a_send_is_under_way(system):
    """The refusal of the old token comes after the row was mended: it must not park what is right by now."""
    account, right = "AC" + "e" * 32, "the-right-and-secret-token"
    system.sim.set_token(account, right)
    system.sim.latency(1500)
    system.destination("d", to="+15557770001", auth={"account_sid": account, "auth_token": TOKEN})
    system.query("update mms.pacing set trouble = 12 where destination_id = 'd'")
    system.worker().wait_ready()
    system.produce(system.event("e", "d"))
    until(lambda: system.sim.requests(), 20, "the send with the old token")
    rewrite(system, "d", to="+15557770001", auth={"account_sid": account, "auth_token": right})
    assert not system.attempts(), "the refusal came too early for this test"
    system.wait_states(accepted=1, timeout=10)
    assert [post["status"] for post in system.sim.posts()] == [401, 201]


def test_another_type_after_intake(system):
    """The type changes while an event waits: it is held with the reason, and flows when the type is back."""
    system.destination("d", to="+15557770001")
    system.query("update mms.destinations set disabled_at = now()")
    system.worker().wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(pending=1, timeout=20)
    system.query("update mms.destinations set type = 'WEBHOOK', disabled_at = null")
    wait_attempts(system, 1)
    attempt = system.attempts("e")[0]
    assert (attempt["outcome"], attempt["reason"]) == ("retry", "CONFIG_INVALID")
    assert "WEBHOOK" in attempt["error_message"] and "expected TWILIO_MMS" in attempt["error_message"]
    assert health(system)["d"]["condition"] == "parked"
    assert deliveries(system)["e"]["budget_spent"] == 0 and not system.sim.posts()
    system.query("update mms.destinations set type = 'TWILIO_MMS'")
    system.wait_states(accepted=1, timeout=6)
