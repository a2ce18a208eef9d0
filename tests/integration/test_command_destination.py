"""`mms-worker destination …`: rows are written, judged, shown without secrets and tried out, beside a running worker."""

import json
import threading
import time

import jsonschema
import pytest
from test_destination_config import SECRET, WRONG, API_KEY, health, wait_attempts

from harness import ROOT
from harness.system import ACCOUNT, OWL, TOKEN, config
from harness.wait import until

pytestmark = pytest.mark.timeout(120)

MASK = "***"
OTHER = "another-very-secret-auth-token"
DESCRIPTION = json.loads((ROOT / "schemas" / "destination.schema.json").read_text())


@pytest.fixture
def run(system):
    """Runs `destination …`; whatever it says has no secret, no control character, and complaints are one line."""

    def call(*words, **more):
        done = system.command("destination", *words, **more)
        said = done.out + done.err
        for secret in (TOKEN, SECRET, OTHER):
            assert secret not in said, (words, said)
        assert all(c == "\n" or c.isprintable() for c in said), ascii(said)
        if done.status:
            assert done.err.count("\n") == 1 and done.err.startswith("mms-worker destination"), done.err
        return done

    return call


def good(id="d", **changes):
    """An object for `put`. A field that is None is left out."""
    whole = {"id": id, "name": "Ops", "type": "TWILIO_MMS", "config": config(to="+15557770001"), **changes}
    return {name: value for name, value in whole.items() if value is not None}


def put(run, object, **more):
    return run("put", "-", stdin=json.dumps(object), **more)


def row(system, id="d"):
    rows = system.query("select * from mms.destinations where id = %s", id)
    return rows[0] if rows else None


def failed(done, *words, status=1):
    """It failed with one line that has these words; nothing on stdout."""
    assert (done.status, done.out) == (status, ""), done
    assert all(word in done.err for word in words), done.err


# ---- put, patch, and a running worker ----


def test_put_then_patch_then_send(system, run):
    """A running worker sends by what was put, then by what replaced it, then by what was patched."""
    assert put(run, good()).out == "created d\n"
    system.worker().wait_ready()
    system.produce(system.event("e1", "d"))
    system.wait_states(accepted=1)
    done = put(run, good(name=None, config=config(to="+15557770002", body_template="second {{event_id}}")))
    assert (done.status, done.out, done.err) == (0, "replaced d: name, config.to, config.body_template\n", "")
    assert row(system)["name"] is None
    system.produce(system.event("e2", "d"))
    system.wait_states(accepted=2)
    patch = {"name": "Patched", "config": {"to": "+15557770003", "rate_limit": None}}
    done = run("patch", "d", json.dumps(patch))
    assert (done.status, done.out, done.err) == (0, "patched d: name, config.to, config.rate_limit\n", "")
    assert row(system)["config"] == config(to="+15557770003", body_template="second {{event_id}}", rate_limit=None)
    system.produce(system.event("e3", "d"))
    system.wait_states(accepted=3)
    posts = [(post["to"], post["body"]) for post in system.sim.posts()]
    assert posts == [("+15557770001", "e1: hello"), ("+15557770002", "second e2"), ("+15557770003", "second e3")]
    log = system.workers[0].log_text()
    assert TOKEN not in log and OTHER not in log


def test_mended_by_patch_ends_parking(system, run):
    """A new token, which a command line must not have, goes in by stdin; what waits is sent at once."""
    account = "AC" + "f" * 32
    system.sim.set_token(account, OTHER)
    put(run, good(config=config(auth={"account_sid": account, "auth_token": TOKEN})))
    system.worker().wait_ready()
    system.produce(system.event("e", "d"))
    wait_attempts(system, 1)
    shown = run("show", "d").out
    assert "AUTHENTICATION_FAILED" in shown and "parked since" in shown and "next probe" in shown and "advice" in shown
    # What changes nothing leaves the parking as it is.
    assert run("patch", "d", '{"config": {"rate_limit": 1}}').out == "unchanged d\n"
    assert health(system)["d"]["condition"] == "parked"
    patch = json.dumps({"config": {"auth": {"auth_token": OTHER}}})
    failed(run("patch", "d", patch), "expected '-'", status=2)
    assert health(system)["d"]["condition"] == "parked"
    assert run("patch", "d", "-", stdin=patch).out == "patched d: config.auth.auth_token\n"
    system.wait_states(accepted=1, timeout=10)
    assert OTHER not in system.workers[0].log_text()


@pytest.mark.parametrize("auth", [{"api_key_secret": SECRET}, {"auth_token": SECRET}, SECRET, [{"auth_token": SECRET}]], ids=str)
def test_a_secret_on_the_command_line_is_refused(system, run, auth):
    """Wherever it stands in the patch; masked ones and removals are no secrets."""
    put(run, good())
    failed(run("patch", "d", json.dumps({"config": {"auth": auth}})), "command line", "'-'", status=2)
    failed(run("patch", "d", '{"config": {"status_callback": "https://u:%s@example.com/"}}' % SECRET), "'-'", status=2)
    assert row(system)["config"] == good()["config"]
    assert run("patch", "d", '{"config": {"auth": {"auth_token": "***", "api_key_secret": null}}}').out == "unchanged d\n"


def test_round_trip_keeps_secrets(system, run, tmp_path):
    """show --json, edit, put: the masked secrets are those of the row; the config is as the schema has it."""
    auth = {"account_sid": ACCOUNT, "auth_token": TOKEN, "api_key_sid": API_KEY, "api_key_secret": SECRET}
    whole = config(auth=auth, max_price=0.05, validity_period=100, status_callback=None)
    whole["messaging_service_sid"] = None
    put(run, good(config=whole, disabled_at="2026-01-31T12:00:00.123456+02:00"))
    shown = run("show", "d", "--json")
    object = json.loads(shown.out)
    assert list(object) == ["id", "name", "type", "config", "disabled_at", "created_at", "updated_at"]
    assert object["config"]["auth"] == {**auth, "auth_token": MASK, "api_key_secret": MASK}
    assert {**object["config"], "auth": auth} == whole and '"max_price": 0.05,' in shown.out
    assert object["disabled_at"] == "2026-01-31T10:00:00.123456+00:00"
    jsonschema.validate(object["config"], DESCRIPTION)
    file = tmp_path / "d.json"
    file.write_text(shown.out)
    before = row(system)
    assert run("put", file).out == "unchanged d\n"
    assert row(system) == before, "unchanged means not written"
    object["name"] = "Edited"
    file.write_text(json.dumps(object))
    done = run("put", file)
    assert done.out == "replaced d: name\n" and "max_price: obsolete" in done.err and "warning" in done.err
    assert (row(system)["config"], row(system)["name"]) == (whole, "Edited")
    assert row(system)["updated_at"] > before["updated_at"] and row(system)["created_at"] == before["created_at"]


def test_a_masked_secret_that_the_row_does_not_have(system, run):
    """Named with its field; in a new row as in one that has no such secret. Three stars are a text all the same."""
    masked = config(auth={"account_sid": ACCOUNT, "auth_token": MASK})
    failed(put(run, good(config=masked)), "stdin: config.auth.auth_token:", "expected the value itself")
    assert row(system) is None
    put(run, good())
    failed(run("patch", "d", '{"config": {"auth": {"api_key_secret": "***"}}}'), "patch: config.auth.api_key_secret:")
    failed(run("patch", "d", '{"config": {"media_urls": ["***"]}}'), "patch: config.media_urls[0]:")
    assert row(system)["config"] == good()["config"]
    assert run("patch", "d", '{"config": {"body_template": "***"}}').out == "patched d: config.body_template\n"
    assert put(run, good(config=masked)).out == "replaced d: config.to, config.body_template\n"
    assert row(system)["config"]["auth"]["auth_token"] == TOKEN


def test_every_rule_of_the_config_is_judged_before_writing(system, run):
    """Each of the rules that the worker has: the same words, the field's name, and nothing written."""
    put(run, good())
    before = row(system)
    for number, case in enumerate(WRONG):
        changed = {**before["config"], **case.changes}
        object = good(config={name: value for name, value in changed.items() if value is not None})
        failed(put(run, object), f"stdin: config.{case.field}: ", case.words)
        if number % 6 == 0:
            failed(put(run, {**object, "id": "new"}), f"config.{case.field}: ", case.words)
            failed(run("patch", "d", "-", stdin=json.dumps({"config": case.changes})), f"patch: config.{case.field}: ", case.words)
    assert system.query("select * from mms.destinations") == [before]


BROKEN = [
    ("", "stdin: not JSON"),
    ("{", "stdin: not JSON"),
    ("[]", "not an object"),
    ("null", "not an object"),
    ('{"id": "a", "id": "b"}', "same key twice"),
    ('{"id": "a"} {"id": "b"}', "not JSON"),
    ('{"id": "\\u0000"}', "\\u0000"),
    ('{"id": "d", "config": ' + "[" * 100 + "]" * 100 + "}", "64 levels"),
    ('{"config": {}}', "id: missing, expected a string of 1 to 255"),
    ('{"id": 7}', "id: not a string"),
    ('{"id": ""}', "id: not valid"),
    (json.dumps({"id": "x" * 256}), "id: not valid"),
    ('{"id": "a\\u001b[31m"}', "id: not valid"),
    ('{"id": "d"}', "config: missing"),
    ('{"id": "d", "config": null}', "config: missing"),
    ('{"id": "d", "config": 7}', "config: not an object"),
    ('{"id": "d", "config": {}}', "config.from: missing"),
    ('{"id": "d", "config": {}, "nam\\u001be": 1}', "no such field"),
    ('{"id": "d", "config": {}, "state": "on"}', "state: no such field, expected id, name, type, config"),
    ('{"id": "d", "config": {}, "name": 7}', "name: not a string"),
    ('{"id": "d", "config": {}, "type": 7}', "type: not a string"),
    ('{"id": "d", "config": {}, "type": "WEBHOOK"}', "type: 'WEBHOOK' is not served here"),
    ('{"id": "d", "config": {}, "disabled_at": true}', "disabled_at: not valid, expected null"),
    ('{"id": "d", "config": {}, "disabled_at": "soon"}', "disabled_at: not valid"),
    ('{"id": "d", "config": {"max_price": 1e999}}', "out of range"),
]


def test_broken_objects(system, run, tmp_path):
    """One line that names the field and what was expected; nothing is written."""
    for text, words in BROKEN:
        failed(run("put", "-", stdin=text), words)
    failed(run("put", tmp_path), "Is a directory")
    failed(run("put", tmp_path / "none.json"), "none.json: No such file")
    failed(run("put"), "expected FILE", status=2)
    large = tmp_path / "large.json"
    large.write_text(json.dumps(good(config=config(body_template="x" * (1 << 20)))))
    failed(run("put", large), "large.json: more than 1048576 bytes")
    assert system.query("select * from mms.destinations") == []
    # The table counts as PostgreSQL writes it; what it refuses would stand in the server's log.
    room = 65536 - len(json.dumps(config(body_template="")))
    failed(put(run, good(config=config(body_template="x" * (room + 1)))), "config: too large, expected at most 65536 bytes")
    assert put(run, good(config=config(body_template="x" * room))).out == "created d\n"
    assert system.value("select octet_length(config::text) from mms.destinations") == 65536


def test_broken_patches(system, run):
    """The same for patches, and for what a patch can't change."""
    put(run, good())
    before = row(system)
    for patch, words in [
        ("{", "patch: not JSON"),
        ("[]", "patch: not an object"),
        ('{"name": "a", "name": "b"}', "same key twice"),
        ('{"id": "other"}', "patch: id: can't be changed"),
        ('{"id": null}', "patch: id: can't be changed"),
        ('{"updated_at": null}', "patch: updated_at: can't be changed"),
        ('{"config": null}', "patch: config: missing"),
        ('{"config": {"to": null}}', "patch: config.to: missing"),
        ('{"config": {"rate_limit": 2}}', "patch: config.rate_limit: not valid, expected 1 (the pace is locked)"),
        ('{"nam": "x"}', "patch: nam: no such field"),
        ('{"name": 7}', "patch: name: not a string"),
        ('{"type": "WEBHOOK"}', "patch: type: 'WEBHOOK'"),
    ]:
        failed(run("patch", "d", patch), words)
    failed(run("patch", "nobody", '{"name": "x"}'), "no such destination: 'nobody'")
    failed(run("patch", "d"), "expected ID JSON", status=2)
    failed(run("patch", "d", "-", stdin="x" * (1 << 20 | 1)), "stdin: more than 1048576 bytes")
    assert row(system) == before
    assert run("patch", "d", '{"id": "d", "name": null}').out == "patched d: name\n"
    assert row(system)["name"] is None


def test_put_keeps_a_destination_disabled_unless_it_says(system, run):
    """What sends messages again is never a field that was left out."""
    put(run, good(disabled_at="2026-01-31T12:00:00Z"))
    assert put(run, good(name="x")).out == "replaced d: name\n"
    assert row(system)["disabled_at"]
    assert run("put", "-", stdin=json.dumps({**good(name="x"), "disabled_at": None})).out == "replaced d: disabled_at\n"
    assert row(system)["disabled_at"] is None
    assert run("patch", "d", '{"disabled_at": "2026-01-31T12:00:00Z"}').out == "patched d: disabled_at\n"
    assert run("patch", "d", '{"disabled_at": null}').out == "patched d: disabled_at\n"
    assert row(system)["disabled_at"] is None


def together(*calls):
    """Their results, called at the same time."""
    results = [None] * len(calls)

    def work(i):
        results[i] = calls[i]()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_patches_at_the_same_time_all_count(system, run):
    """While somebody holds the row, several patches of different fields come: each waits, and none undoes another."""
    put(run, good())
    patches = [{"name": "N"}, {"config": {"to": "+15557770009"}}, {"config": {"validity_period": 60}}, {"config": {"rate_limit": None}}]
    with system.postgres.connect(system.database) as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("select 1 from mms.destinations where id = 'd' for update")
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        release = lambda: (until(lambda: system.value(waiting) == len(patches), 20, "all to wait"), other.rollback())
        done = together(release, *[lambda patch=patch: run("patch", "d", json.dumps(patch)) for patch in patches])[1:]
    other.close()
    assert [result.status for result in done] == [0] * len(patches), done
    assert row(system)["name"] == "N"
    assert row(system)["config"] == config(to="+15557770009", validity_period=60, rate_limit=None)


def test_puts_of_a_new_one_at_the_same_time(system, run):
    """One makes it, the others replace it or find nothing to change; the row is one of them as a whole."""
    for round in range(5):
        objects = [good(f"d{round}", name=str(i), config=config(body_template=f"{i}")) for i in range(4)]
        said = [done.out.split(" ")[0] for done in together(*[lambda object=object: put(run, object) for object in objects])]
        assert sorted(said) == ["created", "replaced", "replaced", "replaced"], said
        found = row(system, f"d{round}")
        assert found["config"]["body_template"] == found["name"]


def test_a_row_that_somebody_holds(system, run):
    """Said after seconds, not after minutes."""
    put(run, good())
    with system.postgres.connect(system.database) as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("update mms.destinations set name = name")
        begun = time.monotonic()
        failed(run("patch", "d", '{"name": "x"}'), "lock timeout")
        assert time.monotonic() - begun < 30
        other.rollback()
    other.close()
    assert row(system)["name"] == "Ops"


# ---- enable, disable ----


def test_disable_and_enable(system, run):
    """A worker holds the events meanwhile; both commands may be repeated and say what they mean."""
    put(run, good())
    system.worker().wait_ready()
    assert run("disable", "d").out == "disabled d; 0 events held, and so are those that come\n"
    since = row(system)["disabled_at"]
    system.produce(system.event("e1", "d"), system.event("e2", "d"))
    system.wait_states(pending=2)
    again = run("disable", "d")
    assert (again.status, again.out) == (0, f"d is disabled already, since {since:%Y-%m-%d %H:%M:%S}; 2 events held, and so are those that come\n")
    assert row(system)["disabled_at"] == since
    assert run("enable", "d").out == "enabled d; 2 events waiting, one a second is sent\n"
    system.wait_states(accepted=2)
    before = row(system)
    assert run("enable", "d").out == "d is enabled already\n"
    assert row(system) == before, "not written"
    for word in ("enable", "disable", "show", "test"):
        failed(run(word, "nobody"), "no such destination: 'nobody'")
        failed(run(word, "no\x1b[31mbody"), "no such destination: 'no [31mbody'")


def test_enable_ends_parking(system, run):
    """Mended at Twilio, not in the row: enable has it tried at once."""
    account = "AC" + "f" * 32
    system.sim.set_token(account, OTHER)
    put(run, good(config=config(auth={"account_sid": account, "auth_token": TOKEN})))
    system.query("update mms.pacing set trouble = 12")
    system.worker().wait_ready()
    system.produce(system.event("e", "d"))
    wait_attempts(system, 1)
    system.sim.set_token(account, TOKEN)
    done = run("enable", "d")
    assert done.out == "d was enabled already, and parked: AUTHENTICATION_FAILED; it is tried again at once; 1 event waiting, one a second is sent\n"
    system.wait_states(accepted=1, timeout=10)


# ---- list, show ----


def test_list(system, run):
    """Trouble first, then what waits; 80 columns whatever the ids are called; JSON has it all."""
    long = "des_" + "x" * 200
    for id in ("calm", "busy", "off", long, "par\x1bked"):
        system.destination(id)
    system.query("update mms.destinations set disabled_at = now() where id = 'off'")
    system.query(
        "update mms.pacing set parked_until = now() + interval '1 minute', parked_since = now(), trouble = 1,"
        " parked_reason = 'AUTHENTICATION_FAILED' where destination_id like 'par%%'"
    )
    system.query("insert into mms.pacing (destination_id) values ('gone'), ('gone and empty')")
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at)"
        " select d, 'e' || n, '{}', 't', 0, 0, now() from (values ('busy', 12), ('off', 3), ('gone', 1)) v (d, c), generate_series(1, c) n"
    )
    system.query(
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, reason, final, finished_at, worker)"
        " select 'busy', id, 1, gen_random_uuid(), 'accepted', null, true, now() - interval '3 hours', 'w' from mms.deliveries"
        " where destination_id = 'busy' limit 1"
    )
    done = run("list")
    lines = done.out.splitlines()
    assert max(len(line) for line in lines) <= 80 and len(lines) == 7, done.out
    assert lines[0].split() == ["id", "name", "condition", "why", "pending", "accepted"]
    assert [line.split()[0] for line in lines[1:]] == ["par", "gone", "off", "busy", "calm", long[:21] + "…"]
    assert lines[1].split()[-3:] == ["parked", "AUTHENTICAT…", "0"]
    assert lines[4].split() == ["busy", "busy", "active", "12", "3h"]
    rows = {row["id"]: row for row in system.command("destination", "list", "--json").rows()}
    assert list(rows) == ["par\x1bked", "gone", "off", "busy", "calm", long]
    assert (rows["busy"]["last_outcome"], rows["busy"]["pending"], rows["busy"]["parked_reason"]) == ("accepted", 12, None)
    assert rows["busy"]["last_accepted_at"] and rows["calm"]["last_accepted_at"] is None
    assert rows["par\x1bked"]["parked_reason"] == "AUTHENTICATION_FAILED" and rows["par\x1bked"]["parked_until"]
    # As the view has it.
    for id, seen in health(system).items():
        if id in rows:
            assert (rows[id]["condition"], rows[id]["pending"]) == (seen["condition"], seen["pending"])
    for condition in ("active", "parked", "disabled", "missing"):
        some = system.command("destination", "list", "--json", "--condition", condition).rows()
        assert some == [row for row in rows.values() if row["condition"] == condition] and some
    failed(run("list", "--condition", "sad"), "--condition: 'sad' is not valid, expected active", status=2)


def test_show(system, run):
    """For people: the row without secrets and control characters, its condition, its latest attempts."""
    put(run, good(name="Ops \x1b[31m\u0085team", config=config(to="+15557770001", body_template="a\nb {{message}}")))
    system.worker().wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)
    out = run("show", "d").out
    for line in ("name          Ops  [31m team", f"  auth.account_sid        {ACCOUNT}", "  auth.auth_token         ***",
                 "  body_template           a b {{message}}", f'  media_urls              ["{OWL}"]', "condition     active", "pending       0"):
        assert line in out.splitlines(), out
    fields = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert fields[:4] == ["from", "to", "body_template", "media_urls"] and fields[-2:] == ["rate_limit", "rate_limit_period"]
    assert out.splitlines()[-1].split()[2:] == ["e", "1", "accepted"], out
    assert max(len(line) for line in out.splitlines()) <= 80, out


def test_show_of_wrong_rows_hides_what_may_be_secret(system, run):
    """SQL writes anything: a token in a wrong place is masked there too, and what is wrong is said."""
    for case in WRONG:
        system.query("insert into mms.destinations (id, config) values (%s, %s)", case.name, json.dumps(config(**case.changes)))
    # A token in the place of a number for people, or in a text, can't be told from one.
    for case in WRONG:
        done = run("show", case.name)
        assert done.status == 0 and f"wrong         config.{case.field}: " in done.out, done
        assert json.loads(run("show", case.name, "--json").out)["id"] == case.name
    values = {"array": [TOKEN], "string": TOKEN, "number": 1, "null": None, "empty": {}}
    for name, value in values.items():
        system.query("insert into mms.destinations (id, config) values (%s, %s)", name, json.dumps(value))
        assert "wrong         config" in run("show", name).out
        run("show", name, "--json")
    # A number that we can't read: said; put replaces it.
    system.query("insert into mms.destinations (id, config) values ('n', '{\"rate_limit\": 99999999999999999999}')")
    assert "out of range" in run("show", "n").out
    failed(run("show", "n", "--json"), "out of range")
    failed(run("patch", "n", '{"name": "x"}'), "out of range", "'put' replaces it")
    assert put(run, good("n")).out == "replaced n: name, config\n"


# ---- test ----


def test_test_shows_what_a_worker_then_sends(system, run):
    """Field by field what the simulator then gets; nothing is sent by the test itself."""
    settings = {"status_callback_url": "https://callbacks.example.com/twilio?a=b"}
    whole = config(body_template="Grüße & {{message}}\nsecond + line", media_urls=[OWL, "{{media_url}}"], validity_period=100, sms_fallback=True)
    put(run, good(config=whole))
    event = system.event("e", "d", "100 %", occurred_at="2026-01-31T12:00:00Z")
    event["payload"]["media_url"] = "https://media.example.com/a%20b.png?x=1&y=2"
    done = run("test", "d", "--event", json.dumps(event), "--json", **settings)
    assert done.status == 0 and done.err == ""
    said = json.loads(done.out)
    assert (said["event_id"], said["event_source"], said["would_be_sent"], said["method"]) == ("e", "given", True, "POST")
    assert said["url"] == f"{system.sim.base_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json" and said["user"] == ACCOUNT
    assert any("SMS" in note for note in said["notes"])
    assert not system.sim.requests()
    people = run("test", "d", "--event", json.dumps(event), **settings).out
    assert "  Body                  Grüße & 100 %\n                        second + line\n" in people
    assert f"POST {said['url']}\nas {ACCOUNT}, with its auth token\n" in people
    assert "This would be sent. Nothing was." in people and "Basic" not in people and "Authorization" not in people
    assert not system.sim.requests() and not system.query("select * from mms.deliveries")
    system.worker(**settings).wait_ready()
    system.produce(event)
    system.wait_states(accepted=1)
    parameters = system.attempts("e")[0]["request"]["parameters"]
    shown = {}
    for field in said["parameters"]:
        shown.setdefault(field["name"], []).append(field["value"])
    flat = {name: value if isinstance(value, list) else [value] for name, value in parameters.items()}
    assert list(shown) == list(flat)
    assert {**shown, "StatusCallback": 1} == {**flat, "StatusCallback": 1}
    assert shown["StatusCallback"][0].startswith("https://callbacks.example.com/twilio?a=***&attempt=1.1.")
    # Now there is a latest event.
    said = json.loads(run("test", "d", "--json").out)
    assert (said["event_id"], said["event_source"]) == ("e", "latest")
    assert "event e (the latest of this destination)" in run("test", "d").out


def test_test_with_an_api_key(system, run):
    auth = {"account_sid": ACCOUNT, "auth_token": TOKEN, "api_key_sid": API_KEY, "api_key_secret": SECRET}
    put(run, good(config=config(auth=auth)))
    assert f"as {API_KEY}, with its API key's secret\n" in run("test", "d").out


def test_events_to_test_with(system, run, tmp_path):
    """A file, stdin, JSON; a sample if there is none; only what belongs to this destination."""
    put(run, good(config=config(to="{{phone}}")))
    event = {"payload": {"phone": "+15557770004", "message": "hi"}}
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event))
    for words, stdin in ((file, ""), ("-", json.dumps(event)), (" " + json.dumps(event), "")):
        done = run("test", "d", "--event", words, stdin=stdin)
        assert done.status == 0 and "  To                    +15557770004\n" in done.out and "event evt_test (given)" in done.out
    done = run("test", "d")
    assert done.status == 1 and "event evt_test (sample)" in done.out and "--event" in done.out
    assert done.err == "mms-worker destination test: would not be sent: TOKEN_MISSING: config.to: the event has no {{phone}}\n"
    for given, words in [
        ('{"destination_id": "other"}', "--event: destination_id: 'other', expected 'd' or none"),
        ("{", "--event: not JSON"),
        ('{"payload": 1, "payload": 2}', "--event: an object has the same key twice"),
        (tmp_path / "none", "none: No such file"),
        (tmp_path, "Is a directory"),
    ]:
        failed(run("test", "d", "--event", given), words)
    failed(run("test", "d", "--event", "-", stdin="[1]"), "stdin: not an object")
    failed(run("test", "d", "--event", "-", stdin="{}" + " " * (1 << 20)), "more than 1048576 bytes")


@pytest.mark.parametrize(
    "changes, event, reason, words",
    [
        ({"to": "{{payload.phone}}"}, {}, "TOKEN_MISSING", "config.to: "),
        ({"to": "{{message}}"}, {}, "TO_INVALID", "config.to: did not render to an E.164 number"),
        ({"body_template": "{{none}}"}, {}, "BODY_EMPTY", "config.body_template"),
        ({"body_template": "x" * 1601}, {}, "BODY_TOO_LONG", "config.body_template"),
        ({"media_urls": ["{{pic}}"]}, {}, "TOKEN_MISSING", "config.media_urls[0]: "),
        ({"media_urls": [OWL, "http://10.0.0.1/"]}, {}, "MEDIA_URL_INVALID", "config.media_urls[1]"),
        ({}, {"event_id": ""}, "EVENT_ID_INVALID", "event_id: empty"),
        ({}, {"retry": {"count": -1}}, "RETRY_INVALID", "retry"),
    ],
    ids=str,
)
def test_what_would_not_be_sent(system, run, changes, event, reason, words):
    """Exit status 1, the worker's own reason, and the field."""
    put(run, good(config=config(**changes)))
    event = json.dumps({"payload": {"message": "hi"}, **event})
    done = run("test", "d", "--event", event, "--json")
    assert done.status == 1 and f"would not be sent: {reason}: " in done.err and words in done.err
    said = json.loads(done.out)
    assert (said["would_be_sent"], said["reason"], said["url"], said["parameters"]) == (False, reason, None, [])
    assert words in said["detail"]
    assert run("test", "d", "--event", event).status == 1


def test_what_stands_in_the_way_of_a_test(system, run):
    """A wrong config, who opted out: not sent. Disabled, parked: it waits."""
    put(run, good(name='a "quoted\\" name', config=config(to="+15557770001", body_template='say "\\{}" {{message}}')))
    assert run("test", "d").status == 0
    system.query("insert into mms.opt_outs values (%s, '+15550001111', '+15557770001', 'd', 'e')", ACCOUNT)
    done = run("test", "d")
    assert done.status == 1 and "would not be sent: RECIPIENT_OPTED_OUT: the recipient opted out" in done.err
    assert "  To                    +15557770001" in done.out and "would be sent. N" not in done.out
    system.query("delete from mms.opt_outs")
    system.query("update mms.pacing set parked_until = now() + interval '1 minute', trouble = 1, parked_reason = 'ACCOUNT_BUSY'")
    done = run("test", "d")
    assert done.status == 0 and "parked (ACCOUNT_BUSY)" in done.out
    run("disable", "d")
    notes = json.loads(run("test", "d", "--json").out)["notes"]
    assert [note for note in notes if "disabled" in note] and not [note for note in notes if "parked" in note]
    system.destination("wrong", rate_limit=3)
    done = run("test", "wrong")
    assert done.status == 1 and "CONFIG_INVALID: config.rate_limit" in done.err
